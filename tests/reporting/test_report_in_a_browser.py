"""The page as a browser shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import NAMES, Page, find_chromium, opened_page
from tests.reporting.test_report import report_of_a_sweep
from xdr.reporting.report_page import render_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason=f"no Chromium is installed ({', '.join(NAMES)})")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(browser: Page, page: Path, width: int, scheme: str = "light") -> None:
    browser.size(width, scheme=scheme)
    browser.open(page.as_uri())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(report_of_a_sweep()), "utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_loads_without_errors_and_requests_only_itself(browser: Page, page: Path, width: int, scheme: str) -> None:
    show(browser, page, width, scheme=scheme)
    assert browser.named("Runtime.exceptionThrown") == []
    assert browser.named("Runtime.consoleAPICalled") == []
    assert browser.named("Log.entryAdded") == []
    asked = [request["request"]["url"] for request in browser.named("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_page_is_wider_than_its_screen_even_with_everything_opened(browser: Page, page: Path, width: int) -> None:
    show(browser, page, width)
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate("window.innerWidth") == width  # a page that is too wide is zoomed out on a phone


def test_on_a_phone_the_table_scrolls_in_its_own_box_and_letters_stay_legible(browser: Page, page: Path) -> None:
    show(browser, page, 390)
    assert browser.evaluate("(box => box.scrollWidth > box.clientWidth)(document.querySelector('.scroll'))")
    letters = "[...document.querySelectorAll('svg.chart text')].map(t => t.getBoundingClientRect().height)"
    assert browser.evaluate(f"Math.min(...{letters})") >= 10


def test_a_phone_shows_the_p_of_the_first_system(browser: Page, page: Path) -> None:
    show(browser, page, 390)
    for column in range(3):  # value, difference, p
        edge = f"document.querySelectorAll('thead tr:last-child th')[{column}].getBoundingClientRect().right"
        assert browser.evaluate(edge) <= 390


def test_a_script_in_a_query_is_shown_and_not_run(browser: Page, page: Path) -> None:
    show(browser, page, 1280)
    assert browser.evaluate("document.scripts.length") == 0
    assert browser.evaluate("document.title") == "Sweep <of alpha>"
    assert "<script>alert(1)</script>" in browser.evaluate("document.body.innerText")


def test_arabic_is_written_from_right_to_left(browser: Page, page: Path) -> None:
    show(browser, page, 1280)
    assert browser.evaluate("getComputedStyle(document.querySelector('.text[lang=ar]')).direction") == "rtl"
    assert browser.evaluate("getComputedStyle(document.querySelector('.text[lang=fi]')).direction") == "ltr"


def test_the_page_is_light_or_dark_as_the_reader_prefers(browser: Page, page: Path) -> None:
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((sum, c) => sum + +c, 0) / 3"
    show(browser, page, 1280, scheme="light")
    assert browser.evaluate(lightness) > 240
    show(browser, page, 1280, scheme="dark")
    assert browser.evaluate(lightness) < 40
