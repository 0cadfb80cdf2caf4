"""A local server with OpenAI's interface that fails in the way a test asks for."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.serving import serving_in_a_thread


class Answer(NamedTuple):
    """`whole=False` closes the connection in the middle of the body; `wait` is in seconds."""

    status: int = 200
    body: str | None = None
    headers: dict[str, str] = {}  # noqa: RUF012  not changed
    whole: bool = True
    wait: float = 0.0


class Loopback(ThreadingHTTPServer):
    """`behave(body, number)` says how the request with this number is answered; a body of None is a question for each text."""

    daemon_threads = True

    def __init__(self, behave: Callable[[dict[str, Any], int], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave = behave
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = self.most_under_way = 0
        self.lock, self.ended = threading.Lock(), threading.Event()

    def handle_error(self, *arguments: Any) -> None:
        """A client may be gone."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def serving(behave: Callable[[dict[str, Any], int], Answer] = lambda body, number: Answer()) -> Iterator[Loopback]:
    with serving_in_a_thread(Loopback(behave)) as server:
        try:
            yield server
        finally:
            server.ended.set()


def questions(body: dict[str, Any], at: str) -> str:
    """As many different questions in Finnish as were asked for, with the passage's first number in each."""
    prompt = body.get("prompt") or body["messages"][0]["content"]
    found = re.search(r"\d+", prompt)
    name = found.group() if found else "järvi"
    texts = [f" Missä on {name} ja mikä on {'ihan ' * place}se?\n" for place in range(body.get("n", 1))]
    choices = [{"text": text, "message": {"content": text}, "finish_reason": "stop"} for text in texts]
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": sum(len(text.split()) for text in texts)}
    return json.dumps({"choices": choices, "usage": usage})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.asked)
            self.server.asked.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        answer = self.server.behave(body, number)
        if answer.wait:
            self.server.ended.wait(answer.wait)
        with self.server.lock:
            self.server.under_way -= 1
        content = (questions(body, self.path) if answer.body is None else answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content if answer.whole else content[: len(content) // 2])
        if not answer.whole:
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None: ...
