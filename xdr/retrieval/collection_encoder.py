"""The vectors of passages, and beside each the sums of its questions' vectors, made in one pass.

N passages, G groups of questions as `Layout` keeps them, D dimensions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xdr.encoders.encoding import encode_companions, encode_texts
from xdr.encoders.texts import Texts
from xdr.encoders.tokenization import TextTokenizer
from xdr.retrieval.layout import Layout
from xdr.text.records import GeneratedTexts, Passage

ROWS_AT_ONCE = 1024
"""Passages whose vectors and sums are in memory together."""


@dataclass(frozen=True)
class Encoders:
    """`passages` is `queries` where they are one. Questions about a passage are read and encoded as queries are."""

    queries: nn.Module
    passages: nn.Module
    reader: TextTokenizer
    tokens_per_batch: int

    def encode_passages(self, passages: Sequence[Passage]) -> NDArray[np.float32]:
        vectors_ND: NDArray[np.float32] = encode_texts(
            self.passages, self.reader.passages(passages), self.tokens_per_batch
        ).numpy()
        return vectors_ND

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_QD: NDArray[np.float32] = encode_texts(self.queries, self.reader.queries(texts), self.tokens_per_batch).numpy()
        return vectors_QD

    def encode_questions(
        self, generated: Sequence[GeneratedTexts], layout: Layout, most: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(sums_GND, counts_GN) of the first `most` questions (0: of all) in each of the layout's languages."""
        return self._sums(self.queries, self.reader.queries, generated, layout, most)

    def encode_written(
        self, generated: Sequence[GeneratedTexts], layout: Layout, most: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same of passages that were written for queries; read and encoded as passages are."""
        return self._sums(self.passages, self._read_untitled, generated, layout, most)

    def _read_untitled(self, texts: Sequence[str]) -> Texts:
        return self.reader.passages([Passage("", "", text) for text in texts])

    def _sums(
        self,
        encoder: nn.Module,
        read: Callable[[Sequence[str]], Texts],
        generated: Sequence[GeneratedTexts],
        layout: Layout,
        most: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        owners, slots, texts = [], [], []
        places = {name: place for place, name in enumerate(layout.groups)}
        for row, its in enumerate(generated):
            for language in layout.languages:
                for position, text in enumerate(its.texts.get(language, ())[: most or None]):
                    owners.append(row)
                    slots.append(places[_slot(layout, language, position)])
                    texts.append(text)
        counts_SN = np.zeros((len(places), len(generated)), np.int64)
        np.add.at(counts_SN, (slots, owners), 1)
        if not texts:
            return np.zeros((*counts_SN.shape, layout.dimension), np.float32), counts_SN
        sums_SND = encode_companions(
            encoder,
            read(texts),
            torch.tensor(owners),
            torch.tensor(slots),
            len(generated),
            len(places),
            self.tokens_per_batch,
        )
        return _cumulated(layout, sums_SND), _cumulated(layout, torch.from_numpy(counts_SN))


def _slot(layout: Layout, language: str, position: int) -> str:
    """Where a question is summed first; as `count` keeps them, each position on its own."""
    return {"total": "all", "language": language, "count": f"{language}/{position + 1}"}[layout.keep]


def _cumulated(layout: Layout, slots_SNx: Tensor) -> NDArray:
    """As `count` keeps them: of the first, of the first two, ..."""
    if layout.keep == "count":
        by_language = slots_SNx.reshape(len(layout.languages), layout.count, *slots_SNx.shape[1:])
        slots_SNx = by_language.cumsum(1).flatten(0, 1)
    return slots_SNx.numpy()
