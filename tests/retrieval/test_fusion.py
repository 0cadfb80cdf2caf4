import pytest
import torch

from xdr.errors import UserError
from xdr.retrieval.fusion import Fusion, fuse, fused_families, fusion_warnings, require_alphas, system_name
from xdr.retrieval.layout import Layout

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
    """(3, 4) and two passages that add up to (0, 5): (1, 3). That is `mean` with alpha 2/3. Alone it is the query."""
    queries, sums, counts = torch.tensor([[3.0, 4.0]] * 2), torch.tensor([[0.0, 5.0], [0.0, 0.0]]), torch.tensor([2, 0])
    assert fuse("hyde_mean", queries, sums, counts, None).tolist() == [[1.0, 3.0], [3.0, 4.0]]
    assert torch.allclose(fuse("mean", queries, sums, counts, 2 / 3)[0], torch.tensor([1.0, 3.0]))


def test_systems_are_named_by_fusion_and_alpha() -> None:
    assert system_name("sum", 0.01) == "sum-a0.01"
    assert system_name("unit_mean", 0.2, "fi-n3") == "unit_mean-a0.2-fi-n3"
    assert [system_name("hyde_mean", alpha) for alpha in require_alphas("hyde_mean", [])] == ["hyde_mean"]
    selection = Layout(2, "total").select()
    (family,) = fused_families("sum", require_alphas("sum", [0.1, 0.0]), selection)
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
        ("sum", [], "a number or a list of numbers, and none came"),
        ("hyde_mean", [0.1], r"takes no alpha, and \[0.1\] came; set augmentation.alpha=null"),
        ("sum", [0.1, 0.1], "each value once"),
        ("unit-mean", [0.1], "not 'unit-mean'. did you mean 'unit_mean'?"),
    ],
)
def test_what_cannot_be_fused_with_is_refused(fusion: str, alphas: list[float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        require_alphas(fusion, alphas)


def test_a_doubtful_fusion_is_warned_of() -> None:
    assert fusion_warnings("sum", "passages", (35, 35), False) == fusion_warnings("mean", "passages", (0, 35), False) == []
    assert fusion_warnings("unit_mean", "passages", (0, 35), True) == []
    (longer,) = fusion_warnings("sum", "passages", (30, 35), False)
    assert longer.startswith("fusion=sum with 30 to 35 companions: those with more get longer vectors and higher scores")
    (drowned,) = fusion_warnings("sum", "queries", (1, 8), False)
    assert "the more a query has, the less of its own is left" in drowned
    for fusion in ("sum", "mean"):
        (norms,) = fusion_warnings(fusion, "passages", (35, 35), True)  # type: ignore[arg-type]  # one of the fusions
        assert norms.startswith(f"fusion={fusion} with an encoder of unit norms: fused vectors have norms of their own")
        (share,) = fusion_warnings(fusion, "queries", (8, 8), True)  # type: ignore[arg-type]  # likewise
        assert "alpha is not its share" in share
    assert fusion_warnings("mean", "queries", (0, 0), False) == [
        "no vector has a companion: fusion=mean adds nothing to the queries"
    ]
