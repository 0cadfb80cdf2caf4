"""An encoder for evaluation, from whatever a user has of it."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from xdr.errors import UserError
from xdr.models.encoder_folder import is_encoder_folder, load_encoder
from xdr.models.packing import FIRST_POSITION
from xdr.models.pooling import Pooling
from xdr.models.tokenization import HuggingFacePieces, Reading, TextReader
from xdr.models.transformer_encoder import TransformerEncoder, load_backbone

ENCODER, PASSAGE_ENCODER, SKELETON = "encoder", "passage_encoder", "model"
"""Folders that a training leaves: in its output folder, and beside its checkpoints (`model/encoder`) as it began."""


def open_encoder(
    checkpoint: str, *, pooling: Pooling, normalize: bool, reading: Reading, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, nn.Module | None, TextReader]:
    """(of queries, of passages if that is another, reader). `checkpoint` is a Lightning checkpoint of ours, the output folder
    of a training, a folder in sentence-transformers' layout, or a backbone in Hugging Face's, by folder or hub name; `pooling`,
    `normalize` and `reading` are for the last of these, the others say it themselves."""
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return _from_checkpoint(path, dtype)
    if is_encoder_folder(path / ENCODER):
        passages = load_encoder(path / PASSAGE_ENCODER, dtype=dtype)[0] if is_encoder_folder(path / PASSAGE_ENCODER) else None
        return load_encoder(path / ENCODER, dtype=dtype)[0], passages, load_encoder(path / ENCODER, dtype=dtype)[1]
    if is_encoder_folder(path):
        encoder, reader = load_encoder(path, dtype=dtype)
        return encoder, None, reader
    try:
        kind = AutoConfig.from_pretrained(checkpoint).model_type
    except (OSError, ValueError):
        raise UserError(
            f"checkpoint={checkpoint} is no checkpoint, no folder that train.py left, and no encoder in Hugging Face's or "
            "sentence-transformers' layout"
        ) from None
    batching = "packed" if kind in FIRST_POSITION else "grouped"
    encoder = TransformerEncoder(load_backbone(checkpoint, dtype, batching), pooling, normalize, batching)  # type: ignore[arg-type]
    return encoder, None, TextReader(HuggingFacePieces(AutoTokenizer.from_pretrained(checkpoint)), reading)


def _from_checkpoint(path: Path, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextReader]:
    folder = path.parent / SKELETON
    if not is_encoder_folder(folder / ENCODER):
        raise UserError(f"{path} is no checkpoint of an encoder: {folder / ENCODER}, where it began, is not there")
    queries, passages, reader = open_encoder(str(folder), pooling="first", normalize=False, reading=Reading(0, 0), dtype=dtype)
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


def fingerprint_encoder(queries: nn.Module, passages: nn.Module | None, reader: TextReader) -> str:
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
    pieces = tokenizer.backend_tokenizer if isinstance(reader.pieces, HuggingFacePieces) else tokenizer
    described = json.loads(pieces.to_str()) | {"truncation": None, "padding": None}  # what its last call asked for
    digest.update(json.dumps(described, sort_keys=True).encode())
    digest.update(json.dumps(asdict(reader.reading), sort_keys=True).encode())
    return digest.hexdigest()[:32]
