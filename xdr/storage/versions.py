"""Versions of the libraries that can change a vector or a text in its last digits. An artifact names them; others are told of
and not refused."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

_NUMBERS = {"tokenizers": 2, "transformers": 1}
"""How many numbers of a version matter."""


@lru_cache
def versions() -> dict[str, str]:
    """Of what is installed."""
    found = {}
    for library, numbers in _NUMBERS.items():
        try:
            found[library] = ".".join(version(library).split(".")[:numbers])
        except PackageNotFoundError:
            continue
    return found
