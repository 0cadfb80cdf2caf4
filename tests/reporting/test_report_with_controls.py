"""A report with controls and coverage: sentences, the table in the terminal, the page."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from tests.reporting.test_report import hits, per_query
from xdr.comparison import significance
from xdr.comparison.controls import compare_with_best_control
from xdr.comparison.significance import compare_systems
from xdr.evaluation.coverage import coverage_of
from xdr.evaluation.per_query import means
from xdr.reporting.findings import answer, coverage_sentence, findings
from xdr.reporting.report import FusedSystem, Report, choose_systems
from xdr.reporting.report_page import render_report
from xdr.reporting.terminal_table import control_terminal_table

METRIC = "R@2kt"
FUSED, CORRECTED = ("mean-a0.1", "mean-a0.5"), ("mean-a0.1+csls-w1", "mean-a0.5+csls-w1")
CONTROLS = ("csls-w0.5", "csls-w1")
TESTING = significance.Testing(2000, 0.95, 0)


@pytest.fixture
def report() -> Report:
    """Of 40 queries a language, the baseline finds 10, csls-w1 18 and mean-a0.5 28; mean-a0.1 finds fewer than the control."""
    found = {"baseline": 10, "mean-a0.1": 14, "mean-a0.5": 28, "mean-a0.1+csls-w1": 17, "mean-a0.5+csls-w1": 24}
    found |= {"csls-w0.5": 16, "csls-w1": 18}
    systems = {name: per_query({"fi": hits(of, 40), "te": hits(of, 40)}) for name, of in found.items()}
    generator = np.random.default_rng(0)
    comparisons = compare_systems(systems, "baseline", METRIC, num_samples=2000, confidence=0.95, generator=generator)
    augmented = (*FUSED, *CORRECTED)
    comparisons += compare_with_best_control(systems, augmented, CONTROLS, METRIC, TESTING, generator)
    counts = {"fi": np.array([2, 0, 1, 0]), "te": np.array([1, 0, 0, 2])}
    return Report(
        title="Retrieval evaluation",
        subtitle="",
        systems=tuple(systems),
        metrics=(METRIC,),
        headline_metric=METRIC,
        means={name: {METRIC: means(system, METRIC)} for name, system in systems.items()},
        comparisons=comparisons,
        fused=[FusedSystem(name, "mean", float(name[6:9]), "csls-w1" * ("+" in name)) for name in augmented],
        augmented=augmented,
        controls=CONTROLS,
        coverage=coverage_of(counts, np.array([True, True, False, False])),
    )


def test_the_answer_is_about_the_best_augmented_system_and_the_findings_about_the_best_control(report: Report) -> None:
    assert "rose by 45.0 points, from 25.0 to 70.0, with mean-a0.5" in answer(report)
    beside, choice, *_ = findings(report)
    over = r"gains {} points over {} \(\+\d+\.\d to \+\d+\.\d, p .*\.\d+\)"
    gains = over.format("45.0", "baseline") + " and " + over.format("25.0", "the best control, csls-w1")
    assert re.fullmatch(rf"mean-a0\.5 {gains}\. The gain over the control is significant\.", beside), beside
    assert "csls-w1 has the highest macro R@2kt of 2 controls" in choice and "rather too small" in choice


def test_a_gain_below_the_best_controls_is_said_to_be_none(report: Report) -> None:
    names = [name for name in report.systems if name not in ("mean-a0.5", *CORRECTED)]
    comparisons = [each for each in report.comparisons if each.system in names]
    fewer = replace(report, systems=tuple(names), comparisons=comparisons, fused=[], augmented=("mean-a0.1",))
    assert findings(fewer)[0].endswith("No gain over the control is shown.")
    assert "gains 10.0 points over baseline" in findings(fewer)[0]
    assert "loses 10.0 points to the best control, csls-w1" in findings(fewer)[0]


def test_of_the_controls_tables_show_the_best(report: Report) -> None:
    """Of the fused ones the best alpha of each family."""
    assert choose_systems(report, METRIC).systems == ("mean-a0.5", "mean-a0.5+csls-w1", "csls-w1")
    assert report.best_control(METRIC) == "csls-w1" and report.candidates == (*FUSED, *CORRECTED)


def test_corrections_without_augmentation_are_compared_with_the_baseline_alone(report: Report) -> None:
    names = ("baseline", *CONTROLS)
    comparisons = [each for each in report.comparisons if each.baseline == "baseline" and each.system in names]
    alone = replace(report, systems=names, comparisons=comparisons, fused=[], augmented=(), coverage=None)
    assert "with csls-w1" in answer(alone) and control_terminal_table(alone, METRIC) is None
    assert choose_systems(alone, METRIC).systems == CONTROLS
    assert "Against the best control" not in render_report(alone)


def test_the_terminal_shows_each_augmented_system_beside_the_baseline_and_the_best_control(report: Report) -> None:
    console = Console(file=io.StringIO(), width=120)
    table = control_terminal_table(report, METRIC)
    assert table is not None
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "the best control is csls-w1 (45.0)" in lines[0]
    row = next(line for line in lines if "mean-a0.1 " in line)
    assert re.split(r"\s{2,}", row.strip())[:2] == ["mean-a0.1", "35.0"] and "+10.0 [" in row and "\N{MINUS SIGN}10.0" in row
    order = [line.split()[0] for line in lines if line.strip().startswith("mean-")]
    assert order == ["mean-a0.5", "mean-a0.5+csls-w1", "mean-a0.1+csls-w1", "mean-a0.1"]


def test_coverage_is_said_in_a_sentence(report: Report) -> None:
    assert report.coverage is not None
    assert coverage_sentence(report.coverage) == (
        "3 of 4 passages have generated texts (0 to 3 each, 1.5 on average): 1 of 2 relevant ones and 2 of 2 others."
    )


def test_the_page_has_the_control_and_the_coverage(report: Report) -> None:
    page = render_report(report)
    assert "Against the best control" in page and "Which passages have generated texts?" in page
    tables = [ElementTree.fromstring(table) for table in re.findall(r"<table.*?</table>", page, re.DOTALL)]
    for table in tables:
        assert all(header.get("scope") for header in table.iter("th")) and table.find("caption") is not None
        assert len({sum(int(cell.get("colspan", 1)) for cell in row) for row in table.findall("tbody/tr")}) == 1
    beside = next(table for table in tables if "minus csls-w1" in "".join(table.itertext()))
    assert ["".join(cell.itertext()).strip() for cell in beside.findall("tbody/tr")[0]][:3] == ["mean-a0.5", "70.0", "+45.0"]
    assert "In Finnish" in page and "50.0 %" in page
