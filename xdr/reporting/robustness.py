"""What noisy queries cost and what is won back, in sentences, and the scales and names of the report's section."""

from collections.abc import Sequence

from xdr.comparison.noisy import LABELS, MEAN, WORST, noisy_name
from xdr.comparison.robustness import Ratio, Robustness
from xdr.comparison.significance import Comparison
from xdr.evaluation.per_query import MACRO
from xdr.reporting.charts import Limits
from xdr.reporting.report import Report, best_system, is_significant
from xdr.reporting.wording import interval_and_p, points, signed_points


def noise_findings(report: Report) -> list[str]:
    """What noise costs the baseline, and what the system that is best on noisy queries wins back. Empty without noise."""
    robustness = report.robustness
    if robustness is None:
        return []
    best = best_on_noisy_queries(report)
    if best is None or robustness.drops[MEAN][report.baseline][MACRO].mean_difference >= 0:
        return [_cost(robustness)]
    return [_cost(robustness), _won_back(report, robustness, best)]


def best_on_noisy_queries(report: Report) -> str | None:
    """Of the systems that an answer is about."""
    assert report.robustness is not None
    others = [noisy_name(system, MEAN) for system in report.candidates if system in report.robustness.recovered]
    return best_system(others, report.means, report.headline_metric).removesuffix(noisy_name("", MEAN)) if others else None


def _cost(robustness: Robustness) -> str:
    baseline, metric, number = robustness.baseline, robustness.metric, robustness.num_versions
    clean, mean, worst = (points(robustness.value(baseline, label)) for label in ("", *LABELS))
    drop, share = robustness.drops[MEAN][baseline][MACRO], robustness.relative[MEAN][baseline].value
    versions = f"on average over {number:,} noisy versions of each query, and {worst} in the worst of them"
    if number == 1:
        versions = "with a noisy version of each query"
    if drop.mean_difference >= 0 or share is None:
        return f"Noise costs {baseline} nothing: {metric} is {clean} on clean queries, {mean} {versions}."
    size = f"{points(-drop.mean_difference)} points of {metric}, {points(-share)} %"
    return f"Noise costs {baseline} {size} ({interval_and_p(drop)}): {metric} is {clean} on clean queries, {mean} {versions}."


def _won_back(report: Report, robustness: Robustness, system: str) -> str:
    """The share, and whether the system bears noise better than the baseline."""
    recovered, beside = robustness.recovered[system], robustness.beside_baseline[system][MACRO]
    gain = over_noisy_baseline(report, system)
    share = f"is not shown to win back any of this ({percent(recovered)}, {percent_interval(recovered)})"
    if is_significant(gain):
        share = f"wins back {percent(recovered)} of this ({percent_interval(recovered)})"
        if gain.mean_difference < 0:
            share = f"is {points(-gain.mean_difference)} points below {robustness.baseline} on noisy queries"
    size = f"{points(abs(beside.mean_difference))} points {'smaller' if beside.mean_difference >= 0 else 'larger'}"
    verdict = "No difference in how they bear noise is shown"
    if is_significant(beside):
        verdict = f"It bears noise {'better' if beside.mean_difference > 0 else 'worse'}"
    own = f"its own drop is {size} than that of {robustness.baseline} ({interval_and_p(beside)})"
    subject = "" if len(robustness.recovered) == 1 else ", the best system on noisy queries,"
    return f"{system}{subject} {share}; {own}. {verdict}."


def over_noisy_baseline(report: Report, system: str) -> Comparison:
    """The comparison with the baseline on noisy queries."""
    wanted = noisy_name(system, MEAN), noisy_name(report.baseline, MEAN), report.headline_metric, MACRO
    return next(each for each in report.comparisons if (each.system, each.baseline, each.metric, each.language) == wanted)


def percent(ratio: Ratio) -> str:
    return "none" if ratio.value is None else f"{signed_points(ratio.value).removeprefix('+')} %"


def percent_interval(ratio: Ratio) -> str:
    if ratio.confidence_interval is None:
        return "no bounds"
    low, high = (signed_points(end).removeprefix("+") for end in ratio.confidence_interval)
    return f"{low} to {high} %"


def operator_name(operator: str) -> str:
    return operator.replace("_", " ")


def operators_by_cost(robustness: Robustness) -> list[str]:
    """Those that cost the baseline most come first."""
    drops = robustness.by_operator.get(robustness.baseline, {})
    return sorted(drops, key=lambda operator: drops[operator].mean_difference)


def operator_drops(system: str, robustness: Robustness) -> list[Comparison]:
    return [robustness.by_operator[system][operator] for operator in operators_by_cost(robustness)]


def with_drops(report: Report, systems: Sequence[str]) -> list[str]:
    """The baseline, those of the systems that were searched with noisy queries too, and the best of all systems on these."""
    assert report.robustness is not None
    wanted = (*systems, best_on_noisy_queries(report))
    return [report.baseline, *(system for system in report.robustness.recovered if system in wanted)]


def levels_limits(robustness: Robustness, systems: Sequence[str]) -> Limits:
    """From the lowest worst to the highest value."""
    values = [robustness.value(system, label) for system in systems for label in ("", *LABELS)]
    margin = 0.04 * (max(values) - min(values)) or 0.01
    return min(values) - margin, max(values) + margin


def levels_text(system: str, robustness: Robustness) -> str:
    clean, mean, worst = (points(robustness.value(system, label)) for label in ("", MEAN, WORST))
    return f"{system}: {clean} on clean queries, {mean} on noisy ones, {worst} on the worst"
