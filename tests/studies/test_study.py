"""Studies: trained settings, baselines on equal noise, what was chosen, figures, surfaces, the answer."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from callbacks import report_sweep
from tests.studies.test_sweep import job, report_of, scored
from xdr.comparison.significance import RANDOMISATION
from xdr.errors import UserError
from xdr.storage.jobs import Job, write_listing
from xdr.studies.figure import panels
from xdr.studies.files import write_sweep
from xdr.studies.findings import could_have_shown, sweep_answer
from xdr.studies.page import render_sweep
from xdr.studies.settings import FigureSettings, SweepSettings
from xdr.studies.surface import contours, surfaces

NOISY = {"plain": (16, 14, 8), "noisy": (15, 15, 13)}
"""Queries found by encoders of two experiments: clean, with little noise, with much."""


@pytest.fixture
def noise(tmp_path: Path) -> list[Job]:
    """Two trainings with two seeds, at two levels of noise."""
    jobs = []
    for experiment, (clean, little, much) in NOISY.items():
        for seed in (1, 2):
            folder = tmp_path / "train" / f"{experiment}{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            job(folder, {"experiment": experiment, "seed": seed}, value=0.5)
            for share, found in ((0.3, little), (1.0, much)):
                systems = {"baseline": scored(fi=clean), "baseline@noise-mean": scored(fi=found - seed % 2)}
                settings = {"checkpoint": str(folder), "noise.share": share}
                jobs.append(job(tmp_path / f"{experiment}{seed}{share}", settings, systems))
    write_listing(tmp_path / "train", {}, "python train.py study=x_train")
    return jobs


def test_a_checkpoint_is_described_by_what_its_training_varied_and_seeds_repeat(noise: list[Job]) -> None:
    report = report_of(noise)
    assert [point.name for point in report.points] == [
        "baseline experiment=noisy",
        "baseline experiment=plain",
        "baseline@noise-mean share=0.3 experiment=noisy",
        "baseline@noise-mean share=0.3 experiment=plain",
        "baseline@noise-mean share=1 experiment=noisy",
        "baseline@noise-mean share=1 experiment=plain",
    ]
    assert {len(point.repeats) for point in report.points} == {2}
    assert report.value("baseline@noise-mean share=1 experiment=plain") == pytest.approx(7.5 / 20)


def test_points_are_compared_on_equal_noise_and_the_baseline_s_with_clean_queries(noise: list[Job]) -> None:
    assert report_of(noise, baseline="experiment=plain").reference == {
        "baseline experiment=noisy": "baseline experiment=plain",
        "baseline@noise-mean share=0.3 experiment=noisy": "baseline@noise-mean share=0.3 experiment=plain",
        "baseline@noise-mean share=1 experiment=noisy": "baseline@noise-mean share=1 experiment=plain",
        "baseline@noise-mean share=0.3 experiment=plain": "baseline experiment=plain",
        "baseline@noise-mean share=1 experiment=plain": "baseline experiment=plain",
    }


def test_the_answer_is_about_the_points_that_it_names(noise: list[Job]) -> None:
    found = sweep_answer(report_of(noise, baseline="experiment=plain", answer="baseline@noise-mean share=1"))
    assert found.startswith("Among baseline@noise-mean share=1, R@2kt is highest for experiment=noisy: 62.5")
    assert "62.5, against 37.5 of experiment=plain. The difference is +25.0 points (95 % interval" in found
    with pytest.raises(UserError, match=r"sweep.answer must be words of a point of this sweep, got share=0\.4"):
        report_of(noise, answer="share=0.4").best()


def test_a_study_has_words_for_its_settings(noise: list[Job]) -> None:
    names = {
        "baseline": "no questions",
        "noise-mean": "mistyped",
        "share": "their share",
        "experiment=plain": "trained on clean ones",
    }
    figure = FigureSettings("share", lines=["experiment"], panels="system")
    report = report_of(noise, baseline="experiment=plain", answer="share=1", figure=figure, names=names)
    answer = sweep_answer(report)
    assert answer.startswith("Among share=1, R@2kt is highest for no questions, mistyped, experiment=noisy: 62.5, against 37.5")
    assert "of trained on clean ones" in answer
    page = render_sweep(report)
    assert "R@2kt against their share" in page and "<figcaption>no questions, mistyped</figcaption>" in page
    assert ">trained on clean ones</li>" in page and ">experiment=noisy</li>" in page


def test_without_a_significant_difference_the_answer_says_what_would_have_been_found(noise: list[Job]) -> None:
    report = report_of(noise, baseline="experiment=plain", answer="baseline@noise-mean share=0.3")
    assert ": not significant" in sweep_answer(report)
    (sentence,) = could_have_shown(report)
    assert "would have found a difference of" in sentence and sentence in render_sweep(report)


def test_a_line_of_noise_begins_with_clean_queries_at_0(noise: list[Job]) -> None:
    asked = FigureSettings("share", lines=["experiment"], panels="system")
    (panel,) = panels(report_of(noise, figure=asked))
    assert panel.name == "baseline@noise-mean"
    assert {line.family: (line.positions, line.values) for line in panel.lines} == {
        "experiment=noisy": ((0, 0.3, 1), pytest.approx((0.75, 0.725, 0.625))),
        "experiment=plain": ((0, 0.3, 1), pytest.approx((0.8, 0.675, 0.375))),
    }
    with pytest.raises(UserError, match="one point at each share of a line, got several"):
        panels(report_of(noise, figure=FigureSettings("share", lines=[])))
    with pytest.raises(UserError, match="must name settings that the sweep varies, got shore; did you mean 'share'"):
        panels(report_of(noise, figure=FigureSettings("shore")))


def test_wandb_gets_the_question_the_answer_and_the_lines_of_the_figure(
    noise: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: dict[str, Any] = {}
    monkeypatch.setattr(report_sweep, "log_row", lambda logger, figures, tables: logged.update(tables))
    asked = FigureSettings("share", lines=["experiment"], panels="system")
    report = report_of(noise, baseline="experiment=plain", question="Does it help?", figure=asked)
    report_sweep.log_sweep(CSVLogger("unused"), report)
    ((question, answer, findings),) = logged["answer"].rows
    assert (question, answer) == ("Does it help?", sweep_answer(report)) and "The best point was chosen on" in findings
    figure = logged["figure"]
    assert figure.columns[:3] == ("line", "share", "R@2kt") and figure.line == ("share", "R@2kt", "line")
    shown = [row[:3] for row in figure.rows if row[0] == "baseline@noise-mean, experiment=noisy"]
    assert shown == [[shown[0][0], at, pytest.approx(value)] for at, value in ((0, 0.75), (0.3, 0.725), (1, 0.625))]


def test_the_page_has_the_question_the_figure_and_all_commands(noise: list[Job], tmp_path: Path) -> None:
    figure = FigureSettings("noise.share", lines=["experiment"], panels="system")
    report = report_of(noise, baseline="experiment=plain", question="Is <noise> bad?", note="The epoch: on dev.", figure=figure)
    write_listing(tmp_path, {}, "python evaluate.py study=x")
    write_sweep(report, tmp_path)
    page = (tmp_path / "sweep.html").read_text("utf-8")
    for text in (
        "Is &lt;noise&gt; bad?",
        "The epoch: on dev.",
        "R@2kt against share",
        "study=x_train",
        "study=x<",
        "stage=sweep",
    ):
        assert text in page


def test_alpha_is_chosen_on_other_queries_and_the_others_are_not_compared(tmp_path: Path) -> None:
    values = {"dev": {"0.1": 9, "0.2": 12, "0.3": 10}, "test": {"0.1": 14, "0.2": 11, "0.3": 12}}
    settings = {"augmentation.alpha": [0.1, 0.2, 0.3], "augmentation.fusion": "sum"}
    jobs = {}
    for split, found in values.items():
        (tmp_path / split).mkdir()
        write_listing(tmp_path / split, {})
        systems = {"baseline": scored(fi=8), **{f"sum-a{alpha}": scored(fi=number) for alpha, number in found.items()}}
        jobs[split] = job(tmp_path / split / "job", settings, systems)
    report = report_of([jobs["test"]], chosen=["alpha"], choose_from=str(tmp_path / "dev"))
    assert [point.name for point in report.points] == ["baseline", "sum alpha=0.2"]
    assert "alpha=0.2, which was best on the queries of" in sweep_answer(report) and ": 55.0" in sweep_answer(report)
    assert "Chosen on the queries of" in render_sweep(report) and "optimistic" not in render_sweep(report)
    with pytest.raises(UserError, match="sweep.choose_from must be given with sweep.chosen"):
        SweepSettings(None, None, "baseline", [], None, ["alpha"], None, None, None, FigureSettings())


def test_passages_and_queries_fused_at_once_have_the_settings_of_both(tmp_path: Path) -> None:
    """A line over the number of generated passages begins with the system that has none."""
    both = {"augmentation.fusion": "mean", "augmentation.alpha": [0.1, 0.2], "augmentation.hyde": "written"}
    both |= {"augmentation.hyde_fusion": "hyde_mean", "augmentation.hyde_alpha": None}
    jobs = []
    for languages in (["fi"], ["fi", "te"]):
        for number in (1, 2):
            settings = {"augmentation.languages": languages, "augmentation.hyde_number": number, **both}
            systems = {"baseline": scored(fi=4), "hyde_mean-queries": scored(fi=4 + number)}
            for alpha in ("0.1", "0.2"):
                systems[f"mean-a{alpha}"] = scored(fi=5 + len(languages))
                systems[f"mean-a{alpha}+hyde_mean-queries"] = scored(fi=5 + len(languages) + number)
            jobs.append(job(tmp_path / f"{len(languages)}-{number}", settings, systems))
    report = report_of(jobs, figure=FigureSettings("augmentation.hyde_number", None, ["system", "languages", "alpha"]))
    assert {point.name for point in report.points} == {
        "baseline",
        *(f"hyde_mean-queries hyde_number={number}" for number in (1, 2)),
        *(f"mean languages={codes} alpha={alpha:g}" for codes in ("fi", "fi+te") for alpha in (0.1, 0.2)),
        *(
            f"mean+hyde_mean-queries languages={codes} hyde_number={number} alpha={alpha:g}"
            for codes in ("fi", "fi+te")
            for number in (1, 2)
            for alpha in (0.1, 0.2)
        ),
    }
    (panel,) = panels(report)
    lines = {line.family: list(zip(line.positions, line.values, strict=True)) for line in panel.lines}
    assert lines["hyde_mean-queries"] == [(0, 4 / 20), (1, 5 / 20), (2, 6 / 20)]
    assert lines["mean+hyde_mean-queries languages=fi+te alpha=0.1"] == [(0, 7 / 20), (1, 8 / 20), (2, 9 / 20)]


@pytest.fixture
def grid(tmp_path: Path) -> list[Job]:
    """Languages (1, 2) by data (10, 20, 40). A language finds one query more, data one for each step."""
    jobs = []
    for languages in (["fi"], ["fi", "te"]):
        for step, size in enumerate((10, 20, 40)):
            found = 6 + len(languages) + step
            settings = {"languages": languages, "size": size}
            jobs.append(job(tmp_path / f"{len(languages)}-{size}", settings, {"sum": scored(fi=found)}))
    return jobs


def test_a_surface_has_main_effects_and_no_interaction_where_there_is_none(grid: list[Job]) -> None:
    report = report_of(grid, baseline="languages=fi size=10", figure=FigureSettings("languages", "size"))
    (surface,) = surfaces(report)
    assert (surface.x_positions, surface.y_positions) == ((1, 2), (10, 20, 40))
    assert surface.values == ((7 / 20, 8 / 20), (8 / 20, 9 / 20), (9 / 20, 10 / 20))
    effects = {name: effect.mean_difference for name, effect in surface.effects.items()}
    assert effects == pytest.approx({"number of languages": 1 / 20, "size": 2 / 20, "number of languages x size": 0})
    for effect in surface.effects.values():
        assert (effect.corrected_p[RANDOMISATION] or 0) >= (effect.p[RANDOMISATION] or 0)
    page = render_sweep(report)
    assert "R@2kt against number of languages and size" in page and page.count('class="cell"') == 6


def test_a_contour_crosses_between_the_values_that_it_separates(grid: list[Job]) -> None:
    (surface,) = surfaces(report_of(grid, baseline="languages=fi size=10", figure=FigureSettings("languages", "size")))
    ((level, segments),) = contours(surface, [8.5 / 20])
    assert level == 8.5 / 20
    ends = {(x, y) for x1, y1, x2, y2 in segments for x, y in ((x1, y1), (x2, y2))}
    assert len(segments) == 4
    assert all(x + y == pytest.approx(1.5) for x, y in ends), "values rise by one step along both axes"
