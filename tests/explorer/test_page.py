"""The page in a headless Chromium: typed, slid and clicked as a user does. Skipped where no Chromium is installed."""

import os
import threading
from base64 import b64decode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from conf.explore import kept_settings
from tests.chromium import NAMES, Page, find_chromium, opened_page
from tests.serving import serving_in_a_thread
from xdr.explorer.answers import Answers
from xdr.explorer.finished import open_finished
from xdr.explorer.query_vectors import QueryVectors
from xdr.explorer.server import ExplorerServer

pytestmark = pytest.mark.skipif(find_chromium() is None, reason=f"no Chromium is installed ({', '.join(NAMES)})")

FUSED = "#fused tbody tr"


@pytest.fixture(scope="module")
def of_page(evaluations: Path, vectors: QueryVectors) -> Answers:
    folder = evaluations / "unit_mean"
    return Answers(open_finished(folder, kept_settings(folder)), vectors)


@pytest.fixture(scope="module")
def browser(of_page: Answers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, str]]:
    with (
        serving_in_a_thread(ExplorerServer(of_page, 0)) as server,
        opened_page(tmp_path_factory.mktemp("profile")) as page,
    ):
        yield page, server.url


@pytest.fixture
def page(browser: tuple[Page, str]) -> Iterator[Page]:
    opened, url = browser
    opened.problems.clear()
    opened.size(1200, 900)
    opened.open(url)
    opened.wait_for("document.readyState === 'complete' && document.querySelectorAll('#fused tbody tr').length === 10")
    yield opened
    assert opened.problems == []


def test_the_questions_are_there_before_the_encoder(evaluations: Path, vectors: QueryVectors, tmp_path: Path) -> None:
    """And an evaluation without generated questions has one table and no slider."""
    folder, may_load = evaluations / "plain", threading.Event()
    finished = open_finished(folder, kept_settings(folder))
    late = QueryVectors(lambda: finished.load_encoder() if may_load.wait(60) else None, [])  # type: ignore[arg-type, return-value]  # it waits, then loads
    late.start()
    with serving_in_a_thread(ExplorerServer(Answers(finished, late), 0)) as server, opened_page(tmp_path) as page:
        page.open(server.url)
        page.wait_for("document.querySelectorAll('#questions option').length === 200")
        assert texts(page, "#state") == ["The encoder is loading. Rankings follow as soon as it is ready."]
        assert page.evaluate("document.querySelector('#search').disabled")
        may_load.set()
        page.wait_for("document.querySelectorAll('#baseline tbody tr').length === 10")
        assert texts(page, "#state") == [""]
        hidden = "['alpha-box', 'changes', 'fused'].map((id) => document.getElementById(id).getClientRects().length)"
        assert page.evaluate(hidden) == [0, 0, 0]
        page.click("#baseline tbody tr button")
        page.wait_for("document.querySelector('#passage-text').textContent")
        assert page.problems == []


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.evaluate(f"[...document.querySelectorAll('{selector}')].map((e) => e.textContent)")
    return found


def titles(answers: Answers, query_id: str, alpha: float, side: str) -> list[str]:
    return [passage["title"] or passage["snippet"] for passage in answers.rankings(query_id, "", alpha, 10)[side]]


def test_it_opens_on_the_question_that_gained_most(page: Page, of_page: Answers) -> None:
    best = of_page.state()["best"]
    metric = page.evaluate("document.querySelector('#metric').value")
    first = of_page.changes(best, metric, "")["gained"][0]
    assert texts(page, "#rankings-heading") == [first["text"]]
    alpha = of_page.state()["alphas"][best]
    assert texts(page, f"{FUSED} button") == titles(of_page, first["id"], alpha, "fused")
    assert texts(page, "#baseline tbody tr button") == titles(of_page, first["id"], alpha, "baseline")
    assert texts(page, "#fused caption") == [f"unit_mean, alpha {alpha}"]


def test_a_slide_by_keyboard_shows_the_ranking_at_each_alpha(page: Page, of_page: Answers) -> None:
    query_id = page.evaluate("chosen.query")
    page.evaluate("document.querySelector('#alpha').focus()")
    page.press("End", 35)
    page.wait_for("document.querySelector('#fused caption').textContent === 'unit_mean, alpha 1'")
    assert texts(page, f"{FUSED} button") == titles(of_page, query_id, 1.0, "fused")
    assert texts(page, "#alpha-value") == ["1"]
    page.press("Home", 36)
    page.wait_for("document.querySelector('#fused caption').textContent === 'unit_mean, alpha 0'")
    assert texts(page, f"{FUSED} button") == titles(of_page, query_id, 0.0, "fused")


def test_a_slide_by_mouse_ends_at_the_ranking_under_the_mouse(page: Page, of_page: Answers) -> None:
    query_id = page.evaluate("chosen.query")
    page.click("#alpha")
    page.wait_for("document.querySelector('#fused caption').textContent === `unit_mean, alpha ${alpha()}`")
    alpha = page.evaluate("alpha()")
    assert alpha == pytest.approx(0.5, abs=0.02)
    assert texts(page, f"{FUSED} button") == titles(of_page, query_id, alpha, "fused")


