from pathlib import Path
from typing import Any

from torch import Tensor

from tests.encoders.conftest import small_models
from xdr.late_interaction.models import Colbert

__all__ = ["small_models"]

SETTINGS: dict[str, Any] = {
    "dimension": 16,
    "query_expansion": None,
    "attend_to_expansion": None,
    "skip_punctuation": None,
    "batching": None,
    "dropout": None,
    "query_length": 16,
    "passage_length": 20,
    "query_prefix": None,
    "passage_prefix": None,
}


def colbert(path: Path, **settings: Any) -> Colbert:
    return Colbert(str(path), **(SETTINGS | settings))


def token_vectors(vectors_BLD: Tensor) -> list[Tensor]:
    """Without the zeros behind each text."""
    return [vectors_LD[vectors_LD.any(1)] for vectors_LD in vectors_BLD]
