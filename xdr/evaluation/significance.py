"""Is a system better than the baseline, or is it the choice of queries? Per language, and for the mean over languages (macro).

Paired by query. Two tests: the paired t-test, as the literature reports it, and randomisation by flipping signs, which
assumes nothing about values that are 0 or 1. Both test the very number that is reported: for macro the mean of the languages'
means, its queries weighted accordingly. p-values are corrected by Holm's method over all comparisons of one metric.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError, did_you_mean
from xdr.evaluation.paired_tests import effect_size, holm, stratified_mean, t_test_p
from xdr.evaluation.per_query import MACRO, PerQuery
from xdr.evaluation.resampling import flipped_means, resampled_means, sign_flip_p
from xdr.storage.fingerprint import Json

Array = NDArray[np.float64]

T_TEST = "paired t-test"
RANDOMISATION = "sign-flip randomisation"


@dataclass(frozen=True)
class Testing:
    """`num_samples` of the randomisation and of the bootstrap."""

    num_samples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Comparison:
    """`system` minus `baseline`. `p` and `corrected_p` are by test; None where no test is possible, and `note` says why."""

    metric: str
    baseline: str
    system: str
    language: str
    n: int
    mean_difference: float
    confidence: float
    confidence_interval: tuple[float, float]
    p: Mapping[str, float | None]
    corrected_p: Mapping[str, float | None]
    effect_size: float | None
    family: str
    family_size: Mapping[str, int]
    """By test: those in which it was possible."""
    pairing: str
    note: str

    def as_json(self) -> dict[str, Json]:
        return {**asdict(self), "confidence_interval": list(self.confidence_interval)}


@dataclass(frozen=True)
class _Row:
    """One comparison before its correction."""

    system: str
    language: str
    strata: Sequence[Array]
    interval: tuple[float, float]
    p: Mapping[str, float | None]
    note: str


def compare_systems(
    systems: Mapping[str, PerQuery],
    baseline: str,
    metric: str,
    *,
    num_samples: int,
    confidence: float,
    generator: np.random.Generator,
) -> list[Comparison]:
    """The baseline against every other system: each language, then macro."""
    _check_settings(systems, baseline, num_samples, confidence)
    names = [name for name in systems if name != baseline]
    differences = {name: _differences(systems, baseline, name, metric) for name in names}  # by language, paired
    languages = list(systems[baseline].rows_by_language(metric))
    if not languages:
        raise UserError(f"{metric} has a value for no query: there is nothing to compare")
    together = {language: np.stack([differences[name][language] for name in names], axis=1) for language in languages}
    flipped = {language: flipped_means(together[language], num_samples, generator) for language in languages}
    resampled = {language: resampled_means(together[language], num_samples, generator) for language in languages}
    groups = {language: [language] for language in languages}
    if len(languages) > 1:  # else macro is no other comparison, and must not count twice in the family
        groups[MACRO] = languages
    rows = []
    for i, name in enumerate(names):
        for group, members in groups.items():
            strata = [differences[name][member] for member in members]
            flipped_M = np.mean([flipped[member][:, i] for member in members], axis=0)
            resampled_M = np.mean([resampled[member][:, i] for member in members], axis=0)
            p, note = _tests(strata, members, flipped_M)
            rows.append(_Row(name, group, strata, _interval(resampled_M, confidence), p, note))
    comparisons = _corrected(rows, metric, baseline, confidence)
    if len(languages) == 1:
        return [each for one in comparisons for each in (one, replace(one, language=MACRO))]
    return comparisons


def too_few_samples(comparisons: Sequence[Comparison], num_samples: int) -> list[str]:
    """A sentence if no difference can be significant: randomisation finds no p below 1 / (samples + 1), and Holm's method
    multiplies the least by the size of the family."""
    size, level = max(((each.family_size[RANDOMISATION], 1 - each.confidence) for each in comparisons), default=(0, 1.0))
    if size / (num_samples + 1) <= level:
        return []
    return [
        f"evaluation.num_samples={num_samples} is too few for a family of {size} comparisons: no p can come out below "
        f"{size / (num_samples + 1):.2g} after correction. Set {math.ceil(size / level)} or more"
    ]


def _interval(resampled_M: Array, confidence: float) -> tuple[float, float]:
    """The bootstrap's percentiles."""
    low, high = np.quantile(resampled_M, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _check_settings(systems: Mapping[str, PerQuery], baseline: str, num_samples: int, confidence: float) -> None:
    if baseline not in systems:
        remedy = did_you_mean(baseline, systems) or f"the systems are {', '.join(systems)}"
        raise UserError(f"the baseline '{baseline}' is not among the systems; {remedy}")
    if len(systems) < 2:
        raise UserError(f"a comparison is of two systems, and '{baseline}' is the only one")
    if num_samples < 1:
        raise UserError(f"tests take at least one sample, and {num_samples} came")
    if not 0 < confidence < 1:
        raise UserError(f"a confidence is between 0 and 1, and {confidence} came; 0.95 is usual")


def _differences(systems: Mapping[str, PerQuery], baseline: str, name: str, metric: str) -> dict[str, Array]:
    """By language, in the baseline's order of queries."""
    ours, theirs = systems[baseline], systems[name]
    require_same_queries(set(ours.query_ids), set(theirs.query_ids), baseline, name)
    row_of = {query_id: row for row, query_id in enumerate(theirs.query_ids)}
    order = [row_of[query_id] for query_id in ours.query_ids]
    for query_id, language, row in zip(ours.query_ids, ours.languages, order, strict=True):
        if theirs.languages[row] != language:
            came = f"'{language}' in {baseline} and '{theirs.languages[row]}' in {name}"
            raise UserError(
                f"systems are compared on the same queries, and query {query_id} is {came}; were they of one benchmark?"
            )
    before, after = ours.metric(metric), theirs.metric(metric)[order]
    valued = [{ours.query_ids[row] for row in np.flatnonzero(~np.isnan(values))} for values in (before, after)]
    require_same_queries(valued[0], valued[1], baseline, name, f"queries with a value of {metric}")
    return {language: (after - before)[rows] for language, rows in ours.rows_by_language(metric).items()}


def require_same_queries(ours: set[str], theirs: set[str], baseline: str, name: str, what: str = "queries") -> None:
    if ours == theirs:
        return
    counts = []
    for only, system in ((ours - theirs, baseline), (theirs - ours, name)):
        if only:
            counts.append(f"{len(only)} only in {system} ({', '.join(sorted(only)[:3])}{' ...' if len(only) > 3 else ''})")
    remedy = "Score both on the same split of the same benchmark"
    raise UserError(f"systems are compared on the same {what}, and {', '.join(counts)}. {remedy}")


def _tests(strata: Sequence[Array], languages: Sequence[str], flipped_M: Array) -> tuple[dict[str, float | None], str]:
    """p by test, and what there is to say about them."""
    single = [language for language, stratum in zip(languages, strata, strict=True) if len(stratum) == 1]
    if len(single) == len(languages) == 1:
        return {T_TEST: None, RANDOMISATION: None}, "one query: no test is possible"
    weighted = np.concatenate([stratum / (len(stratum) * len(strata)) for stratum in strata])
    p: dict[str, float | None] = {T_TEST: t_test_p(strata), RANDOMISATION: sign_flip_p(weighted, flipped_M)}
    if not weighted.any():
        return p, "no query differs"
    if single:
        return p, f"one query in {', '.join(single)}: no t-test and no effect size"
    if p[T_TEST] is None:
        return p, "all queries differ by the same amount: no t-test and no effect size"
    return p, ""


def _corrected(rows: Sequence[_Row], metric: str, baseline: str, confidence: float) -> list[Comparison]:
    """Each test over those comparisons in which it was possible."""
    corrected: list[dict[str, float | None]] = [{} for _ in rows]
    sizes = {}
    for test in (T_TEST, RANDOMISATION):
        tested = {i: p for i, row in enumerate(rows) if (p := row.p[test]) is not None}
        of_tested = dict(zip(tested, holm(list(tested.values())), strict=True))
        sizes[test] = len(tested)
        for i in range(len(rows)):
            corrected[i][test] = of_tested.get(i)
    family = f"all comparisons of {metric} with {baseline}, Holm: " + ", ".join(f"{m} x {test}" for test, m in sizes.items())
    return [
        Comparison(
            metric=metric,
            baseline=baseline,
            system=row.system,
            language=row.language,
            n=sum(map(len, row.strata)),
            mean_difference=stratified_mean(row.strata),
            confidence=confidence,
            confidence_interval=row.interval,
            p=row.p,
            corrected_p=corrected_p,
            effect_size=effect_size(row.strata),
            family=family,
            family_size=sizes,
            pairing="query id",
            note=row.note,
        )
        for row, corrected_p in zip(rows, corrected, strict=True)
    ]


def corrected_together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons of several baselines as one family for each metric. Where a system has one language, its macro is no other
    comparison and does not count twice."""
    languages: dict[tuple[str, str], set[str]] = {}
    for each in comparisons:
        languages.setdefault((each.metric, each.system), set()).add(each.language)
    counted = [each for each in comparisons if each.language != MACRO or len(languages[each.metric, each.system]) > 2]
    corrected: dict[tuple[str, str, str, str], float] = {}
    sizes: dict[str, dict[str, int]] = {}
    for metric in dict.fromkeys(each.metric for each in counted):
        sizes[metric] = {}
        for test in (T_TEST, RANDOMISATION):
            tested = {(metric, e.system, e.language): p for e in counted if e.metric == metric and (p := e.p[test]) is not None}
            corrected |= {(*key, test): p for key, p in zip(tested, holm(list(tested.values())), strict=True)}
            sizes[metric][test] = len(tested)

    def family(metric: str) -> str:
        told = ", ".join(f"{number} x {test}" for test, number in sizes[metric].items())
        return f"all comparisons of {metric} in the sweep, Holm: {told}"

    def of(each: Comparison, test: str) -> float | None:
        (language, *more) = languages[each.metric, each.system] - {MACRO}
        return corrected.get((each.metric, each.system, each.language if more else language, test))

    return [
        replace(
            each,
            corrected_p={test: of(each, test) for test in (T_TEST, RANDOMISATION)},
            family=family(each.metric),
            family_size=sizes[each.metric],
        )
        for each in comparisons
    ]
