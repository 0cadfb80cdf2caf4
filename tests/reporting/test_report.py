import io
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from jinja2 import UndefinedError
from rich.console import Console

from xdr.comparison.significance import RANDOMISATION, T_TEST, compare_systems
from xdr.evaluation.per_query import PerQuery, means
from xdr.reporting.charts import differences_limits
from xdr.reporting.findings import answer, findings
from xdr.reporting.pages import render_page
from xdr.reporting.report import FusedSystem, MovedQuery, Report, alpha_curves, choose_systems, most_moved
from xdr.reporting.report_page import render_report
from xdr.reporting.terminal_table import evaluation_terminal_table
from xdr.reporting.wording import p_phrase, p_text, signed_points

Hits = Mapping[str, Sequence[float]]


def report_of(systems: Mapping[str, Hits], fused: Sequence[FusedSystem] = (), num_samples: int = 1000) -> Report:
    """`systems[name][language]` are the values of its queries; the first is the baseline."""
    scored = {name: per_query(hits) for name, hits in systems.items()}
    generator = np.random.default_rng(0)
    settings = {"num_samples": num_samples, "confidence": 0.95, "generator": generator}
    baseline = next(iter(systems))
    return Report(
        title="Sweep <of alpha>",
        subtitle="mBERT & friends",
        systems=tuple(systems),
        metrics=("R@2kt",),
        headline_metric="R@2kt",
        means={name: {"R@2kt": means(system, "R@2kt")} for name, system in scored.items()},
        comparisons=compare_systems(scored, baseline, "R@2kt", **settings) if len(scored) > 1 else [],
        fused=fused,
    )


def per_query(hits: Hits) -> PerQuery:
    languages = [language for language, values in hits.items() for _ in values]
    values = np.array([value for values in hits.values() for value in values], dtype=float)
    return PerQuery(tuple(f"q{i}" for i in range(len(values))), tuple(languages), {"R@2kt": values})


def hits(of: int, n: int) -> list[float]:
    return [1.0] * of + [0.0] * (n - of)


def report_of_a_sweep() -> Report:
    """Two fusions; ar rises from 8 to 16 of 20 at best, fi from 10 to 11, and ko has one query."""
    systems = {
        "baseline": {"ar": hits(8, 20), "fi": hits(10, 20), "ko": hits(0, 1)},
        "sum-a0.01": {"ar": hits(16, 20), "fi": hits(11, 20), "ko": hits(1, 1)},
        "sum-a0.1": {"ar": hits(12, 20), "fi": hits(9, 20), "ko": hits(0, 1)},
        "unit_mean-a0.2": {"ar": hits(14, 20), "fi": hits(11, 20), "ko": hits(0, 1)},
        "unit_mean-a0.4": {"ar": hits(10, 20), "fi": hits(10, 20), "ko": hits(0, 1)},
    }
    fused = [FusedSystem("sum-a0.1", "sum", 0.1), FusedSystem("sum-a0.01", "sum", 0.01)]
    fused += [FusedSystem(f"unit_mean-a{alpha:g}", "unit_mean", alpha) for alpha in (0.2, 0.4)]
    return replace(
        report_of(systems, fused),
        moved=(
            moved("q8", "ar", "ما هي أولى جامعات فنلندا؟", None, 2, {"ar": ["متى تأسست جامعة هلسنكي؟"], "fi": ["Missä?"]}),
            moved("q31", "fi", "Mikä <script>alert(1)</script> on?", 3, 41, {}),
        ),
        moved_system="sum-a0.01",
        depth=100,
        warnings=("fusion=sum with 30 to 35 generated texts",),
        facts=(("Encoder", "bert-base-multilingual-uncased"), ("Passages", "18,003,200"), ("Fingerprint", "4f1be0c2" * 16)),
    )


def moved(
    query_id: str, language: str, query: str, before: int | None, after: int | None, questions: Mapping[str, Sequence[str]]
) -> MovedQuery:
    return MovedQuery(
        query_id, language, query, "Helsinki & Turku", "It was founded in 1640 \x00 in Turku.", before, after, questions
    )


@pytest.fixture(scope="module")
def sweep() -> Report:
    return report_of_a_sweep()


@pytest.fixture(scope="module")
def page(sweep: Report) -> str:
    return render_report(sweep)


