"""The server: on this machine only, for its own page only, and without a path to the disk."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving import serving_in_a_thread
from xdr.explorer.answers import Answers
from xdr.explorer.server import LOOPBACK, ExplorerServer

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "xdr" / "explorer" / "page"


@pytest.fixture
def server(answers: Answers) -> Iterator[ExplorerServer]:
    with serving_in_a_thread(ExplorerServer(answers, 0)) as listening:
        yield listening


def get(server: ExplorerServer, path: str, host: str | None = None, method: str = "GET") -> tuple[int, Any, str]:
    """Status, headers and body. The path is sent as it is."""
    connection = http.client.HTTPConnection(LOOPBACK, server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"{LOOPBACK}:{server.server_port}")
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, response.headers, body


def test_the_page_and_its_answers(server: ExplorerServer, answers: Answers) -> None:
    status, headers, page = get(server, "/")
    assert status == 200 and "<h1>Explorer</h1>" in page
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert get(server, "/explorer.js")[2] == (PAGE / "explorer.js").read_text()
    style = get(server, "/explorer.css")[2]
    assert "--rise:" in style and ".rankings" in style, "the reports' colours, then the page's own rules"
    first = answers.questions("ar", "")["questions"][0]
    status, headers, body = get(server, f"/api/rankings?query={first['id']}&alpha=0.25&k=7")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(body) == answers.rankings(first["id"], "", 0.25, 7)
    assert json.loads(get(server, "/api/passage?row=5&text=Kysymys%3F&alpha=1")[2]) == answers.passage(5, "", "Kysymys?", 1.0)


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "127.0.0.1", "127.0.0.1.example.org:{port}", "localhost:1"])
def test_another_hosts_name_is_refused(server: ExplorerServer, host: str) -> None:
    for path in ("/", "/api/state"):
        status, _, body = get(server, path, host.format(port=server.server_port))
        assert (status, list(json.loads(body))) == (403, ["problem"])
    assert get(server, "/api/state", f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page.css",
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "//etc/passwd",
        "/explorer.js/../../answers.py",
        "/api/",
        "/x",
    ],
)
def test_no_path_leads_to_a_file(server: ExplorerServer, path: str) -> None:
    assert get(server, path)[0] == 404


def test_wrong_values_are_told_in_one_sentence(server: ExplorerServer) -> None:
    for path, problem in (
        ("/api/rankings?query=nobody", "query must be of this evaluation, got 'nobody'"),
        ("/api/rankings?text=x&alpha=high", "alpha must be a number, got high"),
        ("/api/rankings?text=x&k=nan", "k must be a number, got nan"),
        ("/api/passage?text=x&row=1e999", "row must be a number, got 1e999"),
        ("/api/passage?text=x", "row must be from 0 to 143, got -1"),
    ):
        status, _, body = get(server, path)
        assert (status, json.loads(body)) == (400, {"problem": problem})
    assert get(server, "/api/state", method="POST")[0] == 501


def test_it_listens_on_this_machine_only_and_takes_a_free_port_where_one_is_taken(answers: Answers) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        with ExplorerServer(answers, taken.getsockname()[1]) as server:
            assert server.server_address[0] == "127.0.0.1"
            assert server.server_port != taken.getsockname()[1]


def test_data_becomes_text_and_nothing_comes_from_elsewhere() -> None:
    """With the policy, a text that looks like HTML stays a text, and the page works without a network."""
    script, page, style = ((PAGE / f"explorer.{kind}").read_text() for kind in ("js", "html", "css"))
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:"):
        assert word not in script + page + style
    assert "style=" not in page and "<script>" not in page and " on" not in page.replace(" one", "")


def start(*arguments: str, folder: Path = ROOT) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from xdr.console import explore; explore()", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def test_the_command_serves_until_ctrl_c(evaluations: Path) -> None:
    process = start(str(evaluations / "unit_mean"), "--port", "0")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Reading "), "before the imports, which take seconds"
    address = process.stdout.readline()
    assert address.startswith("Open http://127.0.0.1:") and address.endswith(" in a browser. Ctrl-C ends it.\n")
    host = address.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("GET", "/api/state")
    assert json.loads(connection.getresponse().read())["num_passages"] == 144
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "\nThe explorer has ended.\n")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "usage: xdr-explore [-h] [--port PORT] OUTPUT_DIR"),
        (["{empty}"], 2, "error: OUTPUT_DIR must be the output folder of a finished evaluation, got {empty}"),
        (["{empty}", "--port", "70000"], 2, "must be from 0 to 65535, got 70000"),
    ],
)
def test_the_command_explains_itself(arguments: list[str], status: int, said: str, tmp_path: Path) -> None:
    process = start(*(word.format(empty=tmp_path) for word in arguments), folder=tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status
    assert said.format(empty=tmp_path) in output and "Traceback" not in output
