"""The ledger of a sweep's jobs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from xdr.errors import ArtefactError, UserError
from xdr.storage.jobs import claiming, job_name, read_job, read_jobs, write_listing

HOLD = """
import sys, time
from pathlib import Path
from xdr.storage.jobs import claiming
with claiming(Path(sys.argv[1])) as job:
    job.begin({"alpha": 0.1}, ["alpha=0.1"])
    print("begun", flush=True)
    time.sleep(60)
"""


def start_elsewhere(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    return process


def test_a_job_goes_from_waiting_to_done(tmp_path: Path) -> None:
    assert read_job(tmp_path).state == "waiting"
    with claiming(tmp_path) as job:
        job = job.begin({"alpha": 0.1}, ["alpha=0.1"])
        assert read_job(tmp_path).state == "running"
        job.finish(0.5)
    done = read_job(tmp_path)
    assert (done.state, done.value, done.overrides, done.settings) == ("done", 0.5, ["alpha=0.1"], {"alpha": 0.1})
    assert done.seconds == 0


def test_a_process_that_is_killed_leaves_an_interrupted_job(tmp_path: Path) -> None:
    process = start_elsewhere(tmp_path)
    assert read_job(tmp_path).state == "running"
    process.kill()
    process.wait()
    assert read_job(tmp_path).state == "interrupted"


def test_a_job_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    process = start_elsewhere(tmp_path)
    waited = []

    def kill_holder() -> None:
        waited.append(time.monotonic())
        process.kill()

    with claiming(tmp_path, kill_holder) as job:
        assert waited and job.state == "running", "as the killed process left it"
    process.wait()


def test_jobs_are_those_listed_then_earlier_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be the folder of a sweep"):
        read_jobs(tmp_path)
    for name in ("aa", "bb"):
        (tmp_path / name).mkdir()
        read_job(tmp_path / name).begin({}, [f"name={name}"]).fail("no luck")
    write_listing(tmp_path, {"cc": ["name=cc"], "bb": ["name=bb"]})
    assert [(job.name, job.state) for job in read_jobs(tmp_path)] == [("cc", "waiting"), ("bb", "failed"), ("aa", "failed")]
    assert read_jobs(tmp_path)[0].overrides == ("name=cc",)
    (tmp_path / "bb" / "job.json").write_bytes((tmp_path / "aa" / "job.json").read_bytes())
    with pytest.raises(
        ArtefactError, match=r"bb/job\.json is that of the job aa\. Remove .*bb and run the sweep's command again"
    ):
        read_jobs(tmp_path)
    (tmp_path / "sweep.json").write_text((tmp_path / "sweep.json").read_text().replace("name=cc", "name=ce"))
    with pytest.raises(ArtefactError, match=r"sweep\.json is damaged: .* Remove it and run .*: finished jobs do not run again"):
        read_jobs(tmp_path)


def test_a_value_that_is_not_a_finite_number_is_none(tmp_path: Path) -> None:
    assert [read_job(tmp_path).begin({}, []).finish(value).value for value in (float("nan"), None, "high", 2)] == [None] * 3 + [
        2.0
    ]


def test_a_name_is_that_of_the_settings_in_any_order() -> None:
    assert job_name({"a": 1, "b": 2}) == job_name({"b": 2, "a": 1}) != job_name({"a": 1, "b": 3})


def test_an_entry_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"state": "done"}')
    with pytest.raises(ArtefactError, match="run the sweep's command again"):
        read_job(tmp_path)
