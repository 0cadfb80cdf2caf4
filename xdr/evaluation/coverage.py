"""How many passages have generated texts, and whether the relevant ones have them more often than the others.

Whatever is fused with questions, or left out of a correction's bank, is nearer to any question. If that happens to relevant
passages more often than to the others, scores rise by the choice of passages, whatever the texts say.

P passages, L languages.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from xdr.storage.fingerprint import Json

LEVEL, LEAST_DIFFERENCE = 0.01, 0.02


@dataclass(frozen=True)
class Share:
    """`covered` of `number` passages."""

    covered: int
    number: int

    @property
    def value(self) -> float:
        return self.covered / self.number if self.number else 0.0


@dataclass(frozen=True)
class Balance:
    """The passages that are relevant for a query of the evaluation, and the others."""

    relevant: Share
    others: Share

    @property
    def p(self) -> float:
        """Fisher's exact test of equal shares, two-sided."""
        table = [[share.covered, share.number - share.covered] for share in (self.relevant, self.others)]
        return float(fisher_exact(table).pvalue)

    @property
    def difference(self) -> float:
        return self.relevant.value - self.others.value

    @property
    def is_even(self) -> bool:
        """Shares differ by at most two points, or by no more than chance explains at a level of .01. A pool of one kind only is
        even."""
        if not self.relevant.number or not self.others.number:
            return True
        return abs(self.difference) <= LEAST_DIFFERENCE or self.p >= LEVEL


@dataclass(frozen=True)
class Coverage:
    """`least`, `mean` and `greatest` are numbers of texts a passage, over all passages. `by_language` has the passages with a
    text in a language of the texts."""

    passages: Share
    least: int
    mean: float
    greatest: int
    by_language: Mapping[str, Share]
    balance: Balance

    def as_json(self) -> dict[str, Json]:
        shares = {"passages": self.passages, "relevant": self.balance.relevant, "others": self.balance.others}
        return {
            **{name: {**asdict(share), "share": share.value} for name, share in shares.items()},
            "texts a passage": {"least": self.least, "mean": self.mean, "greatest": self.greatest},
            "languages": {language: {**asdict(share), "share": share.value} for language, share in self.by_language.items()},
            "p of equal shares": self.balance.p,
        }


def coverage_of(counts_by_language: Mapping[str, NDArray[np.integer]], is_relevant_P: NDArray[np.bool_]) -> Coverage:
    """From the number of texts of each passage, by language."""
    counts_P = np.zeros(len(is_relevant_P), np.int64)
    for of_language_P in counts_by_language.values():
        counts_P += of_language_P
    return Coverage(
        passages=_share(counts_P > 0),
        least=int(counts_P.min()),
        mean=float(counts_P.mean()),
        greatest=int(counts_P.max()),
        by_language={language: _share(of_language_P > 0) for language, of_language_P in counts_by_language.items()},
        balance=balance_of(counts_P > 0, is_relevant_P),
    )


def balance_of(is_covered_P: NDArray[np.bool_], is_relevant_P: NDArray[np.bool_]) -> Balance:
    return Balance(_share(is_covered_P[is_relevant_P]), _share(is_covered_P[~is_relevant_P]))


def _share(is_covered_P: NDArray[np.bool_]) -> Share:
    return Share(int(is_covered_P.sum()), len(is_covered_P))


def warn_of_augmentation(balance: Balance) -> list[str]:
    """One sentence where relevant passages and the others have generated texts to different shares."""
    if balance.is_even:
        return []
    found = "a gain is an artefact" if balance.difference > 0 else "a loss may be an artefact"
    relevant, others = _percent(balance.relevant), _percent(balance.others)
    return [
        f"{found} of the pool: {relevant} of the relevant passages and {others} of the others have generated texts. What has "
        "texts is nearer to any query. Augment all passages alike"
    ]


def warn_of_bank(balance: Balance) -> list[str]:
    """One sentence where the texts of a correction's bank ask about one side of the pool."""
    if balance.is_even:
        return []
    effect = "loss" if balance.difference > 0 else "gain"
    shares = f"{_percent(balance.relevant)} of the relevant passages, and about {_percent(balance.others)} of the others"
    return [
        f"a {effect} by the correction may be an artefact of the pool: its bank asks about {shares}. What the bank asks about "
        "falls in the ranking. Choose a bank that asks about all alike"
    ]


def _percent(share: Share) -> str:
    return f"{100 * share.value:.0f} %"
