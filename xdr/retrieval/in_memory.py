"""Fusion and exact search of arrays, for notebooks and scripts. The pipelines' formulas and search do the work.

Q queries, P passages, N rows of a block, D dimensions. Arrays are NumPy's or torch's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.errors import UserError
from xdr.retrieval.hubness import measure
from xdr.retrieval.search import search as search_embeddings
from xdr.retrieval.trec_runs import Run
from xdr.vectors.corrections import Csls
from xdr.vectors.embeddings import Rows
from xdr.vectors.families import Offset, baseline_family
from xdr.vectors.fusion import Alpha, Fusion, fuse_vectors, fusion_named, require_alphas, unit
from xdr.vectors.layout import Selection
from xdr.vectors.query_bank import QueryBank

Array: TypeAlias = NDArray[np.floating] | Tensor


def fuse(
    passages: Array, generated: Sequence[Array] | Array, fusion: str | Fusion = "mean", alpha: Alpha = 0.3
) -> NDArray[np.float32]:
    """Fuses the vectors of generated queries into those of their passages, (P, D).

    `generated[i]` holds the vectors of the queries of passage i, (number, D); a passage may have none. `fusion` is `sum`,
    `mean`, `unit_mean`, `unit_of_mean`, `hyde_mean` (with `alpha=None`) or a `Fusion` of your own. The same call fuses
    generated passages into queries.

    >>> import numpy as np
    >>> fuse(np.eye(2), [np.array([[0.0, 1.0], [0.0, 3.0]]), np.zeros((0, 2))], fusion="mean", alpha=0.5)
    array([[0.5, 1. ],
           [0. , 1. ]], dtype=float32)
    """
    vectors_PD = _matrix(passages, "passages")
    groups = [_matrix(group, "generated", vectors_PD.shape[1]) for group in generated]
    if len(groups) != len(vectors_PD):
        raise UserError(f"generated must have one array for each of the {len(vectors_PD):,} passages, got {len(groups):,}")
    formula = fusion_named(fusion) if isinstance(fusion, str) else fusion
    (checked,) = require_alphas(formula, [] if alpha is None else [alpha])
    if formula.needs_unit_texts:
        groups = [unit(torch.from_numpy(group)).numpy() for group in groups]
    sums_PD = np.stack([group.sum(axis=0) for group in groups])
    counts_P = torch.tensor([len(group) for group in groups])
    fused_PD = fuse_vectors(formula, torch.from_numpy(vectors_PD), torch.from_numpy(sums_PD), counts_P, checked)
    return np.asarray(fused_PD.numpy(), np.float32)


def search(
    queries: Array,
    passages: Array,
    k: int,
    *,
    query_ids: Sequence[str] | None = None,
    passage_ids: Sequence[str] | None = None,
    offsets: NDArray[np.floating] | None = None,
    device: str = "cpu",
) -> Run:
    """The `k` passages with the largest inner products for each query: `{query_id: {passage_id: score}}`, best first.

    The search is exact, and ties are ordered by passage id. Without ids, rows are numbered from "0". `offsets` are added to the
    scores of the passages (`hub_correction`).

    >>> import numpy as np
    >>> search(np.array([[1.0, 2.0]]), np.eye(2), k=2, query_ids=["q1"], passage_ids=["a", "b"])
    {'q1': {'b': 2.0, 'a': 1.0}}
    """
    queries_QD, vectors_PD = _matrix(queries, "queries"), _matrix(passages, "passages")
    query_ids = _ids(query_ids, len(queries_QD), "query_ids")
    embeddings = ArrayEmbeddings(vectors_PD, _ids(passage_ids, len(vectors_PD), "passage_ids"))
    family = baseline_family()
    if offsets is not None:
        if np.shape(offsets) != (len(vectors_PD),):
            raise UserError(f"offsets must be {len(vectors_PD):,} numbers, one a passage, got shape {np.shape(offsets)}")
        family = replace(family, offsets=(Offset(np.asarray(offsets), 1.0),))
    (rankings,) = search_embeddings(embeddings, queries_QD, [family], k, device=device).values()
    run: Run = {}
    for query_id, rows_K, scores_K in zip(query_ids, rankings.rows_QK, rankings.scores_QK, strict=True):
        run[query_id] = dict(zip(embeddings.ids(rows_K), scores_K.tolist(), strict=True))
    return run


def hub_correction(passages: Array, bank: Array, *, k: int = 10, strength: float = 1.0) -> NDArray[np.float32]:
    """CSLS: what to add to the scores of each passage so that hubs, passages that are near to any query, fall.

    It is minus `strength` times the mean inner product of the passage with its `k` nearest vectors of `bank`: queries that are
    not those of the test.

    >>> import numpy as np
    >>> passages, bank = np.array([[2.0, 0.0], [1.5, 1.5]]), np.array([[0.0, 2.0], [1.0, 1.0]])
    >>> offsets = hub_correction(passages, bank, k=2)
    >>> offsets
    array([-1., -3.], dtype=float32)
    >>> query = np.array([[1.5, 0.75]])
    >>> search(query, passages, k=2), search(query, passages, k=2, offsets=offsets)
    ({'0': {'1': 3.375, '0': 3.0}}, {'0': {'0': 2.0, '1': 0.375}})
    """
    vectors_PD = _matrix(passages, "passages")
    bank_BD = _matrix(bank, "bank", vectors_PD.shape[1])
    if not len(bank_BD):
        raise UserError("bank must have at least one vector, got none")
    correction = Csls(k, [strength], QueryBank(None, 0, None, 0))
    embeddings = ArrayEmbeddings(vectors_PD, _ids(None, len(vectors_PD), "passage_ids"))
    measures_AMN = measure(embeddings, [baseline_family()], bank_BD, np.full(len(bank_BD), -1), correction)
    return np.asarray(-strength * measures_AMN[0, 0], np.float32)


@dataclass(frozen=True)
class ArrayEmbeddings:
    """A collection in memory, as searches read it."""

    vectors_PD: NDArray[np.float32]
    passage_ids: Sequence[str]
    name: str = "passages"

    @property
    def dimension(self) -> int:
        return int(self.vectors_PD.shape[1])

    def __len__(self) -> int:
        return len(self.vectors_PD)

    def num_rows(self, shards: Sequence[int]) -> int:
        raise AssertionError("arrays have no shards")

    def blocks(self, num_rows: int, shards: Sequence[int] | None = None) -> Iterator["ArrayBlock"]:
        for first in range(0, len(self), num_rows):
            yield ArrayBlock(first, self.vectors_PD[first : first + num_rows])

    def ids(self, rows: NDArray[np.integer]) -> list[str]:
        return [self.passage_ids[row] for row in rows.tolist()]


@dataclass(frozen=True)
class ArrayBlock:
    first_row: int
    vectors_ND: NDArray[np.float32]

    @property
    def num_rows(self) -> int:
        return len(self.vectors_ND)

    def passages(self, rows: Rows | None = None) -> NDArray[np.float32]:
        return self.vectors_ND if rows is None else self.vectors_ND[rows]

    def generated(self, selection: Selection, rows: Rows | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        raise AssertionError("arrays are fused before they are searched")


def _matrix(array: Array, name: str, dimension: int | None = None) -> NDArray[np.float32]:
    values = array.detach().cpu().float().numpy() if isinstance(array, Tensor) else np.asarray(array, np.float32)
    if values.ndim != 2 or dimension not in (None, values.shape[1]):
        shape = f"(number, {dimension or 'dimensions'})"
        raise UserError(f"{name} must be an array of shape {shape}, got shape {tuple(values.shape)}")
    return np.ascontiguousarray(values)


def _ids(ids: Sequence[str] | None, number: int, name: str) -> Sequence[str]:
    if ids is None:
        return [str(row) for row in range(number)]
    if len(ids) != number or len(set(ids)) != number:
        raise UserError(f"{name} must be {number:,} different ids, one a vector, got {len(set(ids)):,} among {len(ids):,}")
    return ids
