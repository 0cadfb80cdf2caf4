"""A report with noisy queries: sentences, the page, the file, the logger."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from lightning.pytorch.loggers import Logger
from numpy.typing import NDArray

from callbacks import logged_report
from callbacks.run_rows import Table
from xdr.comparison import significance
from xdr.comparison.noisy import LABELS, MEAN, noisy_name, on_equal_noise
from xdr.comparison.robustness import Ratio, robustness_of
from xdr.comparison.significance import compare_systems
from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery, means
from xdr.reporting.evaluation_files import require_equal_noise, write_environment, write_robustness
from xdr.reporting.findings import findings
from xdr.reporting.report import FusedSystem, Report, choose_systems
from xdr.reporting.report_page import render_report
from xdr.reporting.robustness import noise_findings, operators_by_cost, percent, percent_interval, with_drops

METRIC, FUSED = "recall@10", ("mean-a0.1", "mean-a0.5")
N, MINUS = 40, "\N{MINUS SIGN}"


def per_query(found: int, of: int = N) -> NDArray[np.float64]:
    return np.array([1.0] * found + [0.0] * (of - found))


def report_with_noise(found: Mapping[str, Sequence[float]]) -> Report:
    """`found` maps systems to the shares of 40 queries a language that are found: clean, on average, and in the worst version;
    or only clean."""
    ids, languages = tuple(f"q{i}" for i in range(2 * N)), ("fi",) * N + ("te",) * N
    systems = {}
    for number, label in enumerate(("", *LABELS)):
        for name, shares in found.items():
            if number < len(shares):
                values = np.tile(per_query(round(shares[number] * N)), 2)
                systems[noisy_name(name, label) if label else name] = PerQuery(ids, languages, {METRIC: values})
    drops = {
        name: {"swap": -0.5 * systems[name].values[METRIC], "word_order": np.append(np.zeros(9), np.full(2 * N - 9, np.nan))}
        for name in found
    }
    testing, generator = significance.Testing(2000, 0.95, 0), np.random.default_rng(0)
    settings = {"num_samples": 2000, "confidence": 0.95, "generator": generator}
    comparisons = compare_systems(systems, "baseline", METRIC, **settings)
    for baseline, group in on_equal_noise(systems, "baseline"):
        comparisons += compare_systems(group, baseline, METRIC, **settings)
    return Report(
        title="Retrieval evaluation",
        subtitle="",
        systems=tuple(systems),
        metrics=(METRIC,),
        headline_metric=METRIC,
        means={name: {METRIC: means(system, METRIC)} for name, system in systems.items()},
        comparisons=comparisons,
        fused=[FusedSystem(name, "mean", float(name[6:])) for name in found if name.startswith("mean")],
        augmented=[name for name in found if name.startswith("mean")],
        noisy=[name for name in systems if "@" in name],
        robustness=robustness_of(systems, "baseline", METRIC, drops, 10, testing, generator),
    )


@pytest.fixture(scope="module")
def report() -> Report:
    """The baseline loses 30 of 80 points, mean-a0.1 10 of 82.5 and mean-a0.5 20 of 60."""
    return report_with_noise({"baseline": (0.8, 0.5, 0.4), "mean-a0.1": (0.825, 0.725, 0.5), "mean-a0.5": (0.6, 0.4, 0.1)})


def test_the_findings_say_what_noise_costs_and_what_is_won_back(report: Report) -> None:
    cost, won = noise_findings(report)
    assert cost.startswith(f"Noise costs baseline 30.0 points of recall@10, 37.5 % ({MINUS}")
    assert cost.endswith(
        "p = .004): recall@10 is 80.0 on clean queries, 50.0 on average over 10 noisy versions of each query, and 40.0 in the "
        "worst of them."
    )
    assert won.startswith("mean-a0.1, the best system on noisy queries, wins back 75.0 % of this (")
    assert "; its own drop is 20.0 points smaller than that of baseline (+" in won
    assert won.endswith("It bears noise better.")
    assert [sentence for sentence in findings(report) if sentence in (cost, won)] == [cost, won]


def test_a_drop_that_is_as_large_is_no_better_and_less_than_the_baseline_wins_nothing_back() -> None:
    same = noise_findings(report_with_noise({"baseline": (0.5, 0.3, 0.1), "mean-a0.1": (0.7, 0.5, 0.2)}))[1]
    assert same.startswith("mean-a0.1 wins back 100.0 % of this") and same.endswith(
        "No difference in how they bear noise is shown."
    )
    less = noise_findings(report_with_noise({"baseline": (0.6, 0.5, 0.1), "mean-a0.1": (0.8, 0.3, 0.2)}))[1]
    assert less.startswith(
        "mean-a0.1 is 20.0 points below baseline on noisy queries; its own drop is 40.0 points larger than that of baseline"
    )
    assert less.endswith("It bears noise worse.")
    chance = noise_findings(report_with_noise({"baseline": (0.8, 0.5, 0.4), "mean-a0.1": (0.8, 0.525, 0.4)}))[1]
    assert chance.startswith("mean-a0.1 is not shown to win back any of this (8.3 %, 0.0 to ")


def test_noise_that_costs_nothing_leaves_nothing_to_win_back() -> None:
    report = report_with_noise({"baseline": (0.5, 0.5, 0.4), "mean-a0.1": (0.6, 0.5, 0.4)})
    (sentence,) = noise_findings(report)
    assert sentence.startswith("Noise costs baseline nothing: recall@10 is 50.0 on clean queries, 50.0 on average")
    page = render_report(report)
    table = page[page.index("What each system wins back") :].partition("</table>")[0]
    assert ">none</td>" in table and "no bounds" in table


def test_the_best_on_noisy_queries_is_shown_even_if_others_are_better_on_clean_ones() -> None:
    report = report_with_noise({"baseline": (0.8, 0.5, 0.4), "mean-a0.1": (0.9, 0.5, 0.2), "mean-a0.5": (0.7, 0.7, 0.3)})
    assert choose_systems(report, METRIC).systems == ("mean-a0.1",)
    assert with_drops(report, ["mean-a0.1"]) == ["baseline", "mean-a0.1", "mean-a0.5"]
    assert noise_findings(report)[1].startswith("mean-a0.5, the best system on noisy queries, wins back 66.7 %")


def test_tables_are_about_clean_queries_unless_noise_is_all_there_is(report: Report) -> None:
    assert choose_systems(report, METRIC).systems == ("mean-a0.1",)
    alone = report_with_noise({"baseline": (0.5, 0.3, 0.1)})
    assert choose_systems(alone, METRIC).systems == ("baseline@noise-mean", "baseline@noise-worst")
    assert len(noise_findings(alone)) == 1 and "What is won back" not in render_report(alone)


def test_the_page_has_tables_and_charts_of_noise(report: Report) -> None:
    page = render_report(report)
    section = page[page.index('<section id="robustness">') :].partition("</section>")[0]
    tables = [ElementTree.fromstring(table) for table in re.findall(r"<table.*?</table>", section, re.DOTALL)]
    for table in tables:
        assert all(header.get("scope") for header in table.iter("th")) and table.find("caption") is not None
        assert len({sum(int(cell.get("colspan", 1)) for cell in row) for row in table.findall("tbody/tr")}) == 1
    rows = [[["".join(cell.itertext()).strip() for cell in row] for row in table.findall("tbody/tr")] for table in tables]
    shown, every, by_language, won, every_won, by_operator = rows
    assert [row[0] for row in shown] == ["baseline", "mean-a0.1"] and len(every) == 3 and len(every_won) == 2
    assert shown[0][1:4] == ["80.0", "50.0", f"{MINUS}30.0"] and shown[0][-4:] == [
        f"{MINUS}37.5 %",
        "40.0",
        f"{MINUS}40.0",
        f"{MINUS}50.0 %",
    ]
    assert [row[0] for row in by_language] == ["Finnish", "Telugu", "Macro mean"] and by_language[0][4] == f"{MINUS}37.5 %"
    assert won[0][:2] == ["mean-a0.1", "+22.5"] and won[0][3] == "75.0 %" and won[0][5] == "+20.0"
    assert [row[:3] for row in by_operator] == [["swap", "80", f"{MINUS}40.0"], ["word order", "9", "0.0"]]
    charts = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", section, re.DOTALL)]
    assert charts[0].findtext("title") == "recall@10 on clean and noisy queries" and len(charts) == 3
    assert "80.0 on clean queries, 50.0 on noisy ones, 40.0 on the worst" in str(charts[0].findtext("desc"))
    assert "word order: 0.0 points" in str(charts[1].findtext("desc"))
    assert "nan" not in section and "inf" not in section


def test_a_system_without_noisy_queries_stands_beside_the_others() -> None:
    """As one of `compare_to` that was evaluated without noise."""
    found = report_with_noise({"baseline": (0.8, 0.5, 0.4), "run:baseline": [0.9]})
    page = render_report(found)
    assert "What noise costs each system" in page and "What each system wins back" not in page
    assert len(noise_findings(found)) == 1 and "run:baseline rose" not in page and "with run:baseline" in page


def test_percentages_keep_their_sign_and_say_what_is_undefined() -> None:
    assert [percent(Ratio(value, None)) for value in (-0.123, 0.5, None)] == [f"{MINUS}12.3 %", "50.0 %", "none"]
    assert percent_interval(Ratio(0.5, (-0.1, 1.2))) == f"{MINUS}10.0 to 120.0 %"
    assert percent_interval(Ratio(0.5, None)) == "no bounds"


def test_earlier_evaluations_must_have_equal_noise_or_none(tmp_path: Path) -> None:
    for name, noise in (("equal", "swap 1"), ("none", None), ("other", "delete 1")):
        (tmp_path / name).mkdir()
        write_environment({"noise": noise}, tmp_path / name)
    require_equal_noise([tmp_path / "equal", tmp_path / "none", tmp_path / "missing"], "swap 1")
    with pytest.raises(UserError, match="compare_to must be evaluations with equal noise or none, got .*other with 'delete 1'"):
        require_equal_noise([tmp_path / "equal", tmp_path / "other"], "swap 1")


def test_robustness_json_has_every_figure(report: Report, tmp_path: Path) -> None:
    assert report.robustness is not None
    write_robustness(report.robustness, tmp_path)
    written = json.loads((tmp_path / "robustness.json").read_text())
    assert (written["metric"], written["versions"], list(written["systems"])) == (METRIC, 10, ["baseline", *FUSED])
    fused = written["systems"]["mean-a0.1"]
    assert fused["clean"] == {"fi": 0.825, "te": 0.825, "macro": 0.825} and fused[MEAN]["values"]["te"] == 0.725
    assert fused[MEAN]["drop"]["macro"]["mean_difference"] == pytest.approx(-0.1)
    assert fused["recovered"]["value"] == pytest.approx(0.75) and len(fused["recovered"]["confidence_interval"]) == 2
    assert fused["drop_beside_baseline"]["fi"]["mean_difference"] == pytest.approx(0.2)
    assert fused["drop_by_operator"]["word_order"]["n"] == 9
    assert "recovered" not in written["systems"]["baseline"] and operators_by_cost(report.robustness) == ["swap", "word_order"]


def test_the_logger_gets_figures_and_tables_of_noise(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, tuple[dict[str, float], Mapping[str, Table]]] = {}
    monkeypatch.setattr(logged_report, "log_row", lambda logger, figures, tables: logged.update(row=(figures, tables)))
    logged_report.log_report(Logger, report)  # type: ignore[arg-type]  # it is only handed on
    figures, tables = logged["row"]
    assert figures["robustness/baseline/drop"] == pytest.approx(-0.3)
    assert figures["robustness/baseline/drop/relative"] == pytest.approx(-0.375)
    assert figures["robustness/baseline/worst_drop"] == pytest.approx(-0.4)
    assert figures["robustness/mean-a0.1/drop/swap"] == pytest.approx(-0.4125)
    assert figures["robustness/mean-a0.1/recovered"] == pytest.approx(0.75)
    assert figures["robustness/mean-a0.1/drop_beside_baseline"] == pytest.approx(0.2)
    lines = [dict(zip(tables["robustness"].columns, row, strict=True)) for row in tables["robustness"].rows]
    (macro,) = (line for line in lines if line["system"] == "baseline" and line["language"] == "macro")
    assert [macro[name] for name in ("n", "clean", "noisy", "worst")] == [80, 0.8, 0.5, 0.4] and macro["significant"]
    assert [line["n"] for line in lines if line["operator"] == "word_order"] == [9, 9, 9]
    assert [row[:2] for row in tables["recovered"].rows] == [
        ["mean-a0.1", pytest.approx(0.75)],
        ["mean-a0.5", pytest.approx(-1 / 3)],
    ]
