"""Fusion formulas: one vector from a vector and those of the texts generated for it.

    sum           (1 - a) p + a s                   the formula of xQG: for equal counts and vectors of any norm
    mean          (1 - a) p + a s / c
    unit_mean     unit((1 - a) unit(p) + a unit(s))
    unit_of_mean  unit((1 - a) unit(p) + a t / c)   texts that disagree weigh less: the norm of their mean is smaller
    hyde_mean     (p + s) / (c + 1)                 the formula of HyDE (arXiv 2212.10496): no alpha, all texts weigh the same

p is the vector of a passage, s the sum of the vectors of its generated queries, t the sum of these vectors scaled to norm 1, c
their number. On the query side, p is the vector of a query and s the sum over the passages that were generated for it. Stored
sums are s, so `unit_of_mean` asks for an encoder whose vectors have norm 1. `hyde_mean` is `mean` with a = c / (c + 1).

To add a formula, append a `Fusion` to `FUSIONS`. A formula outside the package is a `Fusion` in an importable module.
Shapes: N rows, D dimensions. Importing this module does not import torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from xdr.errors import UserError, did_you_mean, shown

if TYPE_CHECKING:
    from torch import Tensor

Alpha: TypeAlias = float | None
"""The weight of the generated texts; None for a formula without alpha."""
Side: TypeAlias = Literal["passages", "queries"]
QUERIES = "queries"
"""The label of systems whose queries are fused, beside those whose passages are."""
ControlName: TypeAlias = Literal["mean_text", "mean_text_by_language", "other_passages", "own_sentences"]
"""What is fused in the place of generated texts, for comparison; `xdr.vectors.controls` explains each."""


@dataclass(frozen=True)
class Fusion:
    """A formula whose vectors lie on a line: (1 - alpha) u + alpha v.

    `ends(vectors_ND, sums_ND, counts_N)` returns u and v. Each row must depend on its own inputs only. Without alpha, the
    fused vector is u. With `normalized`, the fused vector is scaled to norm 1. Scores of a formula that is not normalized are
    linear in alpha, so one pass over a collection answers all alphas.
    """

    name: str
    ends: Callable[["Tensor", "Tensor", "Tensor"], tuple["Tensor", "Tensor"]]
    normalized: bool = False
    takes_alpha: bool = True
    needs_equal_counts: bool = False
    """Scores depend on the number of generated texts; a warning says so where the numbers differ."""
    needs_unit_texts: bool = False
    """The sums must be of vectors of norm 1."""

    @property
    def is_linear(self) -> bool:
        return self.takes_alpha and not self.normalized

    def warnings(self, side: Side, counts: tuple[int, int], unit_norms: bool) -> list[str]:
        """Sentences about what is doubtful. `counts` is the least and the greatest number of generated texts of a vector;
        `unit_norms` says that all vectors of the encoder have norm 1."""
        sentences = []
        least, greatest = counts
        if self.needs_equal_counts and least < greatest:
            effect = {
                "passages": "passages with more of them get longer vectors, and so higher scores",
                "queries": "the more texts a query has, the less its own vector weighs",
            }[side]
            sentences.append(
                f"fusion={self.name} with {least} to {greatest} generated texts: {effect}. "
                "mean, unit_mean and unit_of_mean do not depend on the number"
            )
        if self.is_linear and unit_norms:
            effect = {
                "passages": "fused vectors have different norms, which affect the ranking. unit_mean keeps norm 1",
                "queries": "the fused vector does not have norm 1, so alpha is not the share of the generated texts. "
                "With unit_mean it is",
            }[side]
            sentences.append(f"fusion={self.name} with an encoder of unit norms: {effect}")
        if greatest == 0:
            sentences.append(f"no vector has a generated text: fusion={self.name} adds nothing to the {side}")
        return sentences


def _sum(vectors_ND: "Tensor", sums_ND: "Tensor", counts_N: "Tensor") -> tuple["Tensor", "Tensor"]:
    """Literal also for c = 0, where the result is (1 - a) p."""
    return vectors_ND, sums_ND


def _mean(vectors_ND: "Tensor", sums_ND: "Tensor", counts_N: "Tensor") -> tuple["Tensor", "Tensor"]:
    """p for c = 0."""
    means_ND = sums_ND / counts_N.clamp(min=1)[:, None]
    return vectors_ND, means_ND.where(counts_N[:, None] > 0, vectors_ND)


def _unit_mean(vectors_ND: "Tensor", sums_ND: "Tensor", counts_N: "Tensor") -> tuple["Tensor", "Tensor"]:
    """unit(p) for c = 0."""
    u_ND = unit(vectors_ND)
    return u_ND, unit(sums_ND).where(counts_N[:, None] > 0, u_ND)


def _unit_of_mean(vectors_ND: "Tensor", sums_ND: "Tensor", counts_N: "Tensor") -> tuple["Tensor", "Tensor"]:
    """unit(p) for c = 0."""
    return _mean(unit(vectors_ND), sums_ND, counts_N)


def _hyde_mean(vectors_ND: "Tensor", sums_ND: "Tensor", counts_N: "Tensor") -> tuple["Tensor", "Tensor"]:
    fused_ND = (vectors_ND + sums_ND) / (counts_N[:, None] + 1)
    return fused_ND, fused_ND


def unit(vectors_ND: "Tensor") -> "Tensor":
    """Vectors of norm 1; zero stays zero."""
    norms_N1 = (vectors_ND * vectors_ND).sum(dim=1, keepdim=True).sqrt()
    return vectors_ND / norms_N1.where(norms_N1 > 0, 1)


FUSIONS = {
    fusion.name: fusion
    for fusion in (
        Fusion("sum", _sum, needs_equal_counts=True),
        Fusion("mean", _mean),
        Fusion("unit_mean", _unit_mean, normalized=True),
        Fusion("unit_of_mean", _unit_of_mean, normalized=True, needs_unit_texts=True),
        Fusion("hyde_mean", _hyde_mean, takes_alpha=False),
    )
}


def fuse_vectors(fusion: Fusion, vectors_ND: "Tensor", sums_ND: "Tensor", counts_N: "Tensor", alpha: Alpha) -> "Tensor":
    """The fused vectors, (N, D)."""
    u_ND, v_ND = fusion.ends(vectors_ND, sums_ND, counts_N)
    fused_ND = u_ND if alpha is None else (1 - alpha) * u_ND + alpha * v_ND
    return unit(fused_ND) if fusion.normalized else fused_ND


def fusion_named(name: str, locate: Callable[[str], object] | None = None) -> Fusion:
    """The fusion with this name, or the one that `locate` finds at a dotted path (`mypackage.fusions.median`)."""
    if name in FUSIONS:
        return FUSIONS[name]
    if locate is None or "." not in name:
        remedy = did_you_mean(name, FUSIONS) or "a formula of your own is named by its dotted path"
        raise UserError(f"fusion must be one of {', '.join(FUSIONS)}, got {shown(name)}; {remedy}")
    fusion = locate(name)
    if not isinstance(fusion, Fusion):
        raise UserError(f"fusion must name an object of xdr.vectors.fusion.Fusion, got {name}, a {type(fusion).__name__}")
    if fusion.name != _last_part(name):
        raise UserError(f"the fusion at {name} must be named '{_last_part(name)}', got '{fusion.name}'")
    return fusion


def system_name(fusion: str, alpha: Alpha, label: str = "") -> str:
    """`sum-a0.01`, `mean-a0.3-fi`, `hyde_mean`: a file name. Of a dotted path only the last part is used."""
    return _last_part(fusion) + ("" if alpha is None else f"-a{alpha:g}") + (f"-{label}" if label else "")


def both_name(system: str, of_queries: str) -> str:
    """Of the system with fused passages and fused queries."""
    return f"{system}+{of_queries}"


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]


def require_alphas(fusion: Fusion, alphas: Sequence[float]) -> tuple[Alpha, ...]:
    """The alphas in ascending order, or (None,) for a formula without alpha."""
    if not fusion.takes_alpha:
        if alphas:
            raise UserError(f"alpha must be null with fusion={fusion.name}, got {shown(list(alphas))}")
        return (None,)
    if not alphas:
        raise UserError(f"alpha must be a number or a list of numbers with fusion={fusion.name}, got none")
    for alpha in alphas:
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha must be from 0 to 1, got {alpha}")
    if len({system_name(fusion.name, alpha) for alpha in alphas}) < len(alphas):
        raise UserError(f"alpha must not repeat a value (to six digits), got {shown(list(alphas))}")
    return tuple(sorted(alphas))
