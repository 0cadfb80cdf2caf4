"""Metrics of a search among some passages, those of one language or those judged for the query, computed from one ranking of
all passages.

A score depends on query and passage only, so a ranking of all passages has those of a language in the order in which a search
among them would rank them.

Q queries, K ranks, L languages of passages, P passages.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xdr.evaluation.language_bias import parallel_ranks, rank_spread
from xdr.evaluation.metric_names import CROSS, JUDGED, MONO, SPREAD
from xdr.evaluation.ranking_metrics import Relevance, Values, average_precision, ndcg, relevant_ranks


@dataclass(frozen=True)
class PassageLanguages:
    """`languages[of_row_P[row]]` is the language of the passage in that row of the collection."""

    languages: tuple[str, ...]
    of_row_P: NDArray[np.integer]

    def of_relevant(self, relevance: Relevance) -> dict[int, str]:
        """The languages of the relevant passages, by row."""
        return {row: self.languages[self.of_row_P[row]] for row, value in relevance.items() if value > 0}


def pool_values(
    measures: Collection[str],
    rankings_QK: NDArray[np.int64],
    qrels: Sequence[Relevance],
    query_languages: Sequence[str],
    passages: PassageLanguages,
) -> dict[str, Values]:
    """The values of each query by MAP-mono, MAP-cross, rank_spread and nDCG-judged, as far as `measures` names them."""
    values: dict[str, Values] = {}
    if MONO in measures or CROSS in measures:
        precisions_QL = precisions_by_language(rankings_QK, qrels, passages)
        own_QL = np.array(query_languages)[:, None] == np.array(passages.languages)
        values = {MONO: _mean(precisions_QL, own_QL), CROSS: _mean(precisions_QL, ~own_QL)}
    if SPREAD in measures:
        relevant = [passages.of_relevant(relevance) for relevance in qrels]
        values[SPREAD] = rank_spread(parallel_ranks(rankings_QK, relevant, passages.languages))
    if JUDGED in measures:
        known = [[row for row, value in relevance.items() if value >= 0] for relevance in qrels]  # as in trec_eval
        judged = (ranking_K[np.isin(ranking_K, rows)] for ranking_K, rows in zip(rankings_QK, known, strict=True))
        values[JUDGED] = ndcg(relevant_ranks(judged, qrels), rankings_QK.shape[1])
    return values


def precisions_by_language(rankings_QK: NDArray[np.int64], qrels: Sequence[Relevance], passages: PassageLanguages) -> Values:
    """(Q, L): the average precision in the pool of each language; nan where the query has no relevant passage in it."""
    columns = []
    for language in range(len(passages.languages)):
        member_P = passages.of_row_P == language
        pool = (ranking_K[member_P[ranking_K]] for ranking_K in rankings_QK)
        in_pool = [{row: value for row, value in relevance.items() if member_P[row]} for relevance in qrels]
        columns.append(average_precision(relevant_ranks(pool, in_pool), None))
    return np.stack(columns, axis=1)


def _mean(values_QL: Values, wanted_QL: NDArray[np.bool_]) -> Values:
    """The mean of the wanted values that are not nan; nan for none."""
    wanted_QL = wanted_QL & ~np.isnan(values_QL)
    number_Q = wanted_QL.sum(axis=1)
    means_Q: Values = np.divide(
        values_QL.sum(axis=1, where=wanted_QL), number_Q, out=np.full(len(values_QL), np.nan), where=number_Q > 0
    )
    return means_Q
