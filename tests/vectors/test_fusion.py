import subprocess
import sys

import numpy as np
import pytest
import torch

from xdr.errors import UserError
from xdr.retrieval.in_memory import fuse
from xdr.vectors.families import fused_family
from xdr.vectors.fusion import FUSIONS, Fusion, fuse_vectors, fusion_named, require_alphas, system_name
from xdr.vectors.layout import Layout

PASSAGES = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
SUMS = torch.tensor([[0.0, 10.0], [0.0, 0.0]])
COUNTS = torch.tensor([5, 0])


def fused(fusion: str, alpha: float) -> list[list[float]]:
    vectors = fuse_vectors(FUSIONS[fusion], PASSAGES, SUMS, COUNTS, alpha)
    return [[round(value, 5) for value in row] for row in vectors.tolist()]


def test_sum_is_the_papers_formula_literally_also_without_generated_texts() -> None:
    assert fused("sum", 0.1) == [[2.7, 4.6], [2.7, 3.6]]


def test_mean_divides_by_the_true_count_and_leaves_passages_without_generated_texts_alone() -> None:
    assert fused("mean", 0.5) == [[1.5, 3.0], [3.0, 4.0]]


def test_unit_mean_by_hand() -> None:
    """unit(p) = (.6, .8) and unit(s) = (0, 1). At 1/2 their mean is (.3, .9) = sqrt(.9) (.31623, .94868)."""
    assert fused("unit_mean", 0.5) == [[0.31623, 0.94868], [0.6, 0.8]]
    assert fused("unit_mean", 1.0) == [[0.0, 1.0], [0.6, 0.8]]
    assert fuse_vectors(FUSIONS["unit_mean"], torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1), 0.3).tolist() == [[0, 0]]


def test_unit_of_mean_by_hand() -> None:
    """unit(p) = (.6, .8) and s / c = (0, 2). At 1/4 their mean is (.45, 1.1), of norm 1.18849; at 1 (0, 2). Two texts of norm 1
    at a right angle, (1, 0) and (0, 1), have the mean (.5, .5): at 1/2 with (1, 0) it is unit(.75, .25)."""
    assert fused("unit_of_mean", 0.25) == [[0.37863, 0.92555], [0.6, 0.8]]
    assert fused("unit_of_mean", 1.0) == [[0.0, 1.0], [0.6, 0.8]]
    one = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([2])
    expected = torch.tensor([[3.0, 1.0]]) / 10**0.5
    assert torch.allclose(fuse_vectors(FUSIONS["unit_of_mean"], *one, 0.5), expected)
    texts = [np.array([[3.0, 0.0], [0.0, 5.0]])]
    assert np.allclose(fuse(np.array([[2.0, 0.0]]), texts, "unit_of_mean", 0.5), expected), "texts of any norm in memory"


@pytest.mark.parametrize("fusion", ["sum", "mean"])
def test_at_alpha_zero_nothing_is_fused(fusion: str) -> None:
    assert fused(fusion, 0.0) == PASSAGES.tolist()


def test_hydes_query_is_the_mean_of_the_query_and_its_passages() -> None:
    """(3, 4) and two passages that add up to (0, 5): (1, 3). That is `mean` with alpha 2/3. Alone it is the query."""
    queries, sums, counts = torch.tensor([[3.0, 4.0]] * 2), torch.tensor([[0.0, 5.0], [0.0, 0.0]]), torch.tensor([2, 0])
    assert fuse_vectors(FUSIONS["hyde_mean"], queries, sums, counts, None).tolist() == [[1.0, 3.0], [3.0, 4.0]]
    assert torch.allclose(fuse_vectors(FUSIONS["mean"], queries, sums, counts, 2 / 3)[0], torch.tensor([1.0, 3.0]))


