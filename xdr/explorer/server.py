"""The server of the page: on this machine only, three files that it holds in memory, and answers as JSON.

No path of a request reaches the disk. The page may load nothing from elsewhere. Requests under another host's name are refused:
otherwise a page on the web could read the answers by making its own name point to this machine (DNS rebinding).
"""

import errno
import json
import socketserver
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from xdr.errors import UserError
from xdr.explorer.answers import Answer, Answers
from xdr.explorer.query_vectors import NotReady

LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_Values: TypeAlias = Callable[[str], str]


class ExplorerServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answers: Answers, port: int) -> None:
        """At `port`, or at a free one if that is taken."""
        handler = partial(_Handler, answers=answers, page=_page())
        try:
            super().__init__((LOOPBACK, port), handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            super().__init__((LOOPBACK, 0), handler)

    def server_bind(self) -> None:
        """Without the parent's search for the machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: a browser closes its connection when the user asks another question."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"


def _page() -> dict[str, tuple[str, bytes]]:
    """The files of the page: kind and content. Colours and letters are those of the reports."""
    own, reports = files("xdr.explorer") / "page", files("xdr.reporting") / "templates"
    style = (reports / "page.css").read_bytes() + (own / "explorer.css").read_bytes()
    return {
        "/": ("text/html", (own / "explorer.html").read_bytes()),
        "/explorer.js": ("text/javascript", (own / "explorer.js").read_bytes()),
        "/explorer.css": ("text/css", style),
    }


def answer(answers: Answers, path: str, value: _Values) -> Answer | None:
    """What is asked under this path, with the values of the request; None for a path that does not exist."""
    if path == "/api/state":
        return answers.state()
    if path == "/api/questions":
        return answers.questions(value("language"), value("words"))
    if path == "/api/changes":
        return answers.changes(value("system"), value("metric"), value("language"))
    if path == "/api/rankings":
        return answers.rankings(value("query"), value("text"), _number(value, "alpha", 0), int(_number(value, "k", 10)))
    if path == "/api/passage":
        return answers.passage(int(_number(value, "row", -1)), value("query"), value("text"), _number(value, "alpha", 0))
    return None


def _number(value: _Values, name: str, default: float) -> float:
    try:
        number = float(value(name) or default)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1 << 53:
        raise UserError(f"{name} must be a number, got {value(name)[:20]}")
    return number


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "xdr", ""
    timeout = 60.0
    disable_nagle_algorithm = True  # heads and bodies are sent apart, and the body would wait 40 ms for an acknowledgement

    def __init__(self, *arguments: Any, answers: Answers, page: dict[str, tuple[str, bytes]]) -> None:
        self._answers, self._page = answers, page
        super().__init__(*arguments)

    server: ExplorerServer

    def do_GET(self) -> None:
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{LOOPBACK}:{port}", f"localhost:{port}"):
            self._send_json(HTTPStatus.FORBIDDEN, {"problem": f"this page is at {LOOPBACK}:{port} only"})
            return
        asked = urlsplit(self.path)
        if asked.path in self._page:
            kind, content = self._page[asked.path]
            self._send(HTTPStatus.OK, kind, content)
            return
        values = parse_qs(asked.query)
        self._send_json(*self._answered(asked.path, lambda name: values.get(name, [""])[0]))

    def _answered(self, path: str, value: _Values) -> tuple[HTTPStatus, Answer]:
        try:
            found = answer(self._answers, path, value)
        except NotReady:
            return HTTPStatus.SERVICE_UNAVAILABLE, {"problem": "the encoder is still loading"}
        except UserError as error:
            return HTTPStatus.BAD_REQUEST, {"problem": str(error)}
        if found is None:
            return HTTPStatus.NOT_FOUND, {"problem": "there is nothing at this address"}
        return HTTPStatus.OK, found

    def _send_json(self, status: HTTPStatus, value: Answer) -> None:
        self._send(status, "application/json", json.dumps(value, ensure_ascii=False).encode(errors="replace"))

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, of_header in _HEADERS.items():
            self.send_header(name, of_header)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """The terminal shows the address alone."""
