"""The disk fails, loses power, or is full, while something is written."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

from tests.faults.disk import FULL, Moments, die, forbid_long_files
from tests.faults.harness import is_one_sentence
from tests.faults.warm_forks import Ended, run_in_fork
from tests.forks import ROOT, WORK_HERE, start_script
from xdr.data.passage_store import PassageStore, convert_passages
from xdr.errors import ArtefactError
from xdr.storage.files import creating_folder, read_json, replacing_file, write_json
from xdr.storage.ledger import ShardLedger
from xdr.text.records import Passage
from xdr.training.checkpoints import WholeCheckpoints

PASSAGES = [Passage(f"p{number}", "", f"text {number}", "en") for number in range(9)]


def write_file(folder: Path) -> None:
    write_json(folder / "a.json", {"x": 1})


def write_folder(folder: Path) -> None:
    with creating_folder(folder / "model") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "weights").write_bytes(b"\1" * 999)


def write_shards(folder: Path) -> None:
    ledger = ShardLedger.create(folder / "vectors", "vectors", 2, {"encoder": "abc"})
    for shard in ledger.missing():
        with ledger.writing(shard) as partial:
            (partial / "vectors.bin").write_bytes(bytes([shard + 1]) * 999)


def write_store(folder: Path) -> None:
    convert_passages(PASSAGES, folder / "collections" / "store", {"sources": "typed"})


def read_all(folder: Path) -> list[object]:
    """What is there, checked as its readers check it."""
    found: list[object] = [read_json(folder / "a.json")] if (folder / "a.json").exists() else []
    if (folder / "model").exists():
        found.append((folder / "model" / "inner" / "weights").read_bytes())
    if (folder / "vectors" / "manifest.json").exists():
        ledger = ShardLedger.open(folder / "vectors", "vectors")
        there = sorted({0, 1} - set(ledger.missing()))
        found += [ledger.file(shard, "vectors.bin").read_bytes() for shard in there]
    if (folder / "collections" / "store").exists():
        store = PassageStore(folder / "collections" / "store")
        found += [*store, *store.rows(["p3"])]
    return found


WRITERS = [write_file, write_folder, write_shards, write_store]
Writer = Callable[[Path], None]


def moments_of(write: Writer, folder: Path, output: Path) -> list[list[str]]:
    """The moments of writing, each with its name and its path."""
    folder.mkdir()

    def work() -> None:
        moments = Moments(folder, 0, die)
        moments.install()
        write(folder)
        output.with_suffix(".log").write_text("\n".join("\t".join(moment) for moment in moments.log))

    assert run_in_fork(work, output).status == 0, output.read_text()
    return [line.split("\t") for line in output.with_suffix(".log").read_text().splitlines()]


@pytest.mark.parametrize("write", WRITERS)
def test_contents_are_flushed_before_their_name_and_the_name_after_it(write: Writer, tmp_path: Path) -> None:
    moments = moments_of(write, tmp_path / "live", tmp_path / "output")
    renames = [place for place, (what, _) in enumerate(moments) if what in ("before rename", "before replace")]
    assert renames
    for place in renames:
        partial = moments[place][1]
        named = moments[place + 1][1]
        flushed_before = {path for what, path in moments[:place] if what == "after fsync"}
        flushed_after = {path for what, path in moments[place:] if what == "after fsync"}
        assert partial in flushed_before and str(Path(named).parent) in flushed_after
        written = {path for what, path in moments[:place] if what == "before open" and path.startswith(f"{partial}/")}
        last = {path for path in written if "partial" not in Path(path).name}
        assert last <= flushed_before, "each file of a folder, too"


@pytest.mark.parametrize("write", [*WRITERS[:2], *(pytest.param(write, marks=pytest.mark.slow) for write in WRITERS[2:])])
def test_after_a_loss_of_power_there_is_all_of_a_thing_or_nothing(write: Writer, tmp_path: Path) -> None:
    """What was not flushed is zeros; names are there. At each moment, and then everything is written again."""
    number = len(moments_of(write, tmp_path / "whole", tmp_path / "output"))
    whole = read_all(tmp_path / "whole")
    for at in range(1, number + 1):
        live = tmp_path / f"live-{at}"
        live.mkdir()

        def work(live: Path = live, at: int = at) -> None:
            moments = Moments(live, at, die)
            moments.act = moments.lose_power
            moments.install()
            write(live)

        assert run_in_fork(work, tmp_path / "output").status == -signal.SIGKILL
        assert all(one in whole for one in read_all(live)), f"moment {at}"
        write(live)
        assert read_all(live) == whole
        assert not list(live.rglob("*.partial"))


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False).returncode:
        pytest.skip("this user cannot mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("options", ["size=8k", "size=16k", "size=24k", "nr_inodes=4", "nr_inodes=6", "nr_inodes=8"])
def test_a_disk_without_space_or_inodes_is_told_and_leaves_nothing_half(options: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", options):
        live = tmp_path / "disk"
        for write in WRITERS:
            ended = run_in_fork(partial(write, live), tmp_path / "output")
            assert ended.status == 0 or is_full(ended), ended.output
            read_all(live)
        subprocess.run(["mount", "-o", "remount,size=1m,nr_inodes=999", live], check=True)
        for write in WRITERS:
            if not (write is write_folder and (live / "model").exists()):
                write(live)
        assert len(read_all(live)) == 1 + 1 + 2 + len(PASSAGES) + 1


def is_full(ended: Ended) -> bool:
    return ended.status == 2 and "error: the disk is full. Finished work is saved" in ended.output


def test_a_disk_that_is_mounted_read_only_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m"):
        write_shards(tmp_path / "disk")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        ended = run_in_fork(partial(write_file, tmp_path / "disk"), tmp_path / "output")
        assert ended.status == 2 and "cannot be used: Read-only file system. Choose an output_dir" in ended.output
        assert len(read_all(tmp_path / "disk")) == 2


def _with_torch(path: Path) -> None:
    WholeCheckpoints().save_checkpoint({"weights": torch.zeros(9999)}, path)


def _with_safetensors(path: Path) -> None:
    with creating_folder(path) as folder:
        save_file({"weights": torch.zeros(9999)}, folder / "model.safetensors")


def _with_numpy(path: Path) -> None:
    with creating_folder(path) as folder:
        np.save(folder / "vectors.npy", np.zeros(9999))


def _with_faiss(path: Path) -> None:
    index = faiss.IndexFlatIP(9)
    index.add(np.zeros((999, 9), dtype=np.float32))
    with replacing_file(path) as file:
        faiss.write_index(index, str(file))


def _with_parquet(path: Path) -> None:
    with replacing_file(path) as file:
        parquet.write_table(pa.table({"x": np.random.default_rng(1).random(9999)}), file)


@pytest.mark.parametrize("write", [_with_torch, _with_safetensors, _with_numpy, _with_faiss, _with_parquet])
def test_a_library_in_another_language_that_cannot_write_is_told_in_one_sentence(write: Writer, tmp_path: Path) -> None:
    """The system refuses what goes beyond 3,000 bytes of a file, so that no layer of Python sees it first."""

    def work() -> None:
        forbid_long_files("", "")
        write(tmp_path / "there" / "written")

    (tmp_path / "there").mkdir()
    ended = run_in_fork(work, tmp_path / "output")
    assert is_one_sentence(ended), ended.output
    assert "File too large" in ended.output or (write is _with_numpy and "Input/output error" in ended.output)
    assert list((tmp_path / "there").iterdir()) == []


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    ended = run_in_fork(partial(write_shards, tmp_path), tmp_path / "output")
    assert ended.status == 2 and "on a file system that has locks" in ended.output and "Traceback" not in ended.output


def test_without_the_layer_nothing_is_counted_and_with_it_a_full_disk_is_met(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    before = os.fsync
    ended = run_in_fork(partial(full_from, tmp_path / "live", 3), tmp_path / "output")
    assert is_full(ended) and os.fsync is before
    assert not list((tmp_path / "live").iterdir())


def full_from(folder: Path, at: int) -> None:
    Moments(folder, at, FULL).install()
    write_file(folder)


@pytest.mark.parametrize("seconds", [0.3, pytest.param(60, marks=pytest.mark.slow)])
def test_a_process_that_is_stopped_and_another_beside_it_make_the_same_shards(seconds: float, tmp_path: Path) -> None:
    """The first one is stopped in the middle of a shard; the second one makes both."""
    live = tmp_path / "live"
    live.mkdir()
    process = os.fork()
    if process == 0:
        Moments(live, 15, lambda what, path: os.kill(os.getpid(), signal.SIGSTOP)).install()
        write_shards(live)
        os._exit(0)
    os.waitpid(process, os.WUNTRACED)
    write_shards(live)
    whole = read_all(live)
    time.sleep(seconds)
    os.kill(process, signal.SIGCONT)
    assert os.waitpid(process, 0)[1] == 0
    assert read_all(live) == whole and len(whole) == 2
    assert not list(live.rglob("*.partial"))


def test_a_clock_that_was_set_back_a_year_changes_nothing(tmp_path: Path) -> None:
    """As a run sees it that comes after the change: everything was written in a year's time."""
    write_shards(tmp_path)
    write_store(tmp_path)
    ahead = time.time() + 365 * 86_400
    for path in tmp_path.rglob("*"):
        os.utime(path, (ahead, ahead))
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    whole = read_all(tmp_path)
    write_shards(tmp_path)
    write_store(tmp_path)
    assert read_all(tmp_path) == whole and len(whole) == 2 + len(PASSAGES) + 1
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before


def test_a_damaged_shard_is_still_refused_with_the_layer(tmp_path: Path) -> None:
    write_shards(tmp_path)
    (tmp_path / "vectors" / "shard-00001" / "vectors.bin").write_bytes(bytes(999))
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        read_all(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not WORK_HERE, reason="needs forks, which are used on Linux without an NVIDIA card")
def test_a_stage_is_killed_and_its_disk_fails_at_some_moments_and_then_comes_to_the_same_results(tmp_path: Path) -> None:
    """`python -m tests.faults.microscope` looks at all moments of all stages."""
    command = [str(ROOT / "tests" / "faults" / "microscope.py"), "--most", "4", "--stages", "prepare"]
    process = start_script(command, tmp_path, {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0 and "| SIGKILL | prepare |" in output, output


@pytest.mark.slow
@pytest.mark.timeout(20_000)
def test_every_stage_comes_to_the_same_results_after_any_fault_at_any_moment() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.microscope"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
