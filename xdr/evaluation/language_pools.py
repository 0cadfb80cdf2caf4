"""Each query searched among the passages of one language alone, and among all: from one ranking of them all. A score depends on
query and passage alone, so a language's passages stand there in the very order in which searching them alone would put them.

Q queries, K ranks, L languages of passages, P passages.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdr.evaluation.language_bias import parallel_ranks, rank_spread
from xdr.evaluation.metric_names import CROSS, MONO, SPREAD
from xdr.evaluation.ranking_metrics import Judged, Values, average_precision, relevant_ranks


@dataclass(frozen=True)
class PassageLanguages:
    """`languages[of_row_P[row]]` is the language of the passage in that row of the collection."""

    languages: tuple[str, ...]
    of_row_P: NDArray[np.integer]

    def of_relevant(self, judged: Judged) -> dict[int, str]:
        """By row."""
        return {row: self.languages[self.of_row_P[row]] for row, relevance in judged.items() if relevance > 0}


def pool_values(
    measures: Collection[str],
    rankings_QK: NDArray[np.int64],
    judgements: Sequence[Judged],
    query_languages: Sequence[str],
    passages: PassageLanguages,
) -> dict[str, Values]:
    """Of those of MAP-mono, MAP-cross and rank_spread that are wanted, the values of all queries."""
    found = {}
    if MONO in measures or CROSS in measures:
        precisions_QL = precisions_by_language(rankings_QK, judgements, passages)
        own_QL = np.array(query_languages)[:, None] == np.array(passages.languages)
        found = {MONO: _mean(precisions_QL, own_QL), CROSS: _mean(precisions_QL, ~own_QL)}
    if SPREAD in measures:
        relevant = [passages.of_relevant(judged) for judged in judgements]
        found[SPREAD] = rank_spread(parallel_ranks(rankings_QK, relevant, passages.languages))
    return found


def precisions_by_language(rankings_QK: NDArray[np.int64], judgements: Sequence[Judged], passages: PassageLanguages) -> Values:
    """(Q, L): the average precision in the pool of each language; nan where the query has no relevant passage in it."""
    columns = []
    for language in range(len(passages.languages)):
        member_P = passages.of_row_P == language
        pool = (ranking_K[member_P[ranking_K]] for ranking_K in rankings_QK)
        judged = [{row: relevance for row, relevance in its.items() if member_P[row]} for its in judgements]
        columns.append(average_precision(relevant_ranks(pool, judged), None))
    return np.stack(columns, axis=1)


def _mean(values_QL: Values, wanted_QL: NDArray[np.bool_]) -> Values:
    """Of the wanted values that are there; nan for none."""
    wanted_QL = wanted_QL & ~np.isnan(values_QL)
    number_Q = wanted_QL.sum(axis=1)
    means_Q: Values = np.divide(
        values_QL.sum(axis=1, where=wanted_QL), number_Q, out=np.full(len(values_QL), np.nan), where=number_Q > 0
    )
    return means_Q
