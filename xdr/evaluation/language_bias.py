"""Language bias: whether a retriever prefers passages in some languages.

Where a query has parallel relevant passages, one in each language, an unbiased retriever ranks them next to each other in one
pool of all languages.

Q queries, L languages of passages.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xdr.evaluation.ranking_metrics import Values, retrieved


def parallel_ranks(
    rankings: Iterable[ArrayLike], languages_of: Sequence[Mapping[Any, str]], languages: Sequence[str]
) -> Values:
    """(Q, L): the rank, from 1, of the first relevant passage in each language; inf if none was retrieved, nan if the query has
    none. `languages_of[q]` maps the relevant passages of query q to their languages."""
    column = {language: i for i, language in enumerate(languages)}
    ranks_QL = np.full((len(languages_of), len(languages)), np.nan)
    for q, (ranking, language_of) in enumerate(zip(rankings, languages_of, strict=True)):
        for language in language_of.values():
            ranks_QL[q, column[language]] = np.inf
        for rank, passage in retrieved(ranking, language_of):
            at = q, column[language_of[passage]]
            ranks_QL[at] = min(ranks_QL[at], rank)
    return ranks_QL


def rank_spread(ranks_QL: Values) -> Values:
    """The largest rank of parallel passages minus the smallest (arXiv 2408.10536); nan if fewer than two languages have a
    relevant passage, or one of the passages was not retrieved."""
    complete_Q = ~np.isinf(ranks_QL).any(1) & ((~np.isnan(ranks_QL)).sum(1) >= 2)
    spreads_Q = np.full(len(ranks_QL), np.nan)
    spreads_Q[complete_Q] = np.nanmax(ranks_QL[complete_Q], axis=1) - np.nanmin(ranks_QL[complete_Q], axis=1)
    return spreads_Q
