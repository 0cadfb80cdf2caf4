"""A text as the mean of its pieces' vectors, and a small residual layer: `x + tanh(W x + b)`. No attention: thousands of
texts a second on a CPU, trainable end to end."""

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
from xdr.errors import UserError


class StaticEncoder(nn.Module):
    def __init__(self, vectors_VD: Tensor, normalize: bool) -> None:
        super().__init__()
        self.dimension = vectors_VD.shape[1]
        self.normalize = normalize
        self.embedding = nn.EmbeddingBag.from_pretrained(vectors_VD.float(), freeze=False, mode="mean")
        self.head = nn.Linear(self.dimension, self.dimension)
        nn.init.zeros_(self.head.weight)  # training starts from the vectors as they are
        nn.init.zeros_(self.head.bias)

    def forward(self, texts: Texts) -> Tensor:
        means_BD: Tensor = self.embedding(texts.ids_T, texts.starts_B)
        vectors_BD = means_BD + torch.tanh(self.head(means_BD))
        return F.normalize(vectors_BD, dim=-1) if self.normalize else vectors_BD


def read_static_vectors(folder: Path) -> tuple[Tensor, Tokenizer]:
    """A table with a row for each id of the tokenizer, from model2vec's layout or from `vectors.npy` and `pieces.txt` beside a
    unigram `tokenizer.json[.gz]`, which is then restricted to these pieces."""
    if (folder / "vectors.npy").is_file():
        return _from_pieces(folder)
    if (folder / "model.safetensors").is_file():
        return _from_model2vec(folder)
    raise UserError(f"{folder} holds no static vectors: neither vectors.npy and pieces.txt, nor model2vec's model.safetensors")


def _from_model2vec(folder: Path) -> tuple[Tensor, Tokenizer]:
    tensors = load_file(folder / "model.safetensors")
    if "embeddings" not in tensors:
        raise UserError(f"{folder}/model.safetensors has {', '.join(sorted(tensors)[:3])} ... and not model2vec's `embeddings`")
    vectors_VD = tensors["embeddings"].float()
    if "mapping" in tensors:  # a vocabulary of more pieces than vectors
        vectors_VD = vectors_VD[tensors["mapping"].long()]
    if "weights" in tensors:
        vectors_VD = vectors_VD * tensors["weights"].float()[:, None]
    return vectors_VD, Tokenizer.from_str(_tokenizer_json(folder))


def _from_pieces(folder: Path) -> tuple[Tensor, Tokenizer]:
    vectors_VD = torch.from_numpy(np.load(folder / "vectors.npy").astype(np.float32))
    row_of = {piece: row for row, piece in enumerate(_lines(folder / "pieces.txt"))}
    if len(row_of) != len(vectors_VD):
        raise UserError(f"{folder}: pieces.txt has {len(row_of):,} different pieces and vectors.npy {len(vectors_VD):,} rows")
    description = json.loads(_tokenizer_json(folder))
    model = description["model"]
    if model.get("type", "Unigram") != "Unigram" or not isinstance(model.get("vocab"), list):
        raise UserError(f"{folder}/tokenizer.json is no unigram model, which alone can be restricted to other pieces")
    unknown = model["vocab"][model["unk_id"]][0]
    kept = [(piece, score) for piece, score in model["vocab"] if piece in row_of and piece != unknown]
    model["vocab"], model["unk_id"] = [(unknown, 0.0), *kept], 0
    description.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
    rows = torch.tensor([row_of[piece] for piece, _ in kept])
    table = torch.cat([torch.zeros(1, vectors_VD.shape[1]), vectors_VD[rows]])  # an unknown piece says nothing
    return table, Tokenizer.from_str(json.dumps(description))


def _tokenizer_json(folder: Path) -> str:
    plain = folder / "tokenizer.json"
    if plain.is_file():
        return plain.read_text(encoding="utf-8")
    if (gzipped := folder / "tokenizer.json.gz").is_file():
        return gzip.decompress(gzipped.read_bytes()).decode("utf-8")
    raise UserError(f"{folder} has no tokenizer.json")


def _lines(path: Path) -> list[str]:
    """Not `splitlines`: pieces may be separators of lines themselves."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
