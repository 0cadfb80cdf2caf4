"""Systems on noisy versions of the queries: the mean of the versions, and the worst of them, of each query.

V versions, Q queries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from xdr.evaluation.per_query import PerQuery

MEAN, WORST = "noise-mean", "noise-worst"
LABELS = (MEAN, WORST)


def noisy_name(system: str, label: str) -> str:
    """`baseline@noise-mean`."""
    return f"{system}@{label}"


def is_noisy(system: str) -> bool:
    return system.endswith(tuple(noisy_name("", label) for label in LABELS))


def version_names(system: str, num_versions: int) -> list[str]:
    """The system on the clean queries, then on each version of the noisy ones."""
    return [system, *(f"{system}~{version + 1}" for version in range(num_versions))]


def with_noise(values: Mapping[str, PerQuery], systems: Sequence[str], num_versions: int, headline: str) -> dict[str, PerQuery]:
    """The systems on clean queries, then each of them on noisy ones, as `over_versions` has it. `values` are by the names of
    `version_names`."""
    found = {system: values[system] for system in systems}
    for system in systems if num_versions else ():
        versions = [values[name] for name in version_names(system, num_versions)[1:]]
        found |= {noisy_name(system, label): of_label for label, of_label in over_versions(versions, headline).items()}
    return found


def on_equal_noise(systems: Mapping[str, PerQuery], baseline: str) -> Iterator[tuple[str, dict[str, PerQuery]]]:
    """By label, the systems on noisy queries with the baseline among them, where there are others. With equal noise, systems
    differ in how well they bear it."""
    for label in LABELS:
        group = {system: values for system, values in systems.items() if system.endswith(noisy_name("", label))}
        if noisy_name(baseline, label) in group and len(group) > 1:
            yield noisy_name(baseline, label), group


def over_versions(versions: Sequence[PerQuery], headline: str) -> dict[str, PerQuery]:
    """By label. The worst version of a query is that with the lowest value of the headline metric, the first of several; its
    values of all metrics are those of that version."""
    values = {metric: np.stack([version.values[metric] for version in versions]) for metric in versions[0].values}
    worst_Q = np.argmin(np.nan_to_num(values[headline], nan=np.inf), axis=0)
    of_label = {
        MEAN: {metric: values_VQ.mean(axis=0) for metric, values_VQ in values.items()},
        WORST: {metric: values_VQ[worst_Q, np.arange(len(worst_Q))] for metric, values_VQ in values.items()},
    }
    return {label: replace(versions[0], values=of_metric) for label, of_metric in of_label.items()}
