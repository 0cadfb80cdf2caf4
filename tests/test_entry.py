"""The two commands as a user types them, in an empty folder."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from conf import entry
from tests.forks import start_script
from xdr.errors import UserError

ROOT = Path(__file__).parents[1]


MOST_STARTS = 8
"""CPU time, in that of starting Python with Hydra; importing torch takes ten. Composing takes two to four."""


@pytest.fixture(scope="module")
def start_of_hydra(tmp_path_factory: pytest.TempPathFactory) -> float:
    """CPU time in seconds."""
    before = cpu_seconds()
    assert python("-c", "import hydra", folder=tmp_path_factory.mktemp("start")).returncode == 0
    return cpu_seconds() - before


def run(script: str, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return python(str(ROOT / script), *arguments, folder=folder, **environment)


def python(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command, variables = [sys.executable, *arguments], {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def timed(script: str, *arguments: str, folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """With its CPU time, in that of starting Hydra: just before, since a busy machine makes both longer."""
    start = cpu_seconds()
    assert python("-c", "import hydra", folder=folder).returncode == 0
    middle = cpu_seconds()
    result = run(script, *arguments, folder=folder, **environment)
    return result, (cpu_seconds() - middle) / (middle - start)


def refused(script: str, *arguments: str, folder: Path) -> str:
    """What it says to a mistake, in a process that has made the imports of the script."""
    process = start_script([str(ROOT / script), *arguments], folder, os.environ, light=True)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    return output


def cpu_seconds() -> float:
    """Of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def collection(folder: Path) -> Path:
    (folder / "mine").mkdir()
    (folder / "mine" / "corpus.jsonl").write_text('{"docid": "1", "text": "a"}\n{"docid": "2", "text": ""}\n')
    return folder / "mine"


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["experiment=sampel"], "there is no experiment 'sampel'; did you mean 'sample'?"),
        (["data=colection"], "there is no data 'colection'; did you mean 'collection'?"),
        (["data=[1]"], "data must be one of afriqa, "),
        (["logger={a:1}"], "logger must be one of csv, offline, tensorboard, wandb, got {a:1}"),
        (["output_dir=ö"], """in quotation marks: "output_dir='ö'\""""),
        (["output_dri=x"], "there is no setting 'output_dri'; did you mean 'output_dir'?"),
        (["data=collection", "data.pth=x"], "there is no setting 'data.pth'; did you mean 'data.path'?"),
        (["+colour=red"], "there is no setting 'colour'"),
        (["+data.colour=red"], "there is no setting 'data.colour'"),
        (["data.strict=maybe"], "data.strict must be true or false, got 'maybe'"),
        (["data=xquad_r", "data.path=.", "data.languages=3"], "data.languages must be a list (each item text), got 3"),
        (["plan=perhaps"], "plan must be true or false, got 'perhaps'"),
        (["data=xquad_r", "data.path=.", "data.languages=[en,xx]"], "'xx'"),
        (["data=collection"], "data.path has no value; give it on the command line: data.path=..."),
        (["data=collection", "data.path=nowhere"], "nowhere: data.path must be a folder"),
        (["data=collection", "data.path=mien"], "Did you mean 'mine'?"),
        (["data=collection", "data.path=mine/corpus.jsonl"], "data.path must be a folder, got a file"),
        (["output_dir=s3://bucket/a"], "output_dir must be on this machine, got s3://bucket/a. Only data.path"),
        (["output_dir=["], "'output_dir=[' cannot be read"),
        (["-m", "experiment=sample,smaple"], "there is no experiment 'smaple'; did you mean 'sample'?"),
        (["data._target_=os.system"], "data._target_ must name something in xdr, callbacks, lightning, torch, got os.system"),
        (["data._target_=xdr.data.nowhere.Nothing"], "cannot be imported"),
    ],
)
def test_a_mistake_is_one_sentence_in_no_time(
    script: str, arguments: list[str], says: str, tmp_path: Path, start_of_hydra: float
) -> None:
    _refused_in_no_time(script, arguments, says, tmp_path, start_of_hydra)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "stage=score needs an encoder: checkpoint=FOLDER"),
        (["checkpoint=./mien"], "got ./mien. There is no such folder; did you mean 'mine'?"),
        (["evaluation.metrics=[MRR]"], "metrics must be known names, got 'MRR'"),
        (
            ["augmentation.alfa=0.3"],
            "with augmentation=none; there is augmentation.alpha with augmentation=generated_queries",
        ),
    ],
)
def test_what_an_evaluation_lacks_is_one_sentence_in_no_time(
    arguments: list[str], says: str, tmp_path: Path, start_of_hydra: float
) -> None:
    _refused_in_no_time("evaluate.py", arguments, says, tmp_path, start_of_hydra)