def test_systems_are_named_by_fusion_and_alpha() -> None:
    assert system_name("sum", 0.01) == "sum-a0.01"
    assert system_name("unit_mean", 0.2, "fi-n3") == "unit_mean-a0.2-fi-n3"
    assert [system_name("hyde_mean", alpha) for alpha in require_alphas(FUSIONS["hyde_mean"], [])] == ["hyde_mean"]
    selection = Layout(2, "total").select()
    family = fused_family(FUSIONS["sum"], require_alphas(FUSIONS["sum"], [0.1, 0.0]), selection)
    assert (family.systems, family.weights) == (("sum-a0", "sum-a0.1"), (0.0, 0.1))
    assert fused_family(FUSIONS["unit_mean"], [0.1, 0.2], selection).systems == ("unit_mean-a0.1", "unit_mean-a0.2")


@pytest.mark.parametrize(
    ("fusion", "alphas", "says"),
    [
        ("sum", [0.1, 1.5], "alpha must be from 0 to 1, got 1.5"),
        ("sum", [-0.1], "from 0 to 1, got -0.1"),
        ("sum", [float("nan")], "from 0 to 1, got nan"),
        ("sum", [], "a number or a list of numbers with fusion=sum, got none"),
        ("hyde_mean", [0.1], r"alpha must be null with fusion=hyde_mean, got \[0.1\]"),
        ("sum", [0.1, 0.1], "must not repeat a value"),
        (
            "unit-mean",
            [0.1],
            "fusion must be one of sum, mean, unit_mean, unit_of_mean, hyde_mean, got 'unit-mean'; did you mean 'unit_mean'?",
        ),
    ],
)
def test_what_cannot_be_fused_with_is_refused(fusion: str, alphas: list[float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        require_alphas(fusion_named(fusion), alphas)


def test_a_doubtful_fusion_is_warned_of() -> None:
    assert FUSIONS["sum"].warnings("passages", (35, 35), False) == FUSIONS["mean"].warnings("passages", (0, 35), False) == []
    assert FUSIONS["unit_mean"].warnings("passages", (0, 35), True) == []
    (counts,) = FUSIONS["sum"].warnings("passages", (30, 35), False)
    assert counts.startswith("fusion=sum with 30 to 35 generated texts: passages with more of them get longer vectors")
    (counts,) = FUSIONS["sum"].warnings("queries", (1, 8), False)
    assert "the more texts a query has, the less its own vector weighs" in counts
    for name in ("sum", "mean"):
        (norms,) = FUSIONS[name].warnings("passages", (35, 35), True)
        assert norms.startswith(f"fusion={name} with an encoder of unit norms: fused vectors have different norms")
        (share,) = FUSIONS[name].warnings("queries", (8, 8), True)
        assert "alpha is not the share" in share
    assert FUSIONS["mean"].warnings("queries", (0, 0), False) == [
        "no vector has a generated text: fusion=mean adds nothing to the queries"
    ]


def largest(vectors: torch.Tensor, sums: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return vectors, torch.maximum(vectors, sums)


maximum = Fusion("maximum", largest)
misnamed = Fusion("largest", largest)


def locate(path: str) -> object:
    assert path.startswith("mine.")
    return globals()[path.removeprefix("mine.")]


def test_a_formula_outside_the_package_is_named_by_its_dotted_path() -> None:
    fusion = fusion_named("mine.maximum", locate)
    assert fuse_vectors(fusion, PASSAGES, SUMS, COUNTS, 0.5).tolist() == [[3, 7], [3, 4]]
    family = fused_family(fusion, [0.1, 0.2], Layout(2, "total").select())
    assert family.systems == ("maximum-a0.1", "maximum-a0.2"), "linear in alpha: one pass for all"
    assert system_name("mine.maximum", 0.1) == "maximum-a0.1", "as settings name it"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mine.largest", "must name an object of xdr.vectors.fusion.Fusion, got mine.largest, a function"),
        ("mine.misnamed", "the fusion at mine.misnamed must be named 'misnamed', got 'largest'"),
        ("largest", "got 'largest'; a formula of your own is named by its dotted path"),
    ],
)
def test_what_is_no_fusion_is_refused(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        fusion_named(name, locate)


def test_the_names_are_known_without_torch() -> None:
    code = (
        "import sys; from xdr.vectors.fusion import FUSIONS; assert 'unit_mean' in FUSIONS; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
