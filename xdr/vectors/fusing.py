"""What an evaluation fuses: generated queries into the vectors of passages, or generated passages into those of queries.

Q queries, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xdr.encoders.encoder import Encoder
from xdr.errors import UserError
from xdr.vectors.fusion import Alpha, ControlName, Fusion, Side, fuse_vectors, system_name
from xdr.vectors.generated_sums import sum_generated_passages
from xdr.vectors.layout import Layout, Selection
from xdr.writing.generated_store import GeneratedStore


@dataclass(frozen=True)
class Fusing:
    """A formula, the generated texts, and which of them are fused."""

    fusion: Fusion
    alphas: tuple[Alpha, ...]
    """In ascending order."""
    generated: GeneratedStore
    languages: tuple[str, ...]
    number: int
    controls: tuple[ControlName, ...] = ()
    label: str = ""
    """Ends the names of the systems, where others are fused by the same formula."""

    @property
    def side(self) -> Side:
        return "queries" if self.generated.made_by.get("direction") == "passage_from_query" else "passages"

    @property
    def systems(self) -> tuple[str, ...]:
        """With generated texts."""
        return self.systems_of(self.label)

    @property
    def control_systems(self) -> tuple[str, ...]:
        return tuple(system for control in self.controls for system in self.systems_of(control))

    def systems_of(self, label: str) -> tuple[str, ...]:
        return tuple(system_name(self.fusion.name, alpha, label) for alpha in self.alphas)

    def require_unit_texts(self, encoder: nn.Module) -> None:
        """`encoder` is that of the generated texts."""
        if self.fusion.needs_unit_texts and not encoder.normalize:
            raise UserError(
                f"augmentation.fusion must be a formula for vectors of any norm, got {self.fusion.name}: this encoder does not "
                "normalize its vectors. Use unit_mean"
            )

    def selection(self, layout: Layout) -> Selection:
        """Which of the stored sums belong to the wanted languages and numbers."""
        languages = None if layout.keep == "total" else self.languages
        return layout.select(languages, (self.number or None) if layout.keep == "count" else None)

    def counts_of_queries(self) -> tuple[int, int]:
        """The least and the greatest number of passages that a query is fused with."""
        most = self.number or None
        numbers = [sum(len(texts.texts.get(code, ())[:most]) for code in self.languages) for texts in self.generated]
        return min(numbers), max(numbers)

    def fused_queries(self, encoder: Encoder, queries_QD: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """For each alpha, the query vectors fused with those of the passages that were generated for them."""
        layout = Layout(queries_QD.shape[1], "total", self.languages)
        sums_1QD, counts_1Q = sum_generated_passages(encoder, list(self.generated), layout, self.number)
        parts = (torch.from_numpy(queries_QD), torch.from_numpy(sums_1QD[0]), torch.from_numpy(counts_1Q[0]))
        return [fuse_vectors(self.fusion, *parts, alpha).numpy() for alpha in self.alphas]


def require_languages_of(generated: GeneratedStore, languages: Sequence[str]) -> tuple[str, ...]:
    if unknown := [code for code in languages if code not in generated.languages]:
        raise UserError(
            f"augmentation.languages must be among {' '.join(generated.languages)}, the languages of the texts in "
            f"{generated.folder}, got '{unknown[0]}'"
        )
    return tuple(languages) or generated.languages
