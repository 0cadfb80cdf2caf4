"""Sums of the vectors of generated texts, as a layout keeps them.

N passages, S slots (a sum is started in each), G groups of a `Layout`, D dimensions.
"""

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xdr.encoders.encoder import Encoder
from xdr.encoders.encoding import encode_sums
from xdr.encoders.texts import Texts
from xdr.text.records import GeneratedTexts, Passage
from xdr.vectors.layout import Layout

ROWS_AT_ONCE = 1024
"""Passages whose vectors and sums are in memory together."""

Sums = tuple[NDArray[np.float32], NDArray[np.int64]]
"""(sums_GND, counts_GN)"""


def sum_generated_queries(encoder: Encoder, generated: Sequence[GeneratedTexts], layout: Layout, most: int) -> Sums:
    """The sums and counts of the first `most` queries (0: all) in each language of the layout."""
    return _sums(encoder, encoder.queries, encoder.tokenizer.queries, generated, layout, most)


def sum_generated_passages(encoder: Encoder, generated: Sequence[GeneratedTexts], layout: Layout, most: int) -> Sums:
    """The same for passages that were generated for queries. They have no title."""

    def tokenize(texts: Sequence[str]) -> Texts:
        return encoder.tokenizer.passages([Passage("", "", text) for text in texts])

    return _sums(encoder, encoder.passages, tokenize, generated, layout, most)


def _sums(
    encoder: Encoder,
    module: nn.Module,
    tokenize: Callable[[Sequence[str]], Texts],
    generated: Sequence[GeneratedTexts],
    layout: Layout,
    most: int,
) -> Sums:
    slots = {name: number for number, name in enumerate(layout.groups)}
    placed = [
        (row, slots[_slot(layout, language, position)], text)
        for row, of_row in enumerate(generated)
        for language in layout.languages
        for position, text in enumerate(islice(of_row.texts.get(language, ()), most or None))
    ]
    rows = torch.tensor([row for row, _, _ in placed], dtype=torch.int64)
    slots_T = torch.tensor([slot for _, slot, _ in placed], dtype=torch.int64)
    shape = len(slots), len(generated)
    counts_SN = torch.bincount(slots_T * shape[1] + rows, minlength=shape[0] * shape[1]).view(shape)
    if not placed:
        return np.zeros((*shape, layout.dimension), np.float32), counts_SN.numpy()
    texts = tokenize([text for _, _, text in placed])
    sums_SND = encode_sums(module, texts, rows, slots_T, shape[1], shape[0], encoder.tokens_per_batch)
    return _sums_of_groups(layout, sums_SND), _sums_of_groups(layout, counts_SN)


def _slot(layout: Layout, language: str, position: int) -> str:
    """The group to which a text is added first; with keep=count, each position has its own."""
    return {"total": "all", "language": language, "count": f"{language}/{position + 1}"}[layout.keep]


def _sums_of_groups(layout: Layout, slots_SNx: Tensor) -> NDArray:
    """With keep=count, group c of a language is the sum of its slots 1 to c; otherwise slots are groups."""
    if layout.keep == "count":
        by_language = slots_SNx.reshape(len(layout.languages), layout.count, *slots_SNx.shape[1:])
        slots_SNx = by_language.cumsum(1).flatten(0, 1)
    return slots_SNx.numpy()
