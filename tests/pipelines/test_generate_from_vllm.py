"""Generation by a real server, where there is one: `pytest -m slow tests/pipelines/test_generate_from_vllm.py`.

XDR_OPENAI_COMMAND starts a server that serves a model named "model", on the port that the command ends with or gives as
`--port 8011`. The tests start it and end it. XDR_OPENAI_BASE_URL names a server that runs already and serves such a model.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipelines.test_generate_from_server import finished, generate, store

COMMAND, BASE_URL = os.environ.get("XDR_OPENAI_COMMAND"), os.environ.get("XDR_OPENAI_BASE_URL")
WRITING = [
    "augmentation.generation.backend.model=model",
    "augmentation.generation.backend.first_delay=0.5",
    "augmentation.generation.backend.concurrency=8",
    "augmentation/generation/prompt=published",
    "augmentation.generation.prompt.text='{passage}\\nQuestion in {language}:'",
    "augmentation.generation.languages=[te]",
    "augmentation.generation.number=1",
    "augmentation.generation.output_length=12",
    "augmentation.generation.shard_size=12",
    "augmentation.generation.refuse=[]",
]
"""Twelve shards of 12 passages."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Runs the command, waits until it answers, and ends it afterwards. Yields its address and its process."""
    if COMMAND is None:
        pytest.skip("XDR_OPENAI_COMMAND names no command that starts a server")
    port = re.search(r"--port[ =](\d+)", COMMAND) or re.search(r" (\d+)$", COMMAND)
    assert port is not None, "the command must name a port"
    url = f"http://127.0.0.1:{port[1]}/v1"
    process = subprocess.Popen(
        shlex.split(COMMAND), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.time() + 600
        while not answers(url):
            assert process.poll() is None and time.time() < deadline, "the server did not start"
            time.sleep(1)
        yield url, process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def shards(folder: Path) -> int:
    return len(list((folder / "artifacts" / "generated").glob("*/shard-*")))


def test_a_real_server_writes(tmp_path: Path) -> None:
    if BASE_URL is None:
        pytest.skip("XDR_OPENAI_BASE_URL names no server")
    finished(tmp_path / "run", BASE_URL, *WRITING)
    texts = list(store(tmp_path / "run"))
    assert len(texts) == 144 and all(len(text.texts["te"]) == 1 for text in texts)
    counts = json.loads((tmp_path / "run" / "generated.json").read_text())["counts"]
    assert counts["te"]["tokens"] > 144 and "malformed" not in counts["te"]


def test_with_a_server_that_ends_and_comes_back_a_killed_run_is_continued(tmp_path: Path) -> None:
    with server() as (url, _):
        process = generate(tmp_path / "run", url, *WRITING)
        while process.poll() is None and shards(tmp_path / "run") < 2:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        done = shards(tmp_path / "run")
    output = finished(tmp_path / "run", url, *WRITING, "augmentation.generation.backend.retries=1", status=2)
    assert f"the server at {url} failed 2 times in a row" in output and "Traceback" not in output
    assert shards(tmp_path / "run") == done
    with server() as (url, _):
        finished(tmp_path / "run", url, *WRITING)
    assert len(store(tmp_path / "run")) == 144


def test_an_engine_that_dies_ends_the_stage_in_a_sentence(tmp_path: Path) -> None:
    with server() as (url, pid):
        process = generate(tmp_path / "run", url, *WRITING, "augmentation.generation.backend.retries=3")
        while process.poll() is None and shards(tmp_path / "run") < 1:
            time.sleep(0.05)
        engine = next((number for number in processes_of(pid) if b"EngineCore" in command_line(number)), None)
        if engine is None:
            process.kill()
            pytest.skip("the server is no vLLM")
        os.kill(engine, signal.SIGKILL)
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 2, output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert f"the server at {url} failed 4 times in a row, at last with" in line and "Traceback" not in output
    assert shards(tmp_path / "run") >= 1


def processes_of(session: int) -> list[int]:
    found = subprocess.run(["ps", "-s", str(session), "-o", "pid="], capture_output=True, text=True, check=True).stdout
    return [int(number) for number in found.split()]


def command_line(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()
