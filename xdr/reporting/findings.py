"""The sentences of an evaluation's report that depend on its values: the answer, further findings and notes on tests."""

from collections.abc import Sequence

from xdr.comparison.significance import RANDOMISATION, T_TEST, Comparison
from xdr.evaluation.coverage import Coverage, Share, warn_of_augmentation
from xdr.evaluation.per_query import Means
from xdr.reporting.report import Report, best_system, corrected_p, is_significant
from xdr.reporting.robustness import noise_findings
from xdr.reporting.wording import group_name, interval_and_p, language_name, p_phrase, points, signed_points


def answer(report: Report) -> str:
    """One sentence: whether the headline metric changed, by how much, for how many queries, and whether that is significant."""
    metric, baseline = report.headline_metric, report.means[report.baseline][report.headline_metric]
    over = f"over {len(baseline.by_language)} languages" if len(baseline.by_language) > 1 else _only_language(baseline)
    if len(report.systems) == 1:
        n = f"n = {baseline.num_queries:,}"
        return f"{metric} of {report.baseline} is {points(baseline.macro)} {over} ({n}); there is no other system to compare."
    best = best_system(report.candidates, report.means, metric)
    comparison = report.comparison(best, metric)
    before, after = points(baseline.macro), points(report.value(best, metric))
    size = points(abs(comparison.mean_difference))
    size = f"{size} points" if float(size) else "less than 0.1 points"
    change = f"rose by {size}" if comparison.mean_difference > 0 else f"fell by {size}"
    change = f"{change}, from {before} to {after}," if comparison.mean_difference else f"stayed at {before}"
    return f"{metric} {over} {change} with {best} (n = {comparison.n:,}): {_verdict(comparison)}."


def _only_language(means: Means) -> str:
    return f"in {language_name(next(iter(means.by_language)))}"


def _verdict(comparison: Comparison) -> str:
    p, other_p = corrected_p(comparison), comparison.corrected_p[T_TEST]
    if p is None or comparison.note == "no query differs":
        return comparison.note
    verdict = "significant after correction" if is_significant(comparison) else "not significant after correction"
    if other_p is None or is_significant(comparison, T_TEST) == is_significant(comparison):
        return f"{verdict} ({p_phrase(p)})"
    return f"{verdict} by {RANDOMISATION} ({p_phrase(p)}), but the {T_TEST} disagrees ({p_phrase(other_p)})"


def findings(report: Report) -> list[str]:
    """What the answer leaves out: an uneven pool, the best control, noise, significance by language, languages without a
    test, and how the system was chosen."""
    if len(report.systems) == 1:
        return []
    metric = report.headline_metric
    best = best_system(report.candidates, report.means, metric)
    sentences = warn_of_augmentation(report.coverage.balance) if report.coverage is not None else []
    sentences = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]
    sentences += [*_beside_the_best_control(report, best, metric), *noise_findings(report)]
    if len(report.languages(metric)) > 1:
        comparisons = [report.comparison(best, metric, language) for language in report.languages(metric)]
        sentences += [_significant_languages(comparisons), *_untested_languages(comparisons)]
    if len(report.candidates) > 1:
        count = len(report.candidates)
        sentences.append(
            f"{best} has the highest macro {metric} of the {count} systems compared with {report.baseline}. It was chosen on "
            "these queries, so this score is optimistic; p is corrected for all systems."
        )
    return sentences


def _beside_the_best_control(report: Report, best: str, metric: str) -> list[str]:
    """What the best augmented system gains over the baseline, and what of it over the best control."""
    over_control = report.with_control(best, metric)
    if over_control is None:
        return []
    over_baseline = report.comparison(best, metric)
    gains = [
        f"{_gain(over_baseline)} {report.baseline} ({interval_and_p(over_baseline)})",
        f"{_gain(over_control)} the best control, {over_control.baseline} ({interval_and_p(over_control)})",
    ]
    verdict = "The gain over the control is significant" if _is_gain(over_control) else "No gain over the control is shown"
    return [
        f"{best} {' and '.join(gains)}. {verdict}.",
        f"{over_control.baseline} has the highest macro {metric} of {len(report.controls)} controls. It was chosen on these "
        "queries, which favours it: the difference from it is rather too small than too large.",
    ]


def _gain(comparison: Comparison) -> str:
    size = points(abs(comparison.mean_difference))
    return f"loses {size} points to" if comparison.mean_difference < 0 else f"gains {size} points over"


def _is_gain(comparison: Comparison) -> bool:
    return comparison.mean_difference > 0 and is_significant(comparison)


def coverage_sentence(coverage: Coverage) -> str:
    """How many passages have generated texts, relevant ones and others."""
    shares = [f"{_share(coverage.passages)} passages have generated texts"]
    texts = f"{coverage.least:,} to {coverage.greatest:,} each, {coverage.mean:.1f} on average"
    balance = coverage.balance
    if balance.relevant.number and balance.others.number:
        shares.append(f"{_share(balance.relevant)} relevant ones and {_share(balance.others)} others")
    return f"{shares[0]} ({texts})" + (f": {shares[1]}." if shares[1:] else ".")


def _share(share: Share) -> str:
    return f"{share.covered:,} of {share.number:,}"


def _significant_languages(comparisons: Sequence[Comparison]) -> str:
    significant = [
        f"{language_name(c.language)} ({signed_points(c.mean_difference)})" for c in comparisons if is_significant(c)
    ]
    if not significant:
        return "The difference is significant in no single language."
    return f"The difference is significant in {len(significant)} of {len(comparisons)} languages: {', '.join(significant)}."


def _untested_languages(comparisons: Sequence[Comparison]) -> list[str]:
    return [
        f"{language_name(comparison.language)} has one query, so no test is possible; the macro mean counts it as a language."
        for comparison in comparisons
        if corrected_p(comparison) is None
    ]


def notes(report: Report, metric: str, systems: Sequence[str]) -> list[str]:
    """Remarks on tests, such as why a p is missing. The systems are named if a remark does not concern all of them."""
    concerned: dict[tuple[str, str], list[str]] = {}
    for language in report.groups(metric):
        for system in systems:
            if note := report.comparison(system, metric, language).note:
                concerned.setdefault((language, note), []).append(system)
    return [
        f"{group_name(language)}{'' if len(names) == len(systems) else ' with ' + ' and '.join(names)}: {note}."
        for (language, note), names in concerned.items()
    ]
