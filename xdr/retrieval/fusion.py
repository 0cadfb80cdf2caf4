"""Fusion: a vector and its companions' as one.

    sum         (1 - a) p + a s              the paper's (xQG): right where all counts are equal and norms are free
    mean        (1 - a) p + a s / c
    unit_mean   unit((1 - a) unit(p) + a unit(s))
    hyde_mean   (p + s) / (c + 1)            HyDE's (arXiv 2212.10496): no alpha, each weighs as much as any other

p is the vector of a passage, s the sum of its generated queries' vectors, c their number; on the query side p is the query's, s
the sum over its generated passages. Those with an alpha are (1 - a) u + a v, on a line from u to v, before `unit_mean` is
normalised again; `hyde_mean` is `mean` with a = c / (c + 1), c each vector's own.
N rows, D dimensions.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from xdr.errors import UserError, did_you_mean, shown
from xdr.retrieval.families import BlockVectors, Family
from xdr.retrieval.layout import Selection

Fusion: TypeAlias = Literal["sum", "mean", "unit_mean", "hyde_mean"]
Alpha: TypeAlias = float | None
"""None of `hyde_mean`, which has none."""
Side: TypeAlias = Literal["passages", "queries"]


def fuse(fusion: Fusion, vectors_ND: Tensor, sums_ND: Tensor, counts_N: Tensor, alpha: Alpha) -> Tensor:
    """The formula, for either side. Without companions (c = 0) `mean` keeps p as it is and `unit_mean` makes it unit(p). `sum`
    stays literal there, (1 - a) p: what no companion adds is not made up for. Such a passage is then placed lower by its
    factor alone, one of the reasons why `sum` is for equal counts."""
    if alpha is None:
        return (vectors_ND + sums_ND) / (counts_N[:, None] + 1)
    u_ND, v_ND = _ends(fusion, vectors_ND, sums_ND, counts_N)
    fused_ND = (1 - alpha) * u_ND + alpha * v_ND
    return _unit(fused_ND) if fusion == "unit_mean" else fused_ND


def baseline_family(name: str = "baseline") -> Family:
    """The passages alone."""
    return Family((name,), (0.0,), lambda vectors: (vectors.passages, vectors.passages))


def fused_families(fusion: Fusion, alphas: Sequence[Alpha], selection: Selection, label: str = "") -> list[Family]:
    """Systems to search, one an alpha. Scores of `sum` and `mean` are linear in alpha: one family answers all. Those of the
    others are not, and each has its own. `label` tells selections apart in the systems' names."""
    names = tuple(system_name(fusion, alpha, label) for alpha in alphas)
    weights = tuple(alpha for alpha in alphas if alpha is not None)
    if fusion in ("sum", "mean"):
        return [Family(names, weights, lambda vectors: _ends(fusion, vectors.passages, *vectors.companions(selection)))]
    return [Family((name,), (0.0,), _Fused(fusion, alpha, selection)) for name, alpha in zip(names, alphas, strict=True)]


def system_name(fusion: Fusion, alpha: Alpha, label: str = "") -> str:
    """`sum-a0.01`, `mean-a0.3-fi`, `hyde_mean`: a file name."""
    return fusion + ("" if alpha is None else f"-a{alpha:g}") + (f"-{label}" if label else "")


def require_alphas(fusion: str, alphas: Sequence[float]) -> tuple[Alpha, ...]:
    """The alphas in ascending order, (None,) of `hyde_mean`; what cannot be fused with is refused."""
    known = get_args(Fusion)
    if fusion not in known:
        raise UserError(
            f"augmentation.fusion is one of {', '.join(known)}, not {shown(fusion)}. {did_you_mean(fusion, known)}".strip()
        )
    if fusion == "hyde_mean":
        if alphas:
            raise UserError(
                f"augmentation.fusion=hyde_mean takes no alpha, and {shown(list(alphas))} came; set augmentation.alpha=null"
            )
        return (None,)
    if not alphas:
        raise UserError("augmentation.alpha is a number or a list of numbers, and none came")
    for alpha in alphas:
        if not 0 <= alpha <= 1:
            raise UserError(f"augmentation.alpha is the companions' share, from 0 to 1, and {alpha} came")
    if len({system_name("sum", alpha) for alpha in alphas}) < len(alphas):
        raise UserError(f"augmentation.alpha names each value once (to six digits), and {shown(list(alphas))} came")
    return tuple(sorted(alphas))


def fusion_warnings(fusion: Fusion, side: Side, counts: tuple[int, int], unit_norms: bool) -> list[str]:
    """What is doubtful about a fusion into the vectors of `side`, a sentence each. `counts`: the least and greatest number of
    companions. A passage's length decides its rank; a query's orders nothing, but those of its parts decide its direction."""
    found = []
    least, greatest = counts
    if fusion == "sum" and least < greatest:
        effect = {
            "passages": "those with more get longer vectors and higher scores whatever they say",
            "queries": "the more a query has, the less of its own is left",
        }[side]
        found.append(
            f"fusion=sum with {least} to {greatest} companions: {effect}; mean and unit_mean do not depend on their number"
        )
    if fusion in ("sum", "mean") and unit_norms:
        effect = {
            "passages": "fused vectors have norms of their own, which decide part of a ranking; unit_mean keeps them at 1",
            "queries": f"a {fusion} of unit vectors is no unit vector, so that alpha is not its share; of unit_mean it is",
        }[side]
        found.append(f"fusion={fusion} with an encoder of unit norms: {effect}")
    if greatest == 0:
        found.append(f"no vector has a companion: fusion={fusion} adds nothing to the {side}")
    return found


class _Fused:
    def __init__(self, fusion: Fusion, alpha: Alpha, selection: Selection) -> None:
        self._fusion, self._alpha, self._selection = fusion, alpha, selection

    def __call__(self, vectors: BlockVectors) -> tuple[Tensor, Tensor]:
        fused_ND = fuse(self._fusion, vectors.passages, *vectors.companions(self._selection), self._alpha)
        return fused_ND, fused_ND


def _ends(fusion: Fusion, vectors_ND: Tensor, sums_ND: Tensor, counts_N: Tensor) -> tuple[Tensor, Tensor]:
    if fusion == "sum":
        return vectors_ND, sums_ND
    if fusion == "mean":
        means_ND = sums_ND / counts_N.clamp(min=1)[:, None]
        return vectors_ND, means_ND.where(counts_N[:, None] > 0, vectors_ND)
    u_ND = _unit(vectors_ND)
    return u_ND, _unit(sums_ND).where(counts_N[:, None] > 0, u_ND)


def _unit(vectors_ND: Tensor) -> Tensor:
    """Zero stays zero."""
    norms_N1 = (vectors_ND * vectors_ND).sum(dim=1, keepdim=True).sqrt()
    return vectors_ND / norms_N1.where(norms_N1 > 0, 1)
