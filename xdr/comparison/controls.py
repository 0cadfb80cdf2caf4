"""Comparisons with the best control. A control changes scores as an augmentation does, without questions about each passage: an
augmentation's gain counts where it is larger than the best control's."""

from collections.abc import Mapping, Sequence

import numpy as np

from xdr.comparison.significance import Comparison, Testing
from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import PerQuery, means


def best_control(systems: Mapping[str, PerQuery], controls: Sequence[str], metric: str) -> str:
    """The control with the best macro mean of the metric, the first of several."""
    sign = -1 if counts_ranks(metric) else 1
    return max(controls, key=lambda control: sign * means(systems[control], metric).macro)


def compare_with_best_control(
    systems: Mapping[str, PerQuery],
    augmented: Sequence[str],
    controls: Sequence[str],
    metric: str,
    testing: Testing,
    generator: np.random.Generator,
) -> list[Comparison]:
    """Each augmented system with the control that is best by this metric on these queries. The choice favours the control, so
    the gain over it is rather too small. Holm's family are these comparisons."""
    if not augmented or not controls:
        return []
    best = best_control(systems, controls, metric)
    compared = {name: systems[name] for name in (best, *augmented)}
    return testing.compare(compared, best, metric, generator)
