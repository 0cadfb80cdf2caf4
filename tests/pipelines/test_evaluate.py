"""An evaluation as a user starts it: its files, killed, on two processes."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from conf import entry
from evaluate import main
from tests.pipelines.test_generate import QUICK_GENERATION
from tests.runs import run, start
from tests.wandb_files import read_run
from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.errors import UserError

QUICK_EVALUATION = [
    "data=sample",
    "search.shard_size=12",
    "evaluation.num_samples=200",
    "trainer.enable_progress_bar=false",
    "trainer.accelerator=cpu",
]


@pytest.fixture(scope="module")
def trained(trained_encoder: Path) -> Path:
    return trained_encoder


@pytest.fixture(scope="module")
def generated(trained_generator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "texts"
    arguments = (f"checkpoint={trained_generator}", "augmentation.generation.refuse=[]", "logger=offline")
    run(folder, *arguments, quick=QUICK_GENERATION, script="evaluate.py")
    return folder


def augmented(generated: Path) -> list[str]:
    return [
        "augmentation=generated_queries",
        f"augmentation.source={generated}",
        "augmentation.alpha=[0.1,0.3]",
        "augmentation.fusion=unit_mean",
    ]


def evaluate(folder: Path, *arguments: str) -> str:
    return run(folder, *arguments, quick=QUICK_EVALUATION, script="evaluate.py")


def metrics(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((folder / "metrics.json").read_text())
    return found


def runs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "runs").iterdir())}


def vectors(folder: Path) -> dict[str, bytes]:
    store = folder / "artifacts" / "embeddings"
    return {str(f.relative_to(store)): f.read_bytes() for f in sorted(store.rglob("shard-*/*"))}


@pytest.fixture(scope="module")
def whole(trained: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    labels = ("logger=offline", "logger.name=mine", "logger.artifacts=true")
    output = evaluate(folder, f"checkpoint={trained}", *augmented(generated), *labels)
    assert "baseline" in output and "The report is" in output
    return folder


def test_wandb_holds_the_values_of_the_files(whole: Path) -> None:
    found = read_run(whole)
    assert (found.job_type, found.name, found.exit_codes) == ("evaluate", "mine", [0])
    assert found.config["augmentation"]["alpha"] == [0.1, 0.3] and found.config["stage"] == "score"
    (row,) = found.rows
    in_files = {
        f"{system}/{metric}/{language}": value
        for system, of_system in metrics(whole).items()
        for metric, by_language in of_system.items()
        for language, value in by_language.items()
    }
    significance = json.loads((whole / "significance.json").read_text())
    comparisons, coverage = significance["comparisons"], significance["coverage"]
    for each in comparisons:
        name = f"{each['system']}/{each['metric']}/{each['language']}"
        in_files[f"{name}/difference"] = each["mean_difference"]
        in_files[f"{name}/corrected_p"] = each["corrected_p"]["sign-flip randomisation"]
    in_files |= {f"coverage/{name}": coverage[name]["share"] for name in ("passages", "relevant")}
    figures = {name: value for name, value in row.items() if "/" in name}
    assert figures == in_files
    lines = {(line["system"], line["metric"], line["language"]): line for line in found.tables["systems"]}
    assert len(lines) == 3 * 7 * 9
    for each in comparisons:
        line = lines[each["system"], each["metric"], each["language"]]
        assert [line["difference from"], line["difference to"]] == each["confidence_interval"]
        for test, p in each["p"].items():
            assert (line[f"p, {test}"], line[f"corrected p, {test}"]) == (p, each["corrected_p"][test])


def test_wandb_holds_the_alpha_curve_and_the_queries_that_moved_most(whole: Path) -> None:
    found, values = read_run(whole), metrics(whole)
    curve = [line for line in found.tables["alpha_curve"] if line["language"] == "macro"]
    headline = "R@2kt"
    assert [(line["alpha"], line[headline]) for line in curve] == [
        (0.0, values["baseline"][headline]["macro"]),
        (0.1, values["unit_mean-a0.1"][headline]["macro"]),
        (0.3, values["unit_mean-a0.3"][headline]["macro"]),
    ]
    best = max(("unit_mean-a0.1", "unit_mean-a0.3"), key=lambda system: values[system][headline]["macro"])
    sample = Sample()
    gold = {j.query_id: j.passage_id for j in sample.judgements("dev", Problems())}
    queries = {query.query_id: query for query in sample.queries("dev", Problems())}
    passages = {passage.passage_id: passage for passage in sample.passages(Problems())}
    ranks = {
        system: {
            (line.split()[0], line.split()[2]): int(line.split()[3]) for line in runs(whole)[f"{system}.trec"].splitlines()
        }
        for system in ("baseline", best)
    }
    moved = found.tables["moved_most"]
    assert moved
    for line in moved:
        query, passage = queries[line["query id"]], passages[gold[line["query id"]]]
        assert (line["query"], line["language"]) == (query.text, query.language)
        assert (line["passage"], line["text"]) == (passage.title, passage.text)
        place = (query.query_id, passage.passage_id)
        assert (line["rank before"], line["rank after"]) == (ranks["baseline"].get(place), ranks[best].get(place))
        assert set(json.loads(line["questions"])) <= {"ar", "bn", "fi", "ja", "ko", "ru", "te"}


def test_wandb_keeps_the_report_where_it_is_asked_to(whole: Path) -> None:
    found = read_run(whole)
    names = {"report.html", "metrics.json", "significance.json", "per_query.parquet", "environment.json"}
    assert set(found.artifacts[f"report-{found.run_id}"]) == names


def test_wandb_holds_what_the_generator_wrote_and_what_the_gate_counted(trained_generator: Path, generated: Path) -> None:
    training = read_run(trained_generator)
    assert training.job_type == "train"
    file = max((trained_generator / "samples").glob("*.jsonl"))
    written = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert training.tables["dev/written"] == written
    assert {line["language"] for line in written} == {"ar", "bn", "en", "fi", "ja", "ko", "ru", "te"}
    generation = read_run(generated)
    assert generation.job_type == "generate"
    counts = json.loads((generated / "generated.json").read_text())["counts"]
    expected = {f"{reason}/{language}": number for language, its in counts.items() for reason, number in its.items()}
    assert {name: value for name, value in generation.rows[0].items() if "/" in name} == expected


def test_an_evaluation_leaves_its_files(whole: Path) -> None:
    found = metrics(whole)
    assert list(found) == ["baseline", "unit_mean-a0.1", "unit_mean-a0.3"]
    assert set(found["baseline"]) == {"R@2kt", "R@5kt", "recall@1", "recall@10", "recall@100", "MRR@10", "nDCG@10"}
    languages = {"ar", "bn", "en", "fi", "ja", "ko", "ru", "te"}
    assert set(found["baseline"]["recall@10"]) == {*languages, "macro"}
    rows = pq.read_table(whole / "per_query.parquet").to_pylist()
    its = [row["value"] for row in rows if (row["system"], row["metric"], row["lang"]) == ("baseline", "MRR@10", "fi")]
    assert len(its) == 144 and sum(its) / 144 == pytest.approx(found["baseline"]["MRR@10"]["fi"])
    comparisons = json.loads((whole / "significance.json").read_text())["comparisons"]
    assert len(comparisons) == 2 * 7 * 9
    assert all(each["corrected_p"].keys() == each["p"].keys() for each in comparisons)
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["versions"]["torch"] and environment["encoder"] and environment["generated queries in passages"]
    assert (environment["query prefix"], environment["query length"], environment["pooling"]) == ("", 24, "mean")
    assert "unit_mean-a0.1" in (whole / "report.html").read_text(encoding="utf-8")
    assert len(runs(whole)["baseline.trec"].splitlines()) == 1152 * 100


def test_two_processes_find_what_one_finds(whole: Path, trained: Path, generated: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "run", f"checkpoint={trained}", *augmented(generated), "trainer.devices=2")
    assert vectors(tmp_path / "run") == vectors(whole)
    assert metrics(tmp_path / "run") == metrics(whole)
    assert runs(tmp_path / "run") == runs(whole)


def shards_in(folder: Path) -> int:
    return len(list((folder / "artifacts" / "embeddings").glob("*/shard-*")))


def evaluate_with_kills(folder: Path, arguments: list[str], num_kills: int, seed: int) -> None:
    """Kills soon after a shard has come, while it searches and scores, or at any moment from the start on; begins anew where an
    evaluation was too quick."""
    rng = random.Random(seed)
    kills = 0
    while kills < num_kills:
        devices = f"trainer.devices={1 + kills % 2}"
        process = start(folder, *arguments, devices, quick=QUICK_EVALUATION, script="evaluate.py")
        before, deadline = shards_in(folder), time.time() + rng.choice([3, 120, 120])
        while process.poll() is None and shards_in(folder) == before and time.time() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        else:
            shutil.rmtree(folder / "artifacts" / "embeddings", ignore_errors=True)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)


def test_killed_it_goes_on_to_the_same_bytes(whole: Path, trained: Path, generated: Path, tmp_path: Path) -> None:
    arguments = [f"checkpoint={trained}", *augmented(generated)]
    evaluate_with_kills(tmp_path / "run", arguments, 2, 1)
    evaluate(tmp_path / "run", *arguments)
    assert vectors(tmp_path / "run") == vectors(whole)
    assert metrics(tmp_path / "run") == metrics(whole)


@pytest.mark.slow
def test_killed_ten_times_it_goes_on_to_the_same_bytes(whole: Path, trained: Path, generated: Path, tmp_path: Path) -> None:
    arguments = [f"checkpoint={trained}", *augmented(generated), "search.shard_size=2"]
    evaluate(tmp_path / "one", *arguments)
    evaluate_with_kills(tmp_path / "two", arguments, 10, 2)
    evaluate(tmp_path / "two", *arguments)
    assert vectors(tmp_path / "two") == vectors(tmp_path / "one")
    assert metrics(tmp_path / "two") == metrics(tmp_path / "one") == metrics(whole)


def test_all_passages_are_ranked_where_the_depth_is_0(trained_encoder: Path, whole: Path, tmp_path: Path) -> None:
    """Every passage of the sample is English: what is searched in another language than the question's is all there is."""
    arguments = ("search.depth=0", "evaluation.metrics=[MAP,MAP-mono,MAP-cross,rank_spread]")
    output = evaluate(tmp_path / "run", f"checkpoint={trained_encoder}", *arguments)
    assert "rank_spread is left out: no query has relevant passages in two languages" in output
    found = metrics(tmp_path / "run")["baseline"]
    assert list(found["MAP-mono"]) == ["en", "macro"] and found["MAP-mono"]["en"] == found["MAP"]["en"]
    assert found["MAP-cross"]["fi"] == found["MAP"]["fi"] and "en" not in found["MAP-cross"]
    lines = runs(tmp_path / "run")["baseline.trec"].splitlines()
    assert len(lines) == 1152 * 144
    first = {tuple(line.split()[:4]) for line in lines if int(line.split()[3]) <= 100}
    assert first == {tuple(line.split()[:4]) for line in runs(whole)["baseline.trec"].splitlines()}


