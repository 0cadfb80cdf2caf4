"""A local server that speaks W&B's protocol as far as its client uses it for runs, their rows and their files."""

import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.serving import serving_in_a_thread

ENTITY = "people"
HISTORY, SUMMARY, EVENTS, CONSOLE = "wandb-history.jsonl", "wandb-summary.json", "wandb-events.jsonl", "output.log"

Network = Literal["whole", "cut", "answers lost", "overloaded"]
"""`cut`: a request gets no answer and changes nothing. `answers lost`: it is carried out, and its answer does not arrive.
`overloaded`: the answer is status 503."""


@dataclass
class Run:
    """What the server was told about a run. `described` are the variables of the mutation that creates and changes it."""

    described: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    """Of each streamed file, by their numbers. The client says at which number it writes."""
    changed_rows: list[str] = field(default_factory=list)
    """Rows that were overwritten by other ones."""
    uploaded: dict[str, bytes] = field(default_factory=dict)
    """By their paths; an artifact is a folder."""
    exit_code: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """In the order of their numbers."""
        lines = self.lines.get(HISTORY, {})
        assert sorted(lines) == list(range(len(lines))), "the server misses rows"
        return [_row(lines[number]) for number in sorted(lines)]

    @property
    def config(self) -> dict[str, Any]:
        return {name: item["value"] for name, item in json.loads(self.described["config"]).items() if name != "_wandb"}

    @property
    def summary(self) -> dict[str, Any]:
        return dict(json.loads(self._last(SUMMARY) or "{}"))

    def write(self, name: str, offset: int, content: list[str]) -> None:
        lines = self.lines.setdefault(name, {})
        for number, line in enumerate(content, offset):
            if name == HISTORY and number in lines and _row(lines[number]) != _row(line):
                self.changed_rows.append(lines[number])
            lines[number] = line

    def status(self) -> dict[str, Any]:
        """The answer to a client that resumes the run."""
        config, counts = json.loads(self.described["config"]), {name: len(lines) for name, lines in self.lines.items()}
        return {
            **{name: self.described.get(name) for name in ("name", "displayName", "config", "tags", "notes")},
            "id": self.described["name"],
            "summaryMetrics": self._last(SUMMARY) or "{}",
            "historyTail": json.dumps(list(filter(None, [self._last(HISTORY)]))),
            "eventsTail": json.dumps(list(filter(None, [self._last(EVENTS)]))),
            "historyLineCount": counts.get(HISTORY, 0),
            "eventsLineCount": counts.get(EVENTS, 0),
            "logLineCount": counts.get(CONSOLE, 0),
            "wandbConfig": json.dumps({"t": config["_wandb"]["value"]["t"]}),
        }

    def _last(self, name: str) -> str | None:
        lines = self.lines.get(name)
        return lines[max(lines)] if lines else None


class WandbServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, Run] = {}
        self.network: Network = "whole"
        self.asked: list[str] = []
        """Names of GraphQL's operations, and paths of other requests, also of those without an answer."""
        self.faults: list[BaseException] = []
        """Of this server."""
        self.lock = threading.Lock()

    def handle_error(self, *arguments: Any) -> None:
        fault = sys.exception()
        if fault and not isinstance(fault, ConnectionError):
            self.faults.append(fault)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def graphql(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        match operation:
            case "RunResumeStatus":
                run = self.runs.get(given["name"])
                return {"model": {"id": "1", "name": given["project"], "bucket": run.status() if run else None}}
            case "UpsertBucket":
                is_new, run = given["name"] not in self.runs, self.runs.setdefault(given["name"], Run())
                run.described |= {name: value for name, value in given.items() if value is not None}
                project = {"id": "1", "name": given["project"], "entity": {"id": "1", "name": ENTITY}}
                return {"upsertBucket": {"bucket": run.status() | {"project": project}, "inserted": is_new}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.url}/upload/{given['run']}/{name}"} for name in given["files"]]
                return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
            case "CreateArtifact":
                place = f"{given['input']['runName']}/{given['input']['artifactCollectionName']}"
                return {"createArtifact": {"artifact": {"id": place, "state": "PENDING", "artifactSequence": {}}}}
            case "CreateArtifactManifest":
                place = given["artifactID"]
                file = {"id": "1", "uploadUrl": f"{self.url}/upload/{place}/{given['name']}", "uploadHeaders": []}
                return {"createArtifactManifest": {"artifactManifest": {"id": "1", "file": file}}}
            case "CreateArtifactFiles":
                urls = [f"{self.url}/upload/{file['artifactID']}/{file['name']}" for file in given["input"]["artifactFiles"]]
                edges = [{"node": {"uploadUrl": url, "artifact": {"id": "1"}}} for url in urls]
                return {"createArtifactFiles": {"files": {"edges": edges}}}
            case "CommitArtifact":
                return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}}
            case "Viewer":
                return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "teams": {"edges": []}}}
            case "ServerFeaturesQuery":
                return {"serverInfo": {"features": []}}
            case "ArtifactType" | "OrganizationCoreWeaveOrganizationID":
                return {"project": None, "entity": None}
        raise AssertionError(f"the client asks for {operation}")

    def stream(self, run: Run, told: Mapping[str, Any]) -> dict[str, Any]:
        for name, part in told.get("files", {}).items():
            run.write(name, part["offset"], part["content"])
        if told.get("complete"):
            run.exit_code = told["exitcode"]
        return {}


@contextmanager
def serving() -> Iterator[WandbServer]:
    with serving_in_a_thread(WandbServer()) as server:
        try:
            yield server
        finally:
            server.network = "cut"
    assert server.faults == []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        network = self.server.network
        with self.server.lock:
            self.server.asked.append(_operation(body) if self.path == "/graphql" else self.path)
            answer = self._carry_out(body) if network in ("whole", "answers lost") else {}
        if network in ("cut", "answers lost"):
            self.close_connection = True
            return
        content = json.dumps(answer).encode()
        self.send_response(503 if network == "overloaded" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer

    def _carry_out(self, body: bytes) -> dict[str, Any]:
        if self.path == "/graphql":
            return {"data": self.server.graphql(_operation(body), json.loads(body).get("variables", {}))}
        if streamed := re.fullmatch(rf"/files/{ENTITY}/[^/]+/([^/]+)/file_stream", self.path):
            return self.server.stream(self.server.runs[streamed[1]], json.loads(body))
        if uploaded := re.fullmatch(r"/upload/([^/]+)/(.+)", self.path):
            self.server.runs[uploaded[1]].uploaded[uploaded[2]] = body
        return {}

    def log_message(self, *arguments: Any) -> None: ...


def _row(line: str) -> dict[str, Any]:
    """Without W&B's own fields, such as the time, except `_step`."""
    return {name: value for name, value in json.loads(line).items() if name == "_step" or name[0] != "_"}


def _operation(body: bytes) -> str:
    """The name of what GraphQL is asked."""
    found = re.match(r"\s*(?:query|mutation) (\w+)", json.loads(body)["query"])
    assert found
    return found[1]