def _refused_in_no_time(script: str, arguments: list[str], says: str, tmp_path: Path, start_of_hydra: float) -> None:
    collection(tmp_path)
    output = refused("tests/measured_start.py", str(ROOT / script), *arguments, folder=tmp_path)
    assert len(output.splitlines()) == 3, output
    sentence, heavy, seconds = output.splitlines()
    assert sentence.startswith("error: ")
    assert says in sentence
    assert heavy == "set()"
    assert float(seconds) < MOST_STARTS * start_of_hydra


GOOD = {
    "corpus.jsonl": '{"docid": "1", "text": "a"}\n',
    "queries.jsonl": '{"query_id": "q", "query": "?", "lang": "te", "split": "test"}\n',
    "qrels.tsv": "q 0 1 1\n",
    "train.jsonl": '{"query_id": "t", "query": "?", "lang": "te", "positive_passages": [{"docid": "1", "text": "a"}]}\n',
}


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("evaluate.py checkpoint=nowhere", "corpus.jsonl"),
        ("evaluate.py checkpoint=nowhere evaluation.split=test", "queries.jsonl"),
        ("evaluate.py checkpoint=nowhere evaluation.split=test", "qrels.tsv"),
        ("evaluate.py checkpoint=nowhere stage=encode", "corpus.jsonl"),
        ("evaluate.py checkpoint=nowhere stage=generate augmentation=generated_queries", "corpus.jsonl"),
        ("train.py", "train.jsonl"),
    ],
)
def test_a_mistake_in_the_data_is_told_before_torch_is_imported(
    command: str, file: str, tmp_path: Path, start_of_hydra: float
) -> None:
    (tmp_path / "mine").mkdir()
    for name, content in GOOD.items():
        (tmp_path / "mine" / name).write_text(content + ("wrong\n" if name == file else ""))
    script, *arguments = command.split()
    own = [*arguments, "data=collection", "data.path=mine"]
    sentence, heavy, seconds = refused("tests/measured_start.py", str(ROOT / script), *own, folder=tmp_path).splitlines()
    assert sentence.startswith(f"error: mine/{file}, line 2: ")
    assert heavy == "set()"
    assert float(seconds) < MOST_STARTS * start_of_hydra


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_a_process_tells_a_mistake_in_no_time(script: str, tmp_path: Path) -> None:
    result, starts = timed(script, "data=collection", "data.path=nowhere", folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: nowhere: data.path must be a folder") and len(result.stderr.splitlines()) == 1
    assert starts < MOST_STARTS


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["trainer.devices=2", "seed=1,2"],
            "Add hydra/launcher=subprocess, or set trainer.strategy=ddp_spawn or trainer.devices=1",
        ),
        (["trainer.devices=2", "seed=1,2", "hydra/launcher=submitit_local"], "Add hydra/launcher=subprocess"),
        (["trainer.num_nodes=2", "seed=1,2", "hydra/launcher=subprocess"], "trainer.num_nodes must be 1 in a sweep, got 2"),
        (["output_dir=a,b"], "output_dir must have one value for the whole sweep"),
        (["trainer.accelerator=cpu,gpu"], "two jobs would have the same settings"),
        (["seed=1,2", "hydra/sweeper=optuna"], "direction must be maximize for the best value of dev/MRR, got minimize"),
        (
            ["seed=1,2", "model=small_query_generator", "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize"],
            "direction must be minimize for the best value of dev/loss, got maximize",
        ),
    ],
)
def test_a_sweep_that_cannot_work_is_refused_with_the_remedy(arguments: list[str], says: str, tmp_path: Path) -> None:
    for plugin in ("optuna", "submitit"):
        if any(plugin in argument for argument in arguments):
            pytest.importorskip(plugin)
    output = refused("train.py", "-m", *arguments, folder=tmp_path)
    assert says in output
    assert len(output.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_all_cards_of_a_machine_are_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    output = refused("train.py", "-m", "seed=1,2", folder=tmp_path)
    assert "got auto (3 GPUs): each process would run the whole sweep" in output
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    output = refused("train.py", "-m", "seed=1,2", "trainer.accelerator=cpu,gpu", folder=tmp_path)
    assert "two jobs would have the same settings" in output  # which is looked for after the cards


@pytest.mark.parametrize(
    ("script", "setting"),
    [("train", "data.mined=s3://b/x"), ("evaluate", "checkpoint=gs://b/x"), ("evaluate", "compare_to=[a,s3://b/x]")],
)
def test_what_must_be_on_this_machine_is_refused_by_name(script: str, setting: str) -> None:
    remote = ["data=collection", "data.path=s3://bucket/a"]
    entry.compose(script, remote)
    with pytest.raises(UserError, match=f"{setting.split('=')[0]} must be on this machine, got"):
        entry.compose(script, [*remote, setting])


def test_a_process_of_a_distributed_run_starts_no_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert "a sweep must be started by one process" in refused("train.py", "-m", "seed=1,2", folder=tmp_path)


def test_retrying_is_of_sweeps(tmp_path: Path) -> None:
    assert "retry=true runs the failed jobs of a sweep again; add -m" in refused("train.py", "retry=true", folder=tmp_path)


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_names_the_choices_and_answers_in_no_time(script: str, tmp_path: Path) -> None:
    result, starts = timed(script, "--help", folder=tmp_path)
    assert result.returncode == 0
    for word in ("experiment=NAME", "xor_tydi", "sample", "output_dir"):
        assert word in result.stdout
    assert starts < 3 * MOST_STARTS, "fifteen: to list each group Hydra copies the settings of all plugins"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("train.py experiment=sample_b", {"experiment=sample_bi_encoder"}),
        ("evaluate.py search=ex", {"search=exact"}),
        ("train.py trainer.max_ep", {"trainer.max_epochs="}),
    ],
)
def test_a_setting_is_completed_in_no_time(line: str, completions: set[str], tmp_path: Path) -> None:
    script = line.split()[0]
    installed, _ = timed(script, "-sc", "install=bash", folder=tmp_path)
    assert installed.returncode == 0 and "complete " in installed.stdout and "hydra_bash_completion()" in installed.stdout
    asked = {"COMP_LINE": f"python {line}", "COMP_POINT": str(len(f"python {line}"))}
    result, starts = timed(script, "-sc", "query=bash", folder=tmp_path, **asked)
    assert set(result.stdout.split()) == completions
    assert starts < MOST_STARTS
    assert not list(tmp_path.iterdir())


