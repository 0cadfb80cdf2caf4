"""Sweeps put together from what their jobs left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from xdr.comparison import significance
from xdr.errors import UserError
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import write_environment, write_metrics
from xdr.storage.jobs import Job, read_job
from xdr.studies.curves import slices
from xdr.studies.files import sweep_table
from xdr.studies.findings import sweep_answer
from xdr.studies.page import render_sweep
from xdr.studies.settings import FigureSettings, SweepSettings
from xdr.studies.sweep_report import SweepReport, query_interval, seed_interval, sweep_report
from xdr.studies.terminal_table import sweep_terminal_table

QUERIES = 20


def scored(**found: int) -> PerQuery:
    """`found` of the 20 queries of each language have a value of 1."""
    values = np.array([float(i < number) for number in found.values() for i in range(QUERIES)])
    ids = tuple(f"{language}{i}" for language in found for i in range(QUERIES))
    return PerQuery(ids, tuple(language for language in found for _ in range(QUERIES)), {"R@2kt": values})


def job(
    folder: Path, settings: Mapping[str, Any], systems: Mapping[str, PerQuery] | None = None, value: float | None = None
) -> Job:
    """Of flat settings."""
    nested: dict[str, Any] = {}
    for key, its in settings.items():
        node = nested
        *places, last = key.split(".")
        for place in places:
            node = node.setdefault(place, {})
        node[last] = its
    folder.mkdir(exist_ok=True)
    if systems:
        write_metrics(systems, folder)
    return read_job(folder).begin(nested, [f"{key}={its}" for key, its in settings.items()]).finish(value)


def augmented(folder: Path, alpha: Any, number: int, languages: Sequence[str], found: Mapping[str, PerQuery]) -> Job:
    settings = {"augmentation.alpha": alpha, "augmentation.number": number, "augmentation.languages": list(languages)}
    settings["augmentation.fusion"] = "sum"
    return job(folder, settings, {"baseline": scored(fi=8, te=8), **found})


def read_as(**changes: Any) -> SweepSettings:
    """The settings of conf/evaluate.yaml with changes."""
    return replace(SweepSettings(None, None, "baseline", [], None, [], None, None, None, FigureSettings()), **changes)


def report_of(jobs: Sequence[Job], testing: significance.Testing | None = None, **changes: Any) -> SweepReport:
    return sweep_report("sweep", jobs, read_as(**changes), testing or significance.Testing(500, 0.95, 0))


@pytest.fixture
def grid(tmp_path: Path) -> list[Job]:
    """Two alphas, one pass; one and two questions; one and two languages."""
    jobs = []
    for number in (1, 2):
        for languages in (["fi"], ["fi", "te"]):
            better = {f"sum-a{a}": scored(fi=8 + number, te=8 + 4 * len(languages)) for a in ("0.1", "0.2")}
            jobs.append(augmented(tmp_path / f"{number}{len(languages)}", [0.1, 0.2], number, languages, better))
    return jobs


def test_a_point_is_a_system_with_its_settings_and_the_baseline_is_one(grid: list[Job]) -> None:
    report = report_of(grid)
    assert len(report.points) == 1 + 2 * 4
    assert report.points[0].name == "baseline" and report.points[0].jobs == ("11", "12", "21", "22")
    assert report.points[1].name == "sum number=1 languages=fi alpha=0.1"
    assert set(report.reference.values()) == {"baseline"}
    best = report.best()
    assert best is not None and best.name == "sum number=2 languages=fi+te alpha=0.1"
    assert report.value(best.name) == (10 / 20 + 16 / 20) / 2


def test_p_is_corrected_over_the_whole_sweep(grid: list[Job]) -> None:
    comparisons = report_of(grid).comparisons.values()
    assert len(comparisons) == 8 * 3, "two languages and macro"
    test = significance.RANDOMISATION
    smallest = min(comparisons, key=lambda each: each.p[test] or 0)
    assert smallest.corrected_p[test] == pytest.approx(min(1, 24 * (smallest.p[test] or 0)))
    assert "24 x" in smallest.family


def test_a_warning_says_when_a_sweep_has_too_few_samples(grid: list[Job]) -> None:
    assert report_of(grid).warnings() == [], "24 / 501 is below 0.05"
    few = report_of(grid, significance.Testing(400, 0.95, 0))
    assert (
        "num_samples=400 is too few for a family of 24 comparisons" in render_sweep(few)
        and "Set 480 or more" in few.warnings()[0]
    )


def test_encoders_have_baselines_of_their_own_and_one_family(tmp_path: Path) -> None:
    jobs = []
    for name, better in (("a", 4), ("b", 8)):
        systems = {"baseline": scored(fi=8 + better), "sum-a0.1": scored(fi=10 + better)}
        settings = {"checkpoint": name, "augmentation.alpha": 0.1, "augmentation.fusion": "sum"}
        jobs.append(job(tmp_path / name, settings, systems))
    report = report_of(jobs)
    assert report.reference == {
        "sum checkpoint=a alpha=0.1": "baseline checkpoint=a",
        "sum checkpoint=b alpha=0.1": "baseline checkpoint=b",
    }
    assert [each.mean_difference for each in report.comparisons.values()] == [0.1] * 4
    family = {each.family for each in report.comparisons.values()}
    assert len(family) == 1 and "2 x" in family.pop(), "one language: macro counts once"


def test_the_baseline_can_be_a_single_point(tmp_path: Path) -> None:
    jobs = [job(tmp_path / name, {"checkpoint": name}, {"baseline": scored(fi=n)}) for name, n in (("a", 8), ("b", 12))]
    assert report_of(jobs).reference == {}, "nothing is compared with itself"
    report = report_of(jobs, baseline="baseline checkpoint=a")
    assert report.reference == {"baseline checkpoint=b": "baseline checkpoint=a"}
    with pytest.raises(UserError, match="did you mean 'baseline checkpoint=a'"):
        report_of(jobs, baseline="baseline checkpoint=aa")


def test_jobs_with_a_changed_encoder_under_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        job(tmp_path / name, {"checkpoint": "encoder"}, {"baseline": scored(fi=8)})
        write_environment({"encoder": name, "collection": "c"}, tmp_path / name)
    with pytest.raises(UserError, match="one and two name the same checkpoint and collection, but one of these was made again"):
        report_of([read_job(tmp_path / name) for name in ("one", "two")])


def test_seeds_are_repetitions_and_their_spread_is_not_that_of_queries(tmp_path: Path) -> None:
    counts = {1: 8, 2: 10, 3: 15}
    jobs = [job(tmp_path / str(s), {"model.seed": s, "noise": 0.1}, {"baseline": scored(fi=n)}) for s, n in counts.items()]
    report = report_of(jobs)
    (point,) = report.points
    shares = [n / 20 for n in counts.values()]
    assert report.value("baseline") == pytest.approx(np.mean(shares))
    low, high = seed_interval(shares, 0.95) or (0, 0)
    judge = scipy.stats.t.interval(0.95, 2, np.mean(shares), scipy.stats.sem(shares))
    assert (low, high) == pytest.approx(judge)
    assert query_interval(report, point, "fi") != pytest.approx((low, high))
    assert seed_interval(shares[:1], 0.95) is None


def test_a_repeated_setting_is_not_an_axis(tmp_path: Path) -> None:
    jobs = [job(tmp_path / name, {"checkpoint": name}, {"baseline": scored(fi=n)}) for name, n in (("a", 8), ("b", 12))]
    report = report_of(jobs, repeated=["checkpoint"])
    assert report.axes == () and report.value("baseline") == 0.5


def test_curves_run_along_numbers_and_the_lengths_of_lists(grid: list[Job]) -> None:
    found = slices(report_of(grid))
    assert {axis: len(its) for axis, its in found.items()} == {
        "augmentation.number": 4,
        "augmentation.languages": 4,
        "augmentation.alpha": 4,
    }
    best = found["augmentation.languages"][0]
    assert best.held == "sum number=2 alpha=0.1"
    macro = best.curves[0]
    assert (macro.axis, macro.positions, macro.baseline) == ("number of languages", (1, 2), 0.4)
    assert macro.values == ((10 / 20 + 12 / 20) / 2, (10 / 20 + 16 / 20) / 2)


def test_jobs_that_are_not_done_are_listed_and_not_counted(grid: list[Job], tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    failed = read_job(tmp_path / "broken").begin({}, ["augmentation.alpha=7"]).fail("an alpha is from 0 to 1, <and 7 came>")
    report = report_of([*grid, failed, Job(tmp_path / "later", ("augmentation.alpha=0.3",))])
    page = render_sweep(report)
    assert "an alpha is from 0 to 1, &lt;and 7 came&gt;" in page and "waiting" in page
    assert "6 jobs: 4 done, 1 failed, 1 waiting" in page
    assert len(report.points) == 9
    assert "No job is done yet" in sweep_answer(report_of([failed]))


def test_the_table_has_a_row_for_each_point_metric_and_language(grid: list[Job]) -> None:
    report = report_of(grid)
    rows = sweep_table(report).to_pylist()
    assert len(rows) == 9 * 3
    row = next(row for row in rows if row["augmentation.number"] == 2 and row["lang"] == "te")
    assert (row["augmentation.languages"], row["augmentation.alpha"], row["value"], row["n"]) == ("fi", 0.1, 0.6, 20)
    assert sweep_terminal_table(report).row_count == 9


def test_a_sweep_of_train_reports_the_value_of_each_setting(tmp_path: Path) -> None:
    settings = [(rate, seed) for rate in (0.001, 0.01) for seed in (1, 2)]
    jobs = [
        job(tmp_path / f"{rate}-{seed}", {"model.optimizer.learning_rate": rate, "seed": seed}, value=rate * 10 + seed / 10)
        for rate, seed in settings
    ]
    report = report_of(jobs)
    assert [run.name for run in report.trainings] == ["run learning_rate=0.001", "run learning_rate=0.01"]
    assert [run.results for run in report.trainings] == [pytest.approx((0.11, 0.21)), pytest.approx((0.2, 0.3))]
    assert slices(report)["model.optimizer.learning_rate"][0].curves[0].values == pytest.approx((0.16, 0.25))
    assert "2 settings were trained" in sweep_answer(report) and "0.16" in render_sweep(report)
    assert sweep_table(report).num_rows == 2


def test_settings_of_a_correction_change_neither_the_baseline_nor_the_systems_without_it(tmp_path: Path) -> None:
    jobs = []
    for size in (100, 1000):
        settings = {"augmentation.alpha": 0.1, "augmentation.fusion": "sum", "correction.bank.size": size}
        systems = {"baseline": scored(fi=8), "sum-a0.1": scored(fi=12), "csls-w1": scored(fi=9 + size // 1000)}
        jobs.append(job(tmp_path / str(size), settings, systems))
    report = report_of(jobs)
    assert [(point.system, len(point.jobs)) for point in report.points] == [
        *(("baseline", 2), ("csls-w1", 1), ("csls-w1", 1), ("sum", 2)),
    ]
    assert set(report.reference) == {"csls-w1 size=100", "csls-w1 size=1000", "sum alpha=0.1"}
    assert set(report.reference.values()) == {"baseline"}


def test_intervals_of_a_sweep_resample_clusters_where_they_are_asked_for(tmp_path: Path) -> None:
    """All queries of a language are one cluster: nothing is left to chance, and no test is possible."""
    jobs = [augmented(tmp_path / "one", 0.1, 0, (), {"sum-a0.1": scored(fi=12, te=8)})]
    testing = significance.Testing(500, 0.95, 0, cluster="^..")
    report = report_of(jobs, testing)
    baseline = next(point for point in report.points if point.system == "baseline")
    assert query_interval(report, baseline, "fi") == (0.4, 0.4)
    (comparison,) = [each for each in report.comparisons.values() if each.language == "fi"]
    assert comparison.num_clusters == 1 and comparison.note == "one cluster of queries: no test is possible"
