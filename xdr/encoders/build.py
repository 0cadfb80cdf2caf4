"""Bi-encoders from their settings, as functions. `xdr.encoders.models` has the classes that replace them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.input_format import InputFormat
from xdr.encoders.models import SmallBiEncoder, StaticBiEncoder, TransformerBiEncoder
from xdr.encoders.tokenization import TextTokenizer


def transformer_bi_encoder(reading: InputFormat, **settings: Any) -> tuple[BiEncoder, TextTokenizer]:
    return TransformerBiEncoder(**settings, **asdict(reading)).build(Path(), 0)


def static_bi_encoder(path: str, normalize: bool, reading: InputFormat) -> tuple[BiEncoder, TextTokenizer]:
    return StaticBiEncoder(path, normalize, **asdict(reading)).build(Path(), 0)


def small_bi_encoder(reading: InputFormat, folder: Path, seed: int, **settings: Any) -> tuple[BiEncoder, TextTokenizer]:
    return SmallBiEncoder(**settings, **asdict(reading)).build(folder, seed)
