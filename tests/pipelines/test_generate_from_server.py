"""Generation by a server as a user starts it: killed, given up, planned."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import Answer, serving
from tests.runs import start
from xdr.writing.generated_store import GeneratedStore

QUICK = [
    "experiment=sample_generation",
    "checkpoint=null",
    "augmentation/generation/backend=openai",
    "augmentation/generation/prompt=zero_shot",
    "augmentation.generation.backend.model=m",
    "augmentation.generation.backend.concurrency=4",
    "augmentation.generation.backend.retries=2",
    "+augmentation.generation.backend.first_delay=0.01",
    "augmentation.generation.languages=[fi]",
    "augmentation.generation.number=2",
    "augmentation.generation.refuse=[empty]",
    "augmentation.generation.shard_size=48",
    "trainer.enable_progress_bar=false",
]
"""Three shards of 48 passages."""


def generate(folder: Path, url: str, *arguments: str) -> "subprocess.Popen[str]":
    address = f"augmentation.generation.backend.base_url={url}"
    return start(folder, address, *arguments, quick=QUICK, script="evaluate.py")


def finished(folder: Path, url: str, *arguments: str, status: int = 0) -> str:
    process = generate(folder, url, *arguments)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == status, output
    return output


def store(folder: Path) -> GeneratedStore:
    return GeneratedStore(Path(json.loads((folder / "generated.json").read_text())["generated"]))


def test_killed_and_continued_it_asks_for_nothing_twice_and_the_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving(lambda body, number: Answer(wait=60 if number >= 70 else 0)) as server:
        process = generate(tmp_path / "run", server.url)
        while process.poll() is None and len(server.asked) < 74:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output
    answered = {body["prompt"] for body in server.asked[:70]}
    with serving() as server:
        output += finished(tmp_path / "run", server.url, "logger=offline")
        assert len(server.asked) == 144 - 70 and not answered & {body["prompt"] for body in server.asked}
    texts = list(store(tmp_path / "run"))
    assert len(texts) == 144 and all(len(text.texts["fi"]) == 2 for text in texts)
    assert all(headers["Authorization"] == "Bearer sk-secret" for headers in server.headers)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("wandb" in str(path) for path in files)
    assert "sk-secret" not in output and not any(b"sk-secret" in path.read_bytes() for path in files)
    assert "HTTP Request" not in output
    assert not list((tmp_path / "run").rglob("shard-*.jsonl")), "answers are kept until their shard is whole"


def test_a_server_that_dies_ends_the_stage_in_a_sentence_and_what_is_done_stays(tmp_path: Path) -> None:
    def behave(body: dict[str, Any], number: int) -> Answer:
        return Answer(500, '{"error": {"message": "EngineCore encountered an issue."}}') if number >= 60 else Answer()

    with serving(behave) as server:
        output = finished(tmp_path / "run", server.url, status=2)
    (line,) = [line for line in output.splitlines() if "error" in line]
    assert line.startswith(f"error: the server at {server.url} failed 3 times in a row, at last with HTTP 500: EngineCore enc")
    assert "Traceback" not in output
    assert len(list((tmp_path / "run" / "artifacts" / "generated").glob("*/shard-*"))) == 1
    with serving() as server:
        finished(tmp_path / "run", server.url)
    assert len(server.asked) == 144 - 60
    assert len(store(tmp_path / "run")) == 144


def test_a_plan_says_tokens_and_cost(tmp_path: Path) -> None:
    prices = [f"augmentation.generation.backend.price_{way}={price}" for way, price in (("in", 1000), ("out", 5000))]
    with serving() as server:
        output = finished(tmp_path / "run", server.url, "plan=true", "augmentation.generation.probe=144", *prices)
    assert not list((tmp_path / "run" / "artifacts" / "generated").glob("*/shard-*"))
    last = server.asked[-48:]
    read = 3 * sum(len(body["prompt"].split()) for body in last)
    rows = {line.split("│")[2].strip(): line.split("│")[3].strip() for line in output.splitlines() if line.count("│") > 3}
    assert rows["tokens in"] == f"{read:,}"
    written = int(rows["tokens out"].replace(",", ""))
    assert written >= 144 * 15, "two questions of seven and eight words"
    assert abs(float(rows["cost"].replace(",", "")) - (read * 1e-3 + written * 5e-3)) < 0.01


def test_a_checkpoint_that_says_nothing_is_refused(tmp_path: Path) -> None:
    output = finished(tmp_path / "run", "http://127.0.0.1:1/v1", "checkpoint=google/mt5-base", status=2)
    assert "checkpoint must be the folder of a generator that train.py left, got google/mt5-base" in output
