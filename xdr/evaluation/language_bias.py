"""Does a retriever prefer passages in some languages? Each query has a relevant passage in every language, saying the same: a
retriever without a preference ranks them next to each other, in one pool of all languages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xdr.evaluation.ranking_metrics import Values, retrieved


def parallel_ranks(rankings: Iterable[ArrayLike], gold: Sequence[Mapping[Any, str]], languages: Sequence[str]) -> Values:
    """The rank, from 1, of each query's relevant passage in each of the L languages; of several, that of the best placed.
    `gold[q]` says the language of each relevant passage. inf: not retrieved; nan: the query has none in the language."""
    column = {language: i for i, language in enumerate(languages)}
    ranks_QL = np.full((len(gold), len(languages)), np.nan)
    for q, (ranking, language_of) in enumerate(zip(rankings, gold, strict=True)):
        for language in language_of.values():
            ranks_QL[q, column[language]] = np.inf
        for rank, passage in retrieved(ranking, language_of):
            at = q, column[language_of[passage]]
            ranks_QL[at] = min(ranks_QL[at], rank)
    return ranks_QL


def rank_spread(ranks_QL: Values) -> Values:
    """The largest rank of parallel passages less the smallest (arXiv 2408.10536). nan where fewer than two languages have a
    relevant passage, or one was not retrieved: the spread is of complete rankings."""
    complete_Q = ~np.isinf(ranks_QL).any(1) & ((~np.isnan(ranks_QL)).sum(1) >= 2)
    spreads_Q = np.full(len(ranks_QL), np.nan)
    spreads_Q[complete_Q] = np.nanmax(ranks_QL[complete_Q], axis=1) - np.nanmin(ranks_QL[complete_Q], axis=1)
    return spreads_Q
