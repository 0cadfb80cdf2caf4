"""An encoder as a teacher: the inner products of its vectors.

N pairs, Q distinct queries, P distinct passages, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdr.encoders.encoder import Encoder
from xdr.text.records import Passage, Query

_AT_ONCE = 8192
"""Pairs whose vectors are multiplied at one time."""


@dataclass(frozen=True)
class PairEncoder:
    """Encodes each distinct text of a call once."""

    encoder: Encoder

    def score(self, queries: Sequence[Query], passages: Sequence[Passage]) -> list[float]:
        texts = {text: row for row, text in enumerate(dict.fromkeys(query.text for query in queries))}
        distinct = {passage: row for row, passage in enumerate(dict.fromkeys(passages))}
        queries_QD = self.encoder.encode_queries([*texts])
        passages_PD = self.encoder.encode_passages([*distinct])
        rows_N = np.array([texts[query.text] for query in queries])
        columns_N = np.array([distinct[passage] for passage in passages])
        scores: list[float] = []
        for start in range(0, len(queries), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            scores += np.einsum("ND,ND->N", queries_QD[rows_N[part]], passages_PD[columns_N[part]]).tolist()
        return scores
