"""An encoder for evaluation, from whatever a user has of it."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from xdr.encoders.encoder_folder import is_encoder_folder, load_encoder
from xdr.encoders.input_format import DEFAULT_FORMAT, Batching
from xdr.encoders.input_format import EncoderOptions as EncoderOptions
from xdr.encoders.packing import FIRST_POSITION
from xdr.encoders.static_encoder import StaticEncoder, read_static_vectors
from xdr.encoders.tokenization import HuggingFaceTokenizer, StaticTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone, refuse_longer
from xdr.errors import UserError, first_line
from xdr.storage.model_folders import ENCODER, GENERATOR, MODEL, PASSAGE_ENCODER


def open_encoder(
    checkpoint: str, options: EncoderOptions | None = None, *, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    """Returns the encoder of queries, that of passages if it is another, and the tokenizer. `checkpoint` is a Lightning
    checkpoint of ours, the output folder of a training, a folder in sentence-transformers' layout, a folder of static vectors,
    or a backbone in Hugging Face's layout, by folder or hub name. All but the last two name their pooling and normalization."""
    options = options or EncoderOptions()
    queries, passages, tokenizer = _open(checkpoint, options, dtype)
    own = {"pooling": getattr(queries, "pooling", "mean"), "normalize": queries.normalize}
    for name, value in own.items():
        if getattr(options, name) not in (None, value):
            raise UserError(f"checkpoint={checkpoint} says itself that {name} is {value}; leave evaluation.{name} out")
    tokenizer = TextTokenizer(tokenizer.tokenize, options.input_format(tokenizer.input_format))
    if isinstance(queries, TransformerEncoder):
        refuse_longer(tokenizer.input_format, queries.backbone.config, "evaluation")
    return queries, passages, tokenizer


def _open(checkpoint: str, options: EncoderOptions, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return _from_checkpoint(path, dtype)
    if is_encoder_folder(path / ENCODER):
        passages = load_encoder(path / PASSAGE_ENCODER, dtype=dtype)[0] if is_encoder_folder(path / PASSAGE_ENCODER) else None
        return load_encoder(path / ENCODER, dtype=dtype)[0], passages, load_encoder(path / ENCODER, dtype=dtype)[1]
    if is_encoder_folder(path):
        encoder, tokenizer = load_encoder(path, dtype=dtype)
        return encoder, None, tokenizer
    if (path / "vectors.npy").is_file():
        vectors_VD, vocabulary = read_static_vectors(path)
        return (
            StaticEncoder(vectors_VD, bool(options.normalize)),
            None,
            TextTokenizer(StaticTokenizer(vocabulary), DEFAULT_FORMAT),
        )
    try:
        kind = AutoConfig.from_pretrained(checkpoint).model_type
    except (OSError, ValueError) as error:
        if not path.exists():
            raise UserError(
                f"checkpoint={checkpoint} is no file, no folder, and no hub name that can be reached: {first_line(error)}"
            ) from None
        if (path / GENERATOR).is_dir():
            raise UserError(f"checkpoint={checkpoint} holds a generator, and an encoder is wanted") from None
        raise UserError(
            f"checkpoint={checkpoint} is no checkpoint, no folder that train.py left, and no encoder in Hugging Face's or "
            "sentence-transformers' layout"
        ) from None
    batching: Batching = "packed" if kind in FIRST_POSITION else "grouped"
    backbone = load_backbone(checkpoint, dtype, batching)
    encoder = TransformerEncoder(backbone, options.pooling or "first", bool(options.normalize), batching)
    return encoder, None, TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(checkpoint)), DEFAULT_FORMAT)


def _from_checkpoint(path: Path, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    folder = path.parent / MODEL
    if not is_encoder_folder(folder / ENCODER):
        raise UserError(f"{path} is no checkpoint of an encoder: {folder / ENCODER}, where it began, is not there")
    queries, passages, tokenizer = open_encoder(str(folder), dtype=dtype)
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    for name, tower in (("encoder", queries), ("passage_encoder", passages)):
        if tower is None:
            continue
        weights = {
            key.removeprefix(f"bi_encoder.{name}."): value for key, value in state.items() if f"bi_encoder.{name}." in key
        }
        if weights.keys() != tower.state_dict().keys():
            raise UserError(f"{path} holds low-rank updates or other parts; give the folder that the training left instead")
        tower.load_state_dict(weights)
    return queries, passages, tokenizer


def fingerprint_encoder(queries: nn.Module, passages: nn.Module | None, tokenizer: TextTokenizer) -> str:
    """Of all that its vectors depend on: weights, pieces, lengths, prefixes, pooling, norm."""
    digest = hashlib.sha256()
    for tower in (queries, passages):
        if tower is None:
            continue
        digest.update(f"{type(tower).__name__} {getattr(tower, 'pooling', '')} {tower.normalize}".encode())
        for name, value in sorted(tower.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    inner = tokenizer.tokenize.tokenizer  # type: ignore[attr-defined]  # both kinds have one
    vocabulary = inner.backend_tokenizer if isinstance(tokenizer.tokenize, HuggingFaceTokenizer) else inner
    described = json.loads(vocabulary.to_str()) | {"truncation": None, "padding": None}  # what its last call options for
    digest.update(json.dumps(described, sort_keys=True).encode())
    digest.update(json.dumps(asdict(tokenizer.input_format), sort_keys=True).encode())
    return digest.hexdigest()[:32]
