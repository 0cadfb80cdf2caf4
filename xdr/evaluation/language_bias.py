"""Does a retriever prefer passages in some languages? Each query has a relevant passage in every language, saying the same: a
retriever without a preference ranks them next to each other, in one pool of all languages."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def parallel_ranks(
    rankings: Sequence[Sequence[Hashable]], gold: Sequence[Mapping[Hashable, str]], languages: Sequence[str]
) -> Values:
    """The rank, from 1, of each query's relevant passage in each of the L languages; of several, that of the best placed.
    `gold[q]` says the language of each relevant passage. inf: not retrieved; nan: the query has none in the language."""
    column = {language: i for i, language in enumerate(languages)}
    ranks_QL = np.full((len(gold), len(languages)), np.nan)
    for q, (ranking, language_of) in enumerate(zip(rankings, gold, strict=True)):
        for language in language_of.values():
            ranks_QL[q, column[language]] = np.inf
        for rank, passage in enumerate(ranking, 1):
            if passage in language_of:
                at = q, column[language_of[passage]]
                ranks_QL[at] = min(ranks_QL[at], rank)
    return ranks_QL


def rank_spread(ranks_QL: Values) -> Values:
    """The largest rank of parallel passages less the smallest (arXiv 2408.10536). nan where fewer than two languages have a
    relevant passage, or one was not retrieved: the spread is of complete rankings."""
    given_QL = _ranks_of_complete(ranks_QL)
    lowest_Q = np.min(given_QL, axis=1, initial=np.inf, where=~np.isnan(given_QL))
    highest_Q = np.max(given_QL, axis=1, initial=-np.inf, where=~np.isnan(given_QL))
    return np.where(np.isnan(given_QL).all(1), np.nan, highest_Q - lowest_Q)


def rank_distance(ranks_QL: Values) -> Values:
    """The mean of |rank - rank'| over all pairs of parallel passages; nan as for `rank_spread`. Unlike the spread it does not
    grow with the number of languages alone."""
    sorted_QL = np.sort(_ranks_of_complete(ranks_QL), axis=1)  # nan comes last
    num_Q = (~np.isnan(sorted_QL)).sum(1)
    position_L = np.arange(ranks_QL.shape[1])
    # in ascending order the i-th of n is subtracted n - 1 - i times and added i times
    total_Q = np.nansum(sorted_QL * (2 * position_L - num_Q[:, None] + 1), axis=1)
    pairs_Q = num_Q * (num_Q - 1) / 2
    distances_Q: Values = np.divide(total_Q, pairs_Q, out=np.full(len(ranks_QL), np.nan), where=pairs_Q > 0)
    return distances_Q


def _ranks_of_complete(ranks_QL: Values) -> Values:
    """All nan in the rows that have no value."""
    complete_Q = ~np.isinf(ranks_QL).any(1) & ((~np.isnan(ranks_QL)).sum(1) >= 2)
    return np.where(complete_Q[:, None], ranks_QL, np.nan)