def test_a_metric_in_ranks_is_not_multiplied_and_its_rise_is_not_a_gain() -> None:
    """Of 40 queries each the spread rises from 100.5 to 140.5 and MAP from 0 to 1; with another alpha to 240.5 and 1/2."""
    ids, languages = tuple(f"q{i}" for i in range(40)), ("fi",) * 40
    systems = {
        name: PerQuery(ids, languages, {"MAP": np.full(40, mean), "rank_spread": np.full(40, spread)})
        for name, mean, spread in (("baseline", 0.0, 100.5), ("sum-a0.1", 1.0, 140.5), ("sum-a0.2", 0.5, 240.5))
    }
    names, generator = ("MAP", "rank_spread"), np.random.default_rng(0)
    settings = {"num_samples": 1000, "confidence": 0.95, "generator": generator}
    report = Report(
        title="Pools",
        subtitle="",
        systems=tuple(systems),
        metrics=names,
        headline_metric="MAP",
        means={system: {name: means(values, name) for name in names} for system, values in systems.items()},
        comparisons=[each for name in names for each in compare_systems(systems, "baseline", name, **settings)],
        fused=[FusedSystem("sum-a0.1", "sum", 0.1), FusedSystem("sum-a0.2", "sum", 0.2)],
    )
    page = render_report(report)
    _, spread_table = page.split("The same by rank_spread")
    spread_table = spread_table.split("</table>")[0]
    assert (
        "rank_spread, in ranks, fewer is better." in spread_table and "Differences from baseline are in ranks." in spread_table
    )
    assert ">100.5<" in spread_table and ">140.5<" in spread_table and ">+40.0<" in spread_table
    assert "significant level" in spread_table and "rise" not in spread_table
    assert "significant rise" in page, "MAP's is a gain"
    output = io.StringIO()
    Console(file=output, width=100).print(evaluation_terminal_table(report, "rank_spread"))
    shown = " ".join(output.getvalue().split())
    assert "140.5 +40.0 .002*" in shown and "240.5" not in shown, "the best alpha is that of the highest MAP"
    assert "times 100" not in shown


# What is said


def test_the_answer_names_the_change_its_system_n_and_p() -> None:
    """20 of 40 queries rise and none falls: of 2^20 sign patterns two are as extreme, and 1000
    samples hold none of them: p = 1 / 1001."""
    report = report_of({"baseline": {"fi": hits(10, 40)}, "sum-a0.01": {"fi": hits(30, 40)}})
    assert answer(report) == (
        "R@2kt in Finnish rose by 50.0 points, from 25.0 to 75.0, with sum-a0.01 (n = 40): "
        "significant after correction (p = .001)."
    )


def test_a_small_rise_is_called_not_significant() -> None:
    """Three queries rise: p = 2 / 2^3 by signs. Two languages and macro make a family of three."""
    report = report_of({"baseline": {"fi": hits(1, 8), "ko": hits(1, 4)}, "other": {"fi": hits(3, 8), "ko": hits(2, 4)}})
    assert answer(report) == (
        "R@2kt over 2 languages rose by 25.0 points, from 18.8 to 43.8, with other (n = 12): "
        "not significant after correction (p = .750)."
    )
    assert findings(report) == ["The difference is significant in no single language."]


def test_where_the_tests_disagree_the_answer_says_so() -> None:
    report = report_of({"baseline": {"fi": hits(10, 40)}, "other": {"fi": hits(30, 40)}})
    (comparison, _) = report.comparisons
    p = {RANDOMISATION: 0.03, T_TEST: 0.06}
    changed = replace(report, comparisons=[replace(comparison, corrected_p=p, language=g) for g in ("fi", "macro")])
    assert answer(changed).endswith(
        "significant after correction by sign-flip randomisation (p = .030), but the paired t-test disagrees (p = .060)."
    )


def test_the_answer_reports_a_fall_no_change_and_a_single_query() -> None:
    fell = report_of({"baseline": {"fi": hits(3, 4)}, "other": {"fi": hits(1, 4)}})
    assert "fell by 50.0 points, from 75.0 to 25.0, with other (n = 4): not significant" in answer(fell)
    same = report_of({"baseline": {"fi": hits(3, 4)}, "other": {"fi": hits(3, 4)}})
    assert answer(same) == "R@2kt in Finnish stayed at 75.0 with other (n = 4): no query differs."
    single = report_of({"baseline": {"fi": [0]}, "other": {"fi": [1]}})
    assert answer(single).endswith("(n = 1): one query: no test is possible.")


def test_a_baseline_alone_is_a_report_too() -> None:
    report = report_of({"baseline": {"fi": hits(1, 4), "ko": hits(3, 4)}})
    assert answer(report) == "R@2kt of baseline is 50.0 over 2 languages (n = 8); there is no other system to compare."
    assert "75.0" in render_report(report) and findings(report) == [] and choose_systems(report, "R@2kt").systems == ()
    assert "Macro mean" in printed(report)


