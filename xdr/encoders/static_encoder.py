"""The mean of a text's token vectors, and a residual layer `x + tanh(W x + b)`. It has no attention, so that a CPU encodes
thousands of texts a second. All weights can be trained.

V tokens of the vocabulary, B texts, T tokens of all texts, D dimensions.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from xdr.encoders.texts import Texts
from xdr.errors import UserError, loading


class StaticEncoder(nn.Module):
    def __init__(self, vectors_VD: Tensor, normalize: bool) -> None:
        super().__init__()
        self.dimension = vectors_VD.shape[1]
        self.normalize = normalize
        self.embedding = nn.EmbeddingBag.from_pretrained(vectors_VD.float(), freeze=False, mode="mean")
        self.head = nn.Linear(self.dimension, self.dimension)
        nn.init.zeros_(self.head.weight)  # training starts from the given vectors
        nn.init.zeros_(self.head.bias)

    def forward(self, texts: Texts) -> Tensor:
        means_BD: Tensor = self.embedding(texts.ids_T, texts.starts_B)
        vectors_BD = means_BD + torch.tanh(self.head(means_BD))
        return F.normalize(vectors_BD, dim=-1) if self.normalize else vectors_BD


def read_static_vectors(folder: Path) -> tuple[Tensor, Tokenizer]:
    """Returns a table with one row for each token id, and the tokenizer. Reads model2vec's layout, or `vectors.npy` and
    `pieces.txt` beside a unigram `tokenizer.json[.gz]`; the tokenizer is then restricted to the tokens in `pieces.txt`."""
    with loading(f"the static vectors in {folder}"):
        if (folder / "vectors.npy").is_file():
            return _from_token_list(folder)
        if (folder / "model.safetensors").is_file():
            return _from_model2vec(folder)
    raise UserError(
        f"path must be a folder with vectors.npy and pieces.txt, or with model2vec's model.safetensors, got {folder}"
    )


def _from_model2vec(folder: Path) -> tuple[Tensor, Tokenizer]:
    tensors = load_file(folder / "model.safetensors")
    if "embeddings" not in tensors:
        raise UserError(f"{folder}/model.safetensors must have model2vec's `embeddings`, got {', '.join(sorted(tensors)[:3])}")
    vectors_VD = tensors["embeddings"].float()
    if "mapping" in tensors:  # several tokens share a vector
        vectors_VD = vectors_VD[tensors["mapping"].long()]
    if "weights" in tensors:
        vectors_VD = vectors_VD * tensors["weights"].float()[:, None]
    return vectors_VD, Tokenizer.from_str(_tokenizer_json(folder))


def _from_token_list(folder: Path) -> tuple[Tensor, Tokenizer]:
    vectors_VD = torch.from_numpy(np.load(folder / "vectors.npy").astype(np.float32))
    row_of = {token: row for row, token in enumerate(_lines(folder / "pieces.txt"))}
    if len(row_of) != len(vectors_VD):
        raise UserError(
            f"{folder}/pieces.txt must have {len(vectors_VD):,} different tokens, as vectors.npy has rows, got {len(row_of):,}"
        )
    description = json.loads(_tokenizer_json(folder))
    model = description["model"]
    if model.get("type", "Unigram") != "Unigram" or not isinstance(model.get("vocab"), list):
        raise UserError(
            f"{folder}/tokenizer.json must be a unigram model: others cannot be restricted to the tokens in pieces.txt"
        )
    unknown = model["vocab"][model["unk_id"]][0]
    kept = [(token, score) for token, score in model["vocab"] if token in row_of and token != unknown]
    model["vocab"], model["unk_id"] = [(unknown, 0.0), *kept], 0
    description.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
    rows = torch.tensor([row_of[token] for token, _ in kept])
    table = torch.cat([torch.zeros(1, vectors_VD.shape[1]), vectors_VD[rows]])  # unknown tokens have a zero vector
    return table, Tokenizer.from_str(json.dumps(description))


def _tokenizer_json(folder: Path) -> str:
    plain = folder / "tokenizer.json"
    if plain.is_file():
        return plain.read_text(encoding="utf-8")
    if (gzipped := folder / "tokenizer.json.gz").is_file():
        return gzip.decompress(gzipped.read_bytes()).decode("utf-8")
    raise UserError(f"{folder} must have a tokenizer.json or tokenizer.json.gz")


def _lines(path: Path) -> list[str]:
    """Unlike `splitlines`, splits at line feeds alone: tokens can be other line separators."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
