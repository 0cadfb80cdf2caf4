"""The page as a browser shows it. Chromium is driven by its own protocol through two pipes, without a library."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reporting.test_report import report_of_a_sweep
from xdr.reporting.report_page import render_report

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
WITH_PIPES = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page; what it logged and what it asked for since it was last opened."""

    def __init__(self, program: str, profile: Path) -> None:
        child_in, commands = os.pipe()
        answers, child_out = os.pipe()
        launch = [sys.executable, "-c", WITH_PIPES, str(child_in), str(child_out), program, *FLAGS]
        self._process = subprocess.Popen(
            [*launch, f"--user-data-dir={profile}", "--remote-debugging-pipe"],
            pass_fds=(child_in, child_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(child_in)
        os.close(child_out)
        self._commands, self._answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, path: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        is_phone = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.call("Emulation.setDeviceMetricsOverride", mobile=is_phone, **size)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not self.named("Page.loadEventFired"):
            self.events.append(self._next())
        self.value("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def value(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def named(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def close(self) -> None:
        self._session = ""
        self.call("Browser.close")
        self._process.wait(timeout=30)
        self._commands.close()
        self._answers.close()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            came = os.read(self._answers.fileno(), 1 << 16)
            assert came, f"the browser ended with {self._process.wait()}"
            self._buffer += came
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser is on this machine: none of {', '.join(NAMES)}")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(report_of_a_sweep()), "utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_loads_without_errors_and_requests_only_itself(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.open(page, width, scheme=scheme)
    assert browser.named("Runtime.exceptionThrown") == []
    assert browser.named("Runtime.consoleAPICalled") == []
    assert browser.named("Log.entryAdded") == []
    asked = [request["request"]["url"] for request in browser.named("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_page_is_wider_than_its_screen_even_with_everything_opened(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    browser.value("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value("window.innerWidth") == width  # a page that is too wide is zoomed out on a phone


def test_on_a_phone_the_table_scrolls_in_its_own_box_and_letters_stay_legible(browser: Browser, page: Path) -> None:
    browser.open(page, 390)
    assert browser.value("(box => box.scrollWidth > box.clientWidth)(document.querySelector('.scroll'))")
    letters = "[...document.querySelectorAll('svg.chart text')].map(t => t.getBoundingClientRect().height)"
    assert browser.value(f"Math.min(...{letters})") >= 10


def test_a_phone_shows_the_p_of_the_first_system(browser: Browser, page: Path) -> None:
    browser.open(page, 390)
    for column in range(3):  # value, difference, p
        edge = f"document.querySelectorAll('thead tr:last-child th')[{column}].getBoundingClientRect().right"
        assert browser.value(edge) <= 390


def test_a_script_in_a_query_is_shown_and_not_run(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert browser.value("document.scripts.length") == 0
    assert browser.value("document.title") == "Sweep <of alpha>"
    assert "<script>alert(1)</script>" in browser.value("document.body.innerText")


def test_arabic_is_written_from_right_to_left(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert browser.value("getComputedStyle(document.querySelector('.text[lang=ar]')).direction") == "rtl"
    assert browser.value("getComputedStyle(document.querySelector('.text[lang=fi]')).direction") == "ltr"


def test_the_page_is_light_or_dark_as_the_reader_prefers(browser: Browser, page: Path) -> None:
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((sum, c) => sum + +c, 0) / 3"
    browser.open(page, 1280, scheme="light")
    assert browser.value(lightness) > 240
    browser.open(page, 1280, scheme="dark")
    assert browser.value(lightness) < 40