def test_the_findings_name_the_languages_those_without_a_test_and_the_choice(sweep: Report) -> None:
    first, second, third = findings(sweep)
    assert first == "The difference is significant in no single language."
    assert second == "Korean has one query, so no test is possible; the macro mean counts it as a language."
    assert third == (
        "sum-a0.01 has the highest macro R@2kt of the 4 systems compared with baseline. It was chosen on these queries, so "
        "this score is optimistic; p is corrected for all systems."
    )


def test_the_best_alpha_of_each_fusion_is_shown_and_its_score_is_called_optimistic(sweep: Report) -> None:
    choice = choose_systems(sweep, "R@2kt")
    assert choice.systems == ("sum-a0.01", "unit_mean-a0.2")
    assert choice.note == (
        "For each fusion, the alpha with the highest macro R@2kt is shown (sum: best of 2; unit_mean: best of 2). "
        "Alpha was chosen on these queries, so these scores are optimistic; p is corrected for all systems."
    )
    one = choose_systems(sweep, "R@2kt", most=1)
    assert one.systems == ("sum-a0.01",) and "Of 2 candidates, the 1 with the highest macro R@2kt is shown." in one.note
    assert "so this score is optimistic" in one.note


def test_systems_without_an_alpha_are_all_shown_without_a_note() -> None:
    report = report_of({name: {"fi": hits(i + 1, 4)} for i, name in enumerate(("baseline", "xlmr", "labse"))})
    assert choose_systems(report, "R@2kt").systems == ("xlmr", "labse")
    assert choose_systems(report, "R@2kt").note == ""


def test_a_curve_has_alphas_in_order_and_the_baseline_plus_the_differences_interval_as_band(sweep: Report) -> None:
    curves = {(curve.family, curve.language): curve for curve in alpha_curves(sweep, "R@2kt")}
    assert set(curves) == {(f, g) for f in ("sum", "unit_mean") for g in ("macro", "ar", "fi", "ko")}
    arabic = curves["sum", "ar"]
    assert (arabic.baseline, arabic.positions, arabic.values) == (0.4, (0.01, 0.1), (0.8, 0.6))
    low, high = sweep.comparison("sum-a0.01", "R@2kt", "ar").confidence_interval
    assert (arabic.lower[0], arabic.upper[0]) == (0.4 + low, 0.4 + high)


def test_queries_that_moved_most_are_ordered_by_the_ratio_of_their_ranks() -> None:
    """Beyond 99 counts as 100: a to 1 is 100 times, b 10 times, c 10 times by fewer places, d 2 times; e fell 50 times."""
    before = {"a": None, "b": 60, "c": 10, "d": 100, "e": 2, "f": 5, "g": None}
    after = {"a": 1, "b": 6, "c": 1, "d": 50, "f": 5}
    assert most_moved(before, after, depth=99, most=3) == (["a", "b", "c"], ["e"])
    assert most_moved(after, before, depth=99, most=9) == (["e"], ["a", "b", "c", "d"])


def test_equal_moves_are_ordered_by_query_id() -> None:
    assert most_moved({"b": 4, "a": 4}, {"b": 2, "a": 2}, depth=10, most=1) == (["a"], [])


def test_figures_are_written_as_in_a_paper() -> None:
    assert [signed_points(x) for x in (0.0194, -0.003, 0.0002, -0.0)] == ["+1.9", "\N{MINUS SIGN}0.3", "0.0", "0.0"]
    assert [p_text(p) for p in (0.012, 0.0004, 1.0, 0.9999, None)] == [".012", "<.001", "1", ">.999", "none"]
    assert [p_phrase(p) for p in (0.5, 0.0001)] == ["p = .500", "p < .001"]


# In the terminal


