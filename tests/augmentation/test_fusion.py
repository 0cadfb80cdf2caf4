import pytest
import torch

from xdr.augmentation.fusion import Fusion, fuse, fused_families, fusion_warnings, hyde_mean, require_alphas, system_name
from xdr.errors import UserError
from xdr.retrieval.embeddings import Layout

PASSAGES = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
SUMS = torch.tensor([[0.0, 10.0], [0.0, 0.0]])
COUNTS = torch.tensor([5, 0])


def fused(fusion: Fusion, alpha: float) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in fuse(fusion, PASSAGES, SUMS, COUNTS, alpha).tolist()]


def test_sum_is_the_papers_formula_literally_also_without_companions() -> None:
    assert fused("sum", 0.1) == [[2.7, 4.6], [2.7, 3.6]]


def test_mean_divides_by_the_true_count_and_leaves_passages_without_companions_alone() -> None:
    assert fused("mean", 0.5) == [[1.5, 3.0], [3.0, 4.0]]


def test_unit_mean_by_hand() -> None:
    """unit(p) = (.6, .8) and unit(s) = (0, 1). At 1/2 their mean is (.3, .9) = sqrt(.9) (.31623, .94868)."""
    assert fused("unit_mean", 0.5) == [[0.31623, 0.94868], [0.6, 0.8]]
    assert fused("unit_mean", 1.0) == [[0.0, 1.0], [0.6, 0.8]]
    assert fuse("unit_mean", torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1), 0.3).tolist() == [[0, 0]]


@pytest.mark.parametrize("fusion", ["sum", "mean"])
def test_at_alpha_zero_nothing_is_fused(fusion: Fusion) -> None:
    assert fused(fusion, 0.0) == PASSAGES.tolist()


def test_hydes_query_is_the_mean_of_the_query_and_its_passages() -> None:
    """(3, 4) and two passages that add up to (0, 5): (1, 3). That is `mean` with alpha 2/3."""
    queries, sums, counts = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 5.0]]), torch.tensor([2])
    assert hyde_mean(queries, sums, counts).tolist() == [[1.0, 3.0]]
    assert torch.allclose(fuse("mean", queries, sums, counts, 2 / 3), torch.tensor([[1.0, 3.0]]))


def test_systems_are_named_by_fusion_and_alpha() -> None:
    assert system_name("sum", 0.01) == "sum-a0.01"
    assert system_name("unit_mean", 0.2, "fi-n3") == "unit_mean-a0.2-fi-n3"
    selection = Layout(2, "total").select()
    (family,) = fused_families("sum", [0.1, 0.0], selection)
    assert (family.systems, family.weights) == (("sum-a0", "sum-a0.1"), (0.0, 0.1))
    assert [family.systems for family in fused_families("unit_mean", [0.1, 0.2], selection)] == [
        ("unit_mean-a0.1",),
        ("unit_mean-a0.2",),
    ]


@pytest.mark.parametrize(
    ("fusion", "alphas", "says"),
    [
        ("sum", [0.1, 1.5], "from 0 to 1, and 1.5 came"),
        ("sum", [-0.1], "from 0 to 1, and -0.1 came"),
        ("sum", [float("nan")], "from 0 to 1, and nan came"),
        ("sum", [], "an empty list came"),
        ("sum", [0.1, 0.1], "each value once"),
        ("unit-mean", [0.1], "not 'unit-mean'. did you mean 'unit_mean'?"),
    ],
)
def test_what_cannot_be_fused_with_is_refused(fusion: str, alphas: list[float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        require_alphas(fusion, alphas)


def test_a_doubtful_fusion_is_warned_of() -> None:
    def warnings(fusion: Fusion, counts: tuple[int, int], unit_norms: bool) -> list[str]:
        return fusion_warnings(fusion, side="passages", companions="generated_queries", counts=counts, unit_norms=unit_norms)

    assert warnings("sum", (35, 35), False) == warnings("mean", (0, 35), True) == warnings("unit_mean", (0, 35), True) == []
    (varying,) = warnings("sum", (30, 35), False)
    assert varying.startswith("fusion=sum with 30 to 35 companions")
    (unit_norms,) = warnings("sum", (35, 35), True)
    assert "unit norms" in unit_norms
    assert "no vector has a companion" in warnings("mean", (0, 0), False)[0]
    (wrong_side,) = fusion_warnings("mean", side="queries", companions="generated_queries", counts=(5, 5), unit_norms=False)
    assert wrong_side.startswith("generated queries are fused into queries")
