"""An encoder for evaluation, from whatever a user has of it."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from xdr.encoders.encoder_folder import is_encoder_folder, load_encoder
from xdr.encoders.packing import FIRST_POSITION
from xdr.encoders.pooling import Pooling
from xdr.encoders.static_encoder import StaticEncoder, read_static_vectors
from xdr.encoders.tokenization import HuggingFaceTokenizer, InputFormat, StaticTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import Batching, TransformerEncoder, load_backbone, refuse_longer
from xdr.errors import UserError, first_line
from xdr.storage.model_folders import ENCODER, GENERATOR, MODEL, PASSAGE_ENCODER


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """What a user asks of an encoder; None leaves it to what the checkpoint says of itself, and else to the defaults."""

    pooling: Pooling | None = None
    normalize: bool | None = None
    query_length: int | None = None
    passage_length: int | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None

    def reading(self, own: InputFormat) -> InputFormat:
        given = {name: getattr(self, name) for name in asdict(own)}
        return replace(own, **{name: value for name, value in given.items() if value is not None})


DEFAULT_FORMAT = InputFormat(query_length=32, passage_length=128)


def open_encoder(
    checkpoint: str, options: EncoderOptions | None = None, *, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    """(of queries, of passages if that is another, reader). `checkpoint` is a Lightning checkpoint of ours, the output folder
    of a training, a folder in sentence-transformers' layout, one of static vectors, or a backbone in Hugging Face's layout, by
    folder or hub name. All but the last two say their pooling and norm."""
    options = options or EncoderOptions()
    queries, passages, reader = _open(checkpoint, options, dtype)
    own = {"pooling": getattr(queries, "pooling", "mean"), "normalize": queries.normalize}
    for name, value in own.items():
        if getattr(options, name) not in (None, value):
            raise UserError(f"checkpoint={checkpoint} says itself that {name} is {value}; leave evaluation.{name} out")
    reader = TextTokenizer(reader.pieces, options.reading(reader.reading))
    if isinstance(queries, TransformerEncoder):
        refuse_longer(reader.reading, queries.backbone.config, "evaluation")
    return queries, passages, reader


def _open(checkpoint: str, options: EncoderOptions, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return _from_checkpoint(path, dtype)
    if is_encoder_folder(path / ENCODER):
        passages = load_encoder(path / PASSAGE_ENCODER, dtype=dtype)[0] if is_encoder_folder(path / PASSAGE_ENCODER) else None
        return load_encoder(path / ENCODER, dtype=dtype)[0], passages, load_encoder(path / ENCODER, dtype=dtype)[1]
    if is_encoder_folder(path):
        encoder, reader = load_encoder(path, dtype=dtype)
        return encoder, None, reader
    if (path / "vectors.npy").is_file():
        vectors_VD, tokenizer = read_static_vectors(path)
        return (
            StaticEncoder(vectors_VD, bool(options.normalize)),
            None,
            TextTokenizer(StaticTokenizer(tokenizer), DEFAULT_FORMAT),
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
    queries, passages, reader = open_encoder(str(folder), dtype=dtype)
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
    return queries, passages, reader


def fingerprint_encoder(queries: nn.Module, passages: nn.Module | None, reader: TextTokenizer) -> str:
    """Of all that its vectors depend on: weights, pieces, lengths, prefixes, pooling, norm."""
    digest = hashlib.sha256()
    for tower in (queries, passages):
        if tower is None:
            continue
        digest.update(f"{type(tower).__name__} {getattr(tower, 'pooling', '')} {tower.normalize}".encode())
        for name, value in sorted(tower.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    tokenizer = reader.pieces.tokenizer  # type: ignore[attr-defined]  # both kinds of pieces have one
    pieces = tokenizer.backend_tokenizer if isinstance(reader.pieces, HuggingFaceTokenizer) else tokenizer
    described = json.loads(pieces.to_str()) | {"truncation": None, "padding": None}  # what its last call options for
    digest.update(json.dumps(described, sort_keys=True).encode())
    digest.update(json.dumps(asdict(reader.reading), sort_keys=True).encode())
    return digest.hexdigest()[:32]