def test_a_checkpoint_gives_what_the_folder_of_its_training_gives(trained: Path, whole: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "run", f"checkpoint={trained / 'checkpoints' / 'best.ckpt'}")
    assert metrics(tmp_path / "run")["baseline"] == metrics(whole)["baseline"]


def test_earlier_evaluations_are_compared_with(whole: Path, trained: Path, tmp_path: Path) -> None:
    evaluate(tmp_path / "run", f"checkpoint={trained}", f"compare_to=[{whole}]")
    found = metrics(tmp_path / "run")
    assert found["run:unit_mean-a0.1"] == metrics(whole)["unit_mean-a0.1"]
    comparisons = json.loads((tmp_path / "run" / "significance.json").read_text())["comparisons"]
    same = [each for each in comparisons if each["system"] == "run:baseline"]
    assert same and all(p == 1 for each in same for p in each["p"].values()), "identical systems"


def test_a_deeper_ranking_than_there_are_passages_is_of_all(trained: Path, tmp_path: Path) -> None:
    output = evaluate(tmp_path / "run", f"checkpoint={trained}", "search.depth=145")
    assert "search.depth is 145, but there are 144 passages: all of them are ranked" in output
    assert len(runs(tmp_path / "run")["baseline.trec"].splitlines()) == 1152 * 144


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["search=faiss_ivf"], "lists must be at most the number of passages (144), got 1,024"),
        (["evaluation.metrics=[recal@10]"], "recall@10"),
        (["evaluation.split=tset"], "tset"),
        (["evaluation.headline=rank_spread"], "headline must be a metric of which more is better"),
        (["augmentation=generated_queries"], "augmentation.source must be given"),
        (["augmentation=generated_queries", "augmentation.source=nowhere"], "Nothing of that name exists"),
        (["augmentation=generated_queries", "augmentation.source=''"], "Nothing of that name exists"),
        (
            ["augmentation=generated_queries", "augmentation.source={generated}", "augmentation.alpha=1.5"],
            "alpha must be from 0 to 1, got 1.5",
        ),
        (["augmentation=generated_queries", "augmentation.source={generated}", "augmentation.languages=[te]"], "got 'te'"),
        (["checkpoint=nowhere"], "checkpoint must be a model folder, or the name of a model on the hub"),
        (["checkpoint={generator}"], "which holds a generator"),
        (["checkpoint={generated}"], "checkpoint must be a checkpoint file"),
        (["compare_to=[nowhere]"], "compare_to must be an evaluation's output folder, got nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    trained: Path, trained_generator: Path, generated: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    folders = {"generated": generated, "generator": trained_generator}
    filled = [argument.format(**folders) for argument in arguments]
    process = start(tmp_path / "run", f"checkpoint={trained}", *filled, quick=QUICK_EVALUATION, script="evaluate.py")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert problem in output, output


@pytest.mark.parametrize(
    ("asking", "processes"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), pytest.param(signal.SIGTERM, 2, marks=pytest.mark.slow)]
)
def test_an_evaluation_that_is_asked_to_end_does_at_once(
    trained: Path, tmp_path: Path, asking: signal.Signals, processes: int
) -> None:
    """In the midst of its shards."""
    folder = tmp_path / "run"
    slowly = ["search.shard_size=1", f"trainer.devices={processes}"]
    process = start(folder, f"checkpoint={trained}", *slowly, quick=QUICK_EVALUATION, script="evaluate.py")
    while not shards_in(folder) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(asking)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + asking, output
    assert output.count("Interrupted. Finished work is saved; run the same command to resume.") == 1
    assert not (folder / "metrics.json").exists()
    deadline = time.time() + 20
    while is_there(process.pid) and time.time() < deadline:
        time.sleep(0.1)
    assert not is_there(process.pid), "the second process"


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_vectors_that_do_not_fit_on_the_disk_are_refused_before_they_are_made(
    trained_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*QUICK_EVALUATION, "stage=encode", f"checkpoint={trained_encoder}"]
    arguments += [f"output_dir={tmp_path}", f"artifacts_dir={tmp_path}"]
    settings = entry.compose("evaluate", arguments)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5000})())
    with pytest.raises(UserError, match="the vectors of 144 passages take 9,216 bytes, and only 5,000 bytes are free"):
        main(settings)
    assert not vectors(tmp_path)


def test_an_encoder_whose_vectors_are_all_equal_is_told(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "encoder", tmp_path / "zeros")
    weights = load_file(tmp_path / "zeros" / "model.safetensors")
    save_file(
        {name: value.zero_() for name, value in weights.items()}, tmp_path / "zeros" / "model.safetensors", {"format": "pt"}
    )
    warning = "the vectors of passages are all equal, so they rank by id alone. Are these the encoder's weights?"
    assert warning in evaluate(tmp_path / "of-zeros", f"checkpoint={tmp_path}/zeros")
    assert "vectors of passages are all equal" in (tmp_path / "of-zeros" / "report.html").read_text()
    assert warning not in evaluate(tmp_path / "trained", f"checkpoint={trained}")
