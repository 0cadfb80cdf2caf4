"""Bi-encoders that can be trained, as settings. Importing this module does not import torch: `build` does."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from xdr.encoders.input_format import Batching, EncoderOptions, LoraOptions
from xdr.errors import UserError

if TYPE_CHECKING:
    from xdr.encoders.bi_encoder import BiEncoder
    from xdr.encoders.tokenization import TextTokenizer
    from xdr.encoders.transformer_encoder import TransformerEncoder

Dtype = Literal["float32", "bfloat16"]
Family = Literal["bert", "xlm-roberta"]


@dataclass(frozen=True)
class TransformerBiEncoder:
    """Any backbone, from a folder or by its name on the hub, in Hugging Face's or sentence-transformers' layout.

    None leaves pooling, normalization, lengths and prefixes to sentence-transformers' files, and dropout to the backbone's; a
    backbone without such files needs a pooling. `tied` encoders share their weights between queries and passages. With
    `lora_rank` above 0, low-rank updates are trained and the backbone is frozen."""

    path: str
    pooling: str | None
    normalize: bool | None
    tied: bool
    batching: Batching
    truncate_dim: int | None
    end_token: bool | None
    dtype: Dtype
    dropout: float | None
    lora_rank: int
    lora_alpha: int | None
    lora_dropout: float
    lora_targets: list[str] | None
    gradient_checkpointing: bool
    compile_backbone: bool
    query_length: int | None
    passage_length: int | None
    query_prefix: str | None
    passage_prefix: str | None

    def __post_init__(self) -> None:
        EncoderOptions.of(self)
        _require("batching", self.batching, Batching)
        _require("dtype", self.dtype, Dtype)
        _require_probability("dropout", self.dropout or 0.0)
        if self.lora_rank < 0:
            raise UserError(f"lora_rank must be at least 0, got {self.lora_rank}")
        _require_probability("lora_dropout", self.lora_dropout)
        if not self.lora_rank:
            self._refuse_lora_settings()
        if self.compile_backbone and self.batching == "packed":
            raise UserError(
                "batching must be padded or grouped with compile_backbone=true, got packed. "
                "Packed batches differ in shape, so each would be compiled anew"
            )

    def _refuse_lora_settings(self) -> None:
        for name in ("lora_alpha", "lora_dropout", "lora_targets"):
            if value := getattr(self, name):
                raise UserError(f"{name} must be left out where lora_rank is 0, got {value}. Give lora_rank too")

    def lora(self) -> LoraOptions:
        alpha = 2 * self.lora_rank if self.lora_alpha is None else self.lora_alpha
        targets = None if self.lora_targets is None else tuple(self.lora_targets)
        return LoraOptions(self.lora_rank, alpha, self.lora_dropout, targets)

    def build(self, initial_folder: Path, seed: int) -> "tuple[BiEncoder, TextTokenizer]":
        """Weights come from `path`; neither argument is used."""
        from xdr.encoders.bi_encoder import BiEncoder

        encoder, tokenizer = self._tower()
        return BiEncoder(encoder, None if self.tied else self._tower()[0]), tokenizer

    def _tower(self) -> "tuple[TransformerEncoder, TextTokenizer]":
        import torch

        from xdr.encoders.open_encoder import open_model
        from xdr.encoders.transformer_encoder import TransformerEncoder, adapt, set_dropout

        dtype = getattr(torch, self.dtype)
        encoder, tokenizer = open_model(self.path, EncoderOptions.of(self), batching=self.batching, dtype=dtype)
        if not isinstance(encoder, TransformerEncoder):
            raise UserError(f"path must be a transformer, got static vectors in {self.path}. Use StaticBiEncoder")
        if self.dropout is not None:
            set_dropout(encoder.backbone, self.dropout)
        encoder.backbone = adapt(encoder.backbone, gradient_checkpointing=self.gradient_checkpointing, lora=self.lora())
        if self.compile_backbone:
            encoder.backbone.compile(dynamic=True)  # in place, so that the weights keep their names
        return encoder, tokenizer


@dataclass(frozen=True)
class StaticBiEncoder:
    """One vector a token, from a folder in model2vec's layout, with `vectors.npy` and `pieces.txt`, or left by a training. Only
    the last has a normalization, lengths and prefixes of its own, which count where a setting is None."""

    path: str
    normalize: bool | None
    query_length: int | None
    passage_length: int | None
    query_prefix: str | None
    passage_prefix: str | None

    def __post_init__(self) -> None:
        self.options()

    def options(self) -> EncoderOptions:
        return EncoderOptions(
            None, self.normalize, self.query_length, self.passage_length, self.query_prefix, self.passage_prefix
        )

    def build(self, initial_folder: Path, seed: int) -> "tuple[BiEncoder, TextTokenizer]":
        """Vectors come from `path`; neither argument is used."""
        from xdr.encoders.bi_encoder import BiEncoder
        from xdr.encoders.encoder_folder import is_encoder_folder
        from xdr.encoders.open_encoder import open_model, open_static

        folder, options = Path(self.path).expanduser(), self.options()
        saved = is_encoder_folder(folder) and (folder / "xdr.json").exists() and not (folder / "vectors.npy").exists()
        encoder, tokenizer = open_model(self.path, options) if saved else open_static(folder, options)
        return BiEncoder(encoder), tokenizer


@dataclass(frozen=True)
class SmallBiEncoder:
    """A new small BERT or XLM-R with the vocabulary of the sample, for demos and tests."""

    family: Family
    hidden: int
    layers: int
    dropout: float
    pooling: str
    normalize: bool
    query_length: int
    passage_length: int
    query_prefix: str
    passage_prefix: str

    def __post_init__(self) -> None:
        EncoderOptions.of(self)
        _require("family", self.family, Family)
        if self.hidden < 32 or self.hidden % 32:
            raise UserError(f"hidden must be a multiple of 32, got {self.hidden}")
        if self.layers < 1:
            raise UserError(f"layers must be at least 1, got {self.layers}")
        _require_probability("dropout", self.dropout)

    def build(self, initial_folder: Path, seed: int) -> "tuple[BiEncoder, TextTokenizer]":
        """The model is made from `seed` in `initial_folder`, unless it is already there."""
        from xdr.benchmarks.sample import Sample
        from xdr.data.problems import Problems
        from xdr.encoders.bi_encoder import BiEncoder
        from xdr.encoders.open_encoder import open_model
        from xdr.encoders.small import BUILDERS

        if not (initial_folder / "config.json").exists():
            sample = Sample()
            texts = [f"{passage.title} {passage.text}" for passage in sample.passages(Problems())]
            texts += [query.text for query in sample.queries("train", Problems())]
            build = BUILDERS[self.family]
            build(texts, initial_folder, seed=seed, hidden=self.hidden, layers=self.layers, dropout=self.dropout)
        encoder, tokenizer = open_model(str(initial_folder), EncoderOptions.of(self), batching="packed")
        return BiEncoder(encoder), tokenizer


def _require_probability(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise UserError(f"{name} must be at least 0 and below 1, got {value}")


def _require(name: str, value: object, options: object) -> None:
    known = get_args(options)
    if value not in known:
        raise UserError(f"{name} must be one of {', '.join(known)}, got {value!r}")