def printed(report: Report, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(evaluation_terminal_table(report, "R@2kt"))
    return console.export_text()


def test_the_terminal_table_has_values_differences_and_what_the_mark_means(sweep: Report) -> None:
    lines = printed(sweep).splitlines()
    (arabic,) = (line for line in lines if "Arabic" in line)
    assert arabic.split()[:5] == ["Arabic", "20", "40.0", "80.0", "+40.0"]
    (korean,) = (line for line in lines if line.split()[:1] == ["Korean"])
    assert korean.split()[-3:] == ["0.0", "0.0", "none"]
    said = " ".join(" ".join(lines).split())
    for words in (
        "sign-flip randomisation, paired by query id",
        "Holm: 8 x paired t-test, 12 x sign-flip",
        "so these scores are optimistic",
    ):
        assert words in said


def test_four_systems_with_long_names_fit_into_100_columns() -> None:
    names = ("baseline", *(f"unit_mean-a0.25-query-language-{i}" for i in range(3)))
    report = report_of({name: {"rw": hits(i, 9), "ko": hits(3, 9)} for i, name in enumerate(names)})
    assert max(map(len, printed(report).splitlines())) <= 100
    assert "…" not in printed(report)


# As a page


def test_the_page_has_the_values_their_differences_and_p(sweep: Report, page: str) -> None:
    comparison = sweep.comparison("sum-a0.01", "R@2kt", "ar")
    for words in ("40.0", "80.0", "+40.0", p_text(comparison.corrected_p[RANDOMISATION]), "bert-base-multilingual-uncased"):
        assert f">{words}<" in page
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    for words in (answer(sweep), *findings(sweep), "18,003,200", "fusion=sum with 30 to 35 generated texts", comparison.family):
        assert words in page
    assert "Korean: one query: no test is possible." in page


def test_the_text_of_a_query_is_escaped(page: str) -> None:
    assert "<script" not in page
    assert "Mikä &lt;script&gt;alert(1)&lt;/script&gt; on?" in page
    assert "<title>Sweep &lt;of alpha&gt;</title>" in page and "mBERT &amp; friends" in page
    assert "\x00" not in page and "1640 \N{REPLACEMENT CHARACTER} in" in page


def test_half_a_surrogate_pair_can_still_be_written_as_utf_8(sweep: Report) -> None:
    broken = replace(sweep, moved=(moved("q8", "ar", "half \ud83d", 5, 1, {}),))
    assert "half \N{REPLACEMENT CHARACTER}" in render_report(broken).encode("utf-8").decode("utf-8")


def test_nothing_in_the_page_is_loaded_from_anywhere(page: str) -> None:
    loaded = re.findall(r"""\b(?:src|href|action|data|srcset|poster)\s*=\s*["']([^"']*)""", page)
    assert loaded and all(target.startswith(("#", "data:")) for target in loaded)
    assert "url(" not in page and "@import" not in page and "<script" not in page and "://" not in page
    assert "default-src 'none'" in page


def test_every_chart_is_well_formed_and_says_what_it_shows(page: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == 2 + 2 * 4 + 2  # intervals, curves, moved queries
    for chart in map(ElementTree.fromstring, charts):
        assert chart.get("role") == "img" and chart.findtext("title") and chart.findtext("desc")


def test_no_number_in_a_chart_is_infinite_or_missing(page: str) -> None:
    for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        numbers = re.findall(r' (?:x|y|cx|cy|x1|x2|y1|y2)="([^"]*)"', chart)
        assert numbers and all(math.isfinite(float(number)) for number in numbers)


def test_every_table_names_its_columns_and_rows_and_has_a_caption(page: str) -> None:
    tables = [ElementTree.fromstring(table) for table in re.findall(r"<table.*?</table>", page, re.DOTALL)]
    assert len(tables) == 3
    for table in tables:
        assert all(header.get("scope") for header in table.iter("th"))
        assert table.find("caption") is not None
        widths = {sum(int(cell.get("colspan", 1)) for cell in row) for row in table.findall("tbody/tr")}
        assert len(widths) == 1


def test_generated_queries_in_the_querys_language_are_visible_and_others_are_folded(page: str) -> None:
    card = page[page.index("ما هي أولى") : page.index("</article>")]
    assert '<li dir="auto" lang="ar">متى تأسست جامعة هلسنكي؟</li>' in card.split("<details")[1].partition("</details>")[2]
    assert "1 generated query in Finnish" in card
    assert "beyond 100 → 2" in page and "3 → 41" in page and "No texts were generated." in page


def test_the_interval_of_a_single_query_does_not_widen_a_chart(sweep: Report) -> None:
    """ko rises by 100 points on one query; the others' intervals end below 65."""
    comparisons = [sweep.comparison("sum-a0.01", "R@2kt", language) for language in ("ar", "fi", "ko")]
    assert comparisons[2].mean_difference == 1
    assert differences_limits(comparisons)[1] < 0.75


def test_identical_systems_and_one_language_make_a_page(sweep: Report) -> None:
    same = {name: {"fi": hits(2, 4)} for name in ("baseline", "sum-a0", "sum-a0.5")}
    fused = [FusedSystem("sum-a0", "sum", 0.0), FusedSystem("sum-a0.5", "sum", 0.5)]
    page = render_report(report_of(same, fused))
    assert "no query differs" in page and "R@2kt against alpha" in page
    for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(chart)


def test_the_values_of_a_report_load_neither_torch_nor_the_renderer_of_pages() -> None:
    loaded = "print([name for name in ('jinja2', 'torch', 'rich') if name in sys.modules])"
    program = f"import sys, xdr.reporting.report, xdr.reporting.report_page, xdr.studies.sweep_report; {loaded}"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_template_refuses_a_value_that_it_was_not_given() -> None:
    with pytest.raises(UndefinedError, match="'report' is undefined"):
        render_page("report.html.jinja")
