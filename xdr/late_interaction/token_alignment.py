"""Token alignment (DR.DECR, arXiv 2112.08185): a student's token vectors of a query become those that a teacher has of its
translation, whose tokens stand in another order; those of a passage become the teacher's, token by token.

Q queries, P passages, L and M their tokens, D dimensions.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def alignment_losses(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], query_weight: float
) -> Mapping[str, Tensor]:
    """The mean squared differences of the vectors of queries (Q, L, D), times `query_weight`, and of passages (P, M, D), times
    the rest. Zeros behind the tokens of a passage do not count."""
    (queries_QLD, passages_PMD), (of_queries_QLD, of_passages_PMD) = student, teacher
    real_PM = (of_passages_PMD != 0).any(-1)
    return {
        "queries": query_weight * F.mse_loss(queries_QLD, aligned(of_queries_QLD, queries_QLD)),
        "passages": (1 - query_weight) * F.mse_loss(passages_PMD[real_PM], of_passages_PMD[real_PM]),
    }


@torch.no_grad()
def aligned(teacher_QLD: Tensor, student_QLD: Tensor) -> Tensor:
    """The teacher's vectors in the order of the student's. Of all tokens that are left, the nearest pair by cosine comes
    together, until none is left: greedy, one to one, not the best sum."""
    cosines_QSL = F.normalize(student_QLD.float(), dim=-1) @ F.normalize(teacher_QLD.float(), dim=-1).transpose(1, 2)
    num_queries, num_tokens = cosines_QSL.shape[:2]
    rows_Q = torch.arange(num_queries, device=cosines_QSL.device)
    facing_QL = torch.empty(num_queries, num_tokens, dtype=torch.long, device=cosines_QSL.device)
    for _ in range(num_tokens):
        best_Q = cosines_QSL.flatten(1).argmax(1)
        student_Q, of_teacher_Q = best_Q // num_tokens, best_Q % num_tokens
        facing_QL[rows_Q, student_Q] = of_teacher_Q
        cosines_QSL[rows_Q, student_Q] = -torch.inf
        cosines_QSL[rows_Q, :, of_teacher_Q] = -torch.inf
    return teacher_QLD.gather(1, facing_QL[:, :, None].expand_as(teacher_QLD))
