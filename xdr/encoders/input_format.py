"""What a user chooses about the input and output of an encoder. Importing this module does not import torch."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from xdr.encoders.pooling import require_pooling
from xdr.errors import UserError

Batching = Literal["packed", "grouped", "padded"]
"""How a batch meets a backbone: `packed` without padding, `grouped` padded in groups of similar length, `padded` as one."""


@dataclass(frozen=True, slots=True)
class InputFormat:
    """The prefixes of texts, and the number of tokens after which texts are cut, special tokens included."""

    query_length: int
    passage_length: int
    query_prefix: str = ""
    passage_prefix: str = ""


DEFAULT_FORMAT = InputFormat(query_length=32, passage_length=128)


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """Low-rank updates, scaled by alpha / rank; none with rank 0. Without `targets`, they are of the layers that peft names for
    the backbone's family: query and value of BERT, q_proj and v_proj of Qwen3 ..."""

    rank: int = 0
    alpha: int = 0
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """What a user asks of an encoder. None means: as the encoder's files say; where they say nothing, without normalization,
    and in `DEFAULT_FORMAT`. A pooling that neither the files nor the user name is an error. `truncate_dim` keeps the first
    dimensions of a vector. `end_token` appends the tokenizer's end token to texts; None does so for a plain causal
    backbone that is pooled by its last token."""

    pooling: str | None = None
    normalize: bool | None = None
    query_length: int | None = None
    passage_length: int | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    truncate_dim: int | None = None
    end_token: bool | None = None

    def __post_init__(self) -> None:
        if self.pooling is not None:
            require_pooling(self.pooling)
        for name in ("query_length", "passage_length", "truncate_dim"):
            length = getattr(self, name)
            if length is not None and length < 1:
                raise UserError(f"{name} must be at least 1, got {length}")

    @classmethod
    def of(cls, settings: Any) -> "EncoderOptions":
        """From the attributes of that name; None where there is none."""
        return cls(**{field.name: getattr(settings, field.name, None) for field in fields(cls)})

    def input_format(self, own: InputFormat) -> InputFormat:
        """`own` with what the user asked for."""
        given = {name: getattr(self, name) for name in asdict(own)}
        return replace(own, **{name: value for name, value in given.items() if value is not None})