def test_a_typed_question_in_arabic_is_ranked_and_stands_from_right_to_left(page: Page, of_page: Answers) -> None:
    question = "أين يقع أعلى جبل؟"
    page.click("#question")
    page.type(question)
    page.press("Enter", 13)
    page.wait_for(f"document.querySelector('#rankings-heading').textContent === '{question}'")
    alpha = page.evaluate("alpha()")
    expected = of_page.rankings("", question, alpha, 10)["fused"]
    assert texts(page, f"{FUSED} button") == [passage["title"] or passage["snippet"] for passage in expected]
    assert page.evaluate("getComputedStyle(document.querySelector('#rankings-heading')).direction") == "rtl"
    assert "A new question" in texts(page, "#summary")[0]


def test_text_that_looks_like_html_stays_text(page: Page) -> None:
    question = "<img src=x onerror=alert(1)><b>bold</b>"
    page.click("#question")
    page.type(question)
    page.click("#search")
    page.wait_for(f"document.querySelector('#rankings-heading').textContent === '{question}'")
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0


def test_the_language_filters_the_list_and_what_gained_and_lost(page: Page, of_page: Answers) -> None:
    page.evaluate("document.querySelector('#language').focus()")
    page.type("F")
    page.evaluate(
        "(() => { const s = document.querySelector('#language'); s.value = 'fi'; s.dispatchEvent(new Event('change')); })()"
    )
    expected = [question["text"] for question in of_page.questions("fi", "")["questions"]]
    page.wait_for(f"document.querySelectorAll('#questions option').length === {len(expected)}")
    assert texts(page, "#questions option") == expected
    state = of_page.state()
    metric = page.evaluate("document.querySelector('#metric').value")
    gained = [change["text"] for change in of_page.changes(state["best"], metric, "fi")["gained"]]
    page.wait_for(f"document.querySelectorAll('#gained button').length === {len(gained)}")
    assert texts(page, "#gained button span:first-child") == gained


def test_a_question_is_picked_with_the_arrow_keys(page: Page, of_page: Answers) -> None:
    questions = of_page.questions("", "")["questions"]
    page.evaluate("document.querySelector('#questions').focus()")
    page.press("Home", 36)
    page.press("ArrowDown", 40)
    page.wait_for(f"chosen.query === '{questions[1]['id']}'")
    page.wait_for(f"document.querySelector('#rankings-heading').textContent === {questions[1]['text']!r}")


def test_a_passage_shows_its_text_and_the_share_of_each_of_its_questions(page: Page, of_page: Answers) -> None:
    page.click(f"{FUSED}:nth-child(2) button")
    page.wait_for("document.querySelectorAll('#shares tbody tr').length > 2")
    query_id, alpha = page.evaluate("chosen.query"), page.evaluate("alpha()")
    row = of_page.rankings(query_id, "", alpha, 10)["fused"][1]["row"]
    expected = of_page.passage(row, query_id, "", alpha)
    assert texts(page, "#passage-text") == [expected["text"]]
    assert page.evaluate("document.activeElement.id") == "passage-heading", "a screen reader reads on there"
    shown = dict(
        zip(texts(page, "#shares tbody th span:first-child"), texts(page, "#shares tbody td:nth-child(3)"), strict=True)
    )
    for question in expected["shares"]["questions"]:
        assert shown[question["text"]] == f"{question['share']:+.4f}".replace("-", "−")
    assert shown["the passage itself"] == f"{expected['shares']['passage']:+.4f}".replace("-", "−")
    page.evaluate("document.querySelector('#alpha').focus()")
    page.press("Home", 36)
    page.wait_for("document.querySelector('#shares caption').textContent.endsWith('unit_mean, alpha 0 is made of')")


def test_everything_has_a_name_and_tables_have_heads(page: Page) -> None:
    page.click(f"{FUSED}:nth-child(1) button")
    page.wait_for("document.querySelector('#shares table')")
    unnamed = """[...document.querySelectorAll('input, select, button, table, [role=region]')].filter((e) => !(
      e.labels?.length || e.textContent.trim() && e.tagName === 'BUTTON' || e.caption || e.getAttribute('aria-label')))
      .map((e) => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate("[...document.querySelectorAll('th')].filter((e) => !e.scope).length") == 0
    assert page.evaluate("document.querySelectorAll('th').length") > 20
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((e) => Number(e.tagName[1]))")
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("document.querySelector('#summary').getAttribute('aria-live')") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_it_fits_its_width_and_texts_stand_out_in_both_schemes(page: Page, width: int, scheme: str) -> None:
    """4.5 to 1 is the least contrast of WCAG's level AA."""
    page.size(width, 900, scheme)
    page.click(f"{FUSED}:nth-child(1) button")
    page.wait_for("document.querySelector('#shares table')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 10
    assert {name: contrast for name, contrast in contrasts.items() if contrast < 4.5} == {}
    if folder := os.environ.get("XDR_SCREENSHOTS"):
        shot = page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        Path(folder, f"{width}-{scheme}.png").write_bytes(b64decode(shot["data"]))


CONTRASTS = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor, n = numbers(colour);
      if (n.length < 4 || n[3] > 0) return colour;
    }
  };
  const found = {};
  for (const e of document.querySelectorAll('main *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.disabled || !e.getClientRects().length) continue;
    const [one, other] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
    const name = `${e.tagName}.${e.className}`;
    found[name] = Math.min(found[name] ?? 99, (one + 0.05) / (other + 0.05));
  }
  return found;
})()"""
