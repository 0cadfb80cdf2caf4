"""How evenly a pool is augmented and corrected.

P passages.
"""

import numpy as np
from numpy.typing import NDArray

from xdr.evaluation.coverage import Coverage, balance_of, coverage_of, warn_of_augmentation, warn_of_bank
from xdr.evaluation.scoring import Qrels
from xdr.vectors.query_bank import OpenedBank
from xdr.writing.generated_store import GeneratedStore


def coverage_of_texts(generated: GeneratedStore, languages: tuple[str, ...], most: int, qrels: Qrels) -> Coverage:
    """Of the first `most` texts (0: all) of each passage in these languages."""
    numbers = generated.numbers(most)
    return coverage_of({language: numbers[language] for language in languages}, relevant_passages(qrels))


def relevant_passages(qrels: Qrels) -> NDArray[np.bool_]:
    """Which passages are relevant for a query."""
    is_relevant_P = np.zeros(len(qrels.passages.of_row_P), bool)
    is_relevant_P[[row for judged in qrels.relevance for row, grade in judged.items() if grade > 0]] = True
    return is_relevant_P


def uneven(coverage: Coverage | None, bank: OpenedBank | None, qrels: Qrels) -> list[str]:
    """Sentences about passages that are favoured, whatever the texts say."""
    sentences = [] if coverage is None else warn_of_augmentation(coverage.balance)
    if bank is not None and bank.rows is not None:
        is_relevant_P = relevant_passages(qrels)
        is_covered_P = np.zeros(len(is_relevant_P), bool)
        is_covered_P[list(bank.rows)] = True
        sentences += warn_of_bank(balance_of(is_covered_P, is_relevant_P))
    return sentences