def test_starting_loads_neither_torch_nor_transformers() -> None:
    code = "import sys; import conf.entry, train, evaluate; print({'torch', 'transformers', 'lightning'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_a_bad_line_is_an_error_or_is_skipped_and_told(tmp_path: Path) -> None:
    folder = collection(tmp_path)
    (folder / "queries.jsonl").write_text('{"query_id": "q", "query": "?", "lang": "te"}\n')
    arguments = ["stage=prepare", "data=collection", f"data.path={folder}", "output_dir=out"]
    result = run("evaluate.py", *arguments, folder=tmp_path)
    assert result.returncode == 2
    assert "corpus.jsonl, line 2, field 'text': must be a string that is not blank" in result.stderr
    assert not list((tmp_path / "out" / "artifacts" / "collections").glob("[!.]*"))
    result = run("evaluate.py", *arguments, "data.strict=false", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 bad lines were skipped" in result.stdout
    report = json.loads((tmp_path / "out" / "collection.json").read_text())
    assert report["passages"] == 1
    assert report["counts"][0]["language"] == "te"


def test_the_sample_s_collection_is_converted_and_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        result = run("evaluate.py", "experiment=sample", "stage=prepare", folder=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "144 passages" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_a_terminal_that_has_ascii_alone_ends_no_job(tmp_path: Path) -> None:
    folder = collection(tmp_path)
    (folder / "queries.jsonl").write_text('{"query_id": "q", "query": "?", "lang": "te"}\n')
    arguments = ["stage=prepare", "data=collection", f"data.path={folder}", "data.strict=false", "output_dir='ö'"]
    result = run("evaluate.py", *arguments, folder=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "Counts: " in result.stdout and "?/collection.json" in result.stdout
    assert python("-m", "xdr.doctor", folder=ROOT, PYTHONIOENCODING="ascii").stdout.count("?") > 5, "for each tick"


@pytest.mark.parametrize("setting", ["output_dir", "artifacts_dir"])
def test_a_folder_that_cannot_be_created_is_refused_before_the_work(tmp_path: Path, setting: str) -> None:
    (tmp_path / "file").write_text("")
    own = "experiment=sample_evaluation", "stage=prepare", f"output_dir={tmp_path}/out"
    for value, problem in (
        (f"{tmp_path}/file/run", f"{tmp_path}/file is a file"),
        (f"{tmp_path}/{'a' * 300}", "name too long"),
    ):
        said = refused("evaluate.py", *own, f"{setting}={value}", folder=tmp_path)
        assert said.startswith(f"error: {setting} must be a folder that can be created, got"), said
        assert problem in said and len(said.splitlines()) == 1
    assert "output_dir must be a folder" in refused(
        "train.py", "experiment=sample_bi_encoder", f"output_dir={tmp_path}/file/x", "-m", "seed=1,2", folder=tmp_path
    )
