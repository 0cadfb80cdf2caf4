"""What of a passage's score is due to the passage itself, and what to each generated question.

A fused vector is A p + B s, divided by a norm where the formula normalises: p is the vector of the passage, s the sum over its
questions g. So a score is the sum of A q.p / norm and, for each question, B q.g / norm. A, B and the norm depend on all texts
of the passage: without a question, the shares of the others would be different.

T texts, D dimensions.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.vectors.fusion import Alpha, Fusion, fuse_vectors

_UNEXPLAINED = 1e-6
"""The part of a fused vector that may lie outside p and s, by rounding."""


class Shares(NamedTuple):
    """`rounding` is what the sum of the shares lacks: sums are stored in half precision, questions are encoded anew."""

    passage: float
    questions: list[float]
    rounding: float


def shares(
    fusion: Fusion,
    alpha: Alpha,
    query_D: NDArray[np.floating],
    passage_D: NDArray[np.floating],
    sum_D: NDArray[np.floating],
    questions_TD: NDArray[np.floating],
) -> Shares | None:
    """None for a formula of one's own whose vectors are not A p + B s: their scores have no shares."""
    p_D, s_D, q_D = (np.asarray(vector_D, np.float64) for vector_D in (passage_D, sum_D, query_D))
    vectors_ND, sums_ND = torch.from_numpy(p_D[None]), torch.from_numpy(s_D[None])
    fused_D = fuse_vectors(fusion, vectors_ND, sums_ND, torch.tensor([len(questions_TD)]), alpha)[0].numpy()
    parts_D2 = np.stack([p_D, s_D], axis=1)
    weights_2 = np.linalg.lstsq(parts_D2, fused_D, rcond=None)[0]
    if np.linalg.norm(parts_D2 @ weights_2 - fused_D) > _UNEXPLAINED * max(float(np.linalg.norm(fused_D)), 1e-300):
        return None
    of_passage, of_text = map(float, weights_2)
    passage = of_passage * float(q_D @ p_D)
    questions_T = of_text * (questions_TD.astype(np.float64) @ q_D)
    return Shares(passage, questions_T.tolist(), float(q_D @ fused_D) - passage - float(questions_T.sum()))
