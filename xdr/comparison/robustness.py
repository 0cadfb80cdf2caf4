"""How systems bear noisy queries: what each loses, what it wins back of the baseline's loss, and which operators cost most.

A drop is the value on noisy queries minus that on clean ones, of one system, paired by query. It is negative where noise harms.

Q queries, V versions, M samples, S systems.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xdr.comparison.clusters import clusters_of, resampled_macro, units_by_language
from xdr.comparison.noisy import LABELS, MEAN, noisy_name
from xdr.comparison.significance import (
    Comparison,
    Testing,
    corrected_together,
    paired_differences,
    percentile_interval,
)
from xdr.evaluation.per_query import MACRO, PerQuery, means

Array = NDArray[np.float64]
Compare: TypeAlias = Callable[[Mapping[str, PerQuery], str], list[Comparison]]
"""Compares systems with the named one of them."""
Compared: TypeAlias = Mapping[str, Mapping[str, Comparison]]
"""By system, then by language, macro or operator."""
ZERO = "zero"


@dataclass(frozen=True)
class Ratio:
    """One macro mean divided by another. It is None where the divisor is not above 0. The interval is None where that of the
    divisor reaches 0, because the ratio then has no bounds."""

    value: float | None
    confidence_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Robustness:
    """`values` are the means by language of each system, and of it on noisy queries. By label and system, `drops` compare noisy
    with clean queries, and `relative` is the drop divided by the clean value. `recovered` is the gain over the baseline on
    noisy queries, divided by what the baseline loses. `beside_baseline` are a system's drops minus the baseline's.
    `by_operator` are the drops of those versions that an operator helped to make, for the systems of this evaluation."""

    metric: str
    baseline: str
    num_versions: int
    values: Mapping[str, Mapping[str, float]]
    drops: Mapping[str, Compared]
    relative: Mapping[str, Mapping[str, Ratio]]
    recovered: Mapping[str, Ratio]
    beside_baseline: Compared
    by_operator: Compared

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(self.drops[MEAN])

    def value(self, system: str, label: str = "", language: str = MACRO) -> float:
        return self.values[noisy_name(system, label) if label else system][language]


def drops_by_operator(
    clean_Q: Array, versions: Sequence[Array], operators: Sequence[Sequence[Collection[str]]]
) -> dict[str, Array]:
    """By operator, the mean of the versions that it helped to make, minus the clean value; nan for a query without such a
    version. `operators[v][q]` made version v of query q."""
    versions_VQ, drops = np.stack(versions), {}
    for operator in sorted({name for version in operators for of_query in version for name in of_query}):
        used_VQ = np.array([[operator in of_query for of_query in version] for version in operators])
        with np.errstate(invalid="ignore"):
            drops[operator] = (versions_VQ * used_VQ).sum(axis=0) / used_VQ.sum(axis=0) - clean_Q
    return drops


def robustness_of(
    systems: Mapping[str, PerQuery],
    baseline: str,
    metric: str,
    by_operator: Mapping[str, Mapping[str, Array]],
    num_versions: int,
    testing: Testing,
    generator: np.random.Generator,
) -> Robustness:
    """Of the systems that are there on noisy queries too. `by_operator` are the drops by system and operator."""
    clusters = clusters_of(systems[baseline].query_ids, testing.cluster)
    compare: Compare = partial(testing.compare, metric=metric, generator=generator)
    ratio = partial(_ratio, confidence=testing.confidence)
    names = [name for name in systems if noisy_name(name, MEAN) in systems]
    forms = [form for name in names for form in (name, *(noisy_name(name, label) for label in LABELS))]
    drops = {label: {name: _drop(systems, name, label, metric) for name in names} for label in LABELS}
    beside = compare(drops[MEAN], baseline) if len(names) > 1 else []
    found = _sampled({form: systems[form] for form in forms}, baseline, metric, clusters, testing.num_samples, generator)
    noisy = {label: {name: found[noisy_name(name, label)] for name in names} for label in LABELS}
    lost = found[baseline] - noisy[MEAN][baseline]
    return Robustness(
        metric=metric,
        baseline=baseline,
        num_versions=num_versions,
        values={form: means(systems[form], metric).as_json() for form in forms},
        drops={label: _by_system(_from_zero(of_label, metric, compare, _OWN)) for label, of_label in drops.items()},
        relative={label: {name: ratio(noisy[label][name] - found[name], found[name]) for name in names} for label in LABELS},
        recovered={name: ratio(noisy[MEAN][name] - noisy[MEAN][baseline], lost) for name in names if name != baseline},
        beside_baseline=_by_system(corrected_together(beside, f"of a system's drop with that of {baseline}")),
        by_operator=_by_system(_operators(systems, by_operator, metric, compare)),
    )


_OWN = "of noisy with clean queries"


def _drop(systems: Mapping[str, PerQuery], name: str, label: str, metric: str) -> PerQuery:
    clean, noisy = systems[name], systems[noisy_name(name, label)]
    assert clean.query_ids == noisy.query_ids, f"{name} has its queries in one order"
    return replace(clean, values={metric: noisy.metric(metric) - clean.metric(metric)})


def _from_zero(values: Mapping[str, PerQuery], metric: str, compare: Compare, scope: str) -> list[Comparison]:
    """Tests whether values differ from 0."""
    first = next(iter(values.values()))
    zero = replace(first, values={metric: 0 * first.metric(metric)})
    return corrected_together(compare({ZERO: zero, **values}, ZERO), scope)


def _operators(
    systems: Mapping[str, PerQuery], by_operator: Mapping[str, Mapping[str, Array]], metric: str, compare: Compare
) -> list[Comparison]:
    """The mean is over queries and not over languages, because a language may have few queries for an operator."""
    comparisons = []
    for operator in next(iter(by_operator.values()), {}):
        drops = {
            name: replace(systems[name], languages=("",) * len(systems[name].languages), values={metric: of_operator[operator]})
            for name, of_operator in by_operator.items()
        }
        if any(of_system.rows_by_language(metric) for of_system in drops.values()):
            found = _from_zero(drops, metric, compare, "")
            comparisons += [replace(each, language=operator) for each in found if each.language == MACRO]
    return corrected_together(comparisons, f"{_OWN} by operator")


def _by_system(comparisons: Sequence[Comparison]) -> dict[str, dict[str, Comparison]]:
    found: dict[str, dict[str, Comparison]] = {}
    for comparison in comparisons:
        found.setdefault(comparison.system, {})[comparison.language] = comparison
    return found


def _sampled(
    forms: Mapping[str, PerQuery],
    baseline: str,
    metric: str,
    clusters: Mapping[str, str] | None,
    num_samples: int,
    generator: np.random.Generator,
) -> dict[str, Array]:
    """The macro mean of each system, followed by its means in M bootstrap samples, which all systems share."""
    first = forms[baseline]
    zero = replace(first, values={metric: 0 * first.metric(metric)})
    aligned = [paired_differences({ZERO: zero, form: values}, ZERO, form, metric) for form, values in forms.items()]
    values_NS = {language: np.stack([of_form[language] for of_form in aligned], axis=1) for language in aligned[0]}
    units = None if clusters is None else units_by_language(first.query_ids, first.rows_by_language(metric), clusters)
    drawn_MS = resampled_macro(values_NS, units, num_samples, generator)
    observed = [means(values, metric).macro for values in forms.values()]
    return dict(zip(forms, np.vstack([observed, drawn_MS]).T, strict=True))


def _ratio(dividend: Array, divisor: Array, confidence: float) -> Ratio:
    """Of the first elements. The others are bootstrap samples. As a divisor falls to 0, the ratio grows without bounds."""
    if divisor[0] <= 0:
        return Ratio(None, None)
    value = float(dividend[0] / divisor[0])
    if (divisor[1:] <= 0).mean() > (1 - confidence) / 2:
        return Ratio(value, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn_M = np.where(divisor > 0, dividend / divisor, np.sign(dividend) * np.inf)[1:]
        low, high = percentile_interval(drawn_M, confidence)
    return Ratio(value, (low, high) if np.isfinite([low, high]).all() else None)
