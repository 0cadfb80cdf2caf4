"""The documentation as a site."""

import os
import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from conf import entry
from docs.reference import settings
from docs.reference.contents import with_contents
from docs.reference.tables import described, plain, table
from docs.reference.yaml_files import CONF, Setting, read_file
from tests.chromium import find_chromium, opened_page
from tests.forks import start_script
from tests.serving import serving_in_a_thread

ROOT = Path(__file__).parents[1]


def build(source: Path, output: Path) -> tuple[int | None, str]:
    """As `make docs` does."""
    spec = find_spec("sphinx.__main__")
    assert spec is not None and spec.origin is not None
    options = ["-M", "html", str(source), str(output), "-c", str(ROOT / "docs"), "-E", "-W", "--keep-going", "-q"]
    process = start_script([spec.origin, *options], ROOT, os.environ)
    said, _ = process.communicate()
    return process.poll(), said


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert build(ROOT, folder) == (0, "")
    return folder / "html"


def test_the_site_is_built_without_a_warning_and_has_every_page(site: Path) -> None:
    sources = [path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]
    assert len(sources) > 25
    assert [source for source in sources if not (site / source.with_suffix(".html")).is_file()] == []
    index = (site / "docs" / "index.html").read_text(encoding="utf-8")
    assert [source for source in sources if source.stem != "index" and f"{source.stem}.html" not in index] == []
    assert 'url=docs/index.html"' in (site / "index.html").read_text()


def test_the_reference_is_made_from_the_code(site: Path) -> None:
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (site / "docs" / "reference").glob("*.html")}
    assert "model.query_length=32" in pages["settings"]  # conf/model/transformer.yaml
    assert "one of total, language, count" in pages["settings"]  # the parameter `keep` of AugmentationSettings
    assert "from random weights, in under two minutes" in pages["experiments"]  # conf/experiment/sample_bi_encoder.yaml
    assert "the output folder of an evaluation" in pages["commands"]  # conf/explore.py
    assert "Fuses the vectors of generated queries into those of their passages" in pages["python"]  # xdr.fuse


def test_links_that_lead_nowhere_fail_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Index\n\n## Pages\n\n- [Other](other.md)\n")
    links = ["[right](index.md#pages)", "[a](index.md#nowhere)", "[b](nowhere.md)", "[c](#nowhere)"]
    (tmp_path / "docs" / "other.md").write_text("\n\n".join(["# Other", *links]))
    status, said = build(tmp_path, tmp_path / "site")
    assert status == 1
    found = re.findall(r"other.md:(\d+): WARNING: .*'(nowhere[.md]*)'", said)
    assert found == [("5", "nowhere"), ("7", "nowhere.md"), ("9", "nowhere")]


def test_pages_are_listed_by_section_in_the_order_of_their_links() -> None:
    index = "# Index\n\nSee [none](none.md).\n\n## Tutorial\n\n- [First](a.md): text\n- [Second](../b.md#part)\n"
    lists = with_contents(index)
    assert lists.startswith(index)
    assert lists[len(index) :].strip() == ("```{toctree}\n:hidden:\n:caption: Tutorial\n\nFirst <a>\nSecond <../b>\n```")


def test_a_file_is_read_with_its_comments_and_the_types_of_its_settings() -> None:
    file = read_file(CONF / "search" / "faiss_ivf.yaml")
    assert file.comment == "faiss' clusters (IVF): approximate."
    assert file.defaults == ["exact"]
    lists = Setting("search.index.lists", "1024", "")
    assert file.settings == [Setting("search.index", "", ""), lists, Setting("search.index.probes", "32", "")]
    assert settings.type_of(lists, file) == "an integer"
    assert settings.type_of(Setting("search.depth", "100", ""), file) == "an integer"  # by the class that exact.yaml names
    quoted = read_file(CONF / "augmentation" / "generation" / "prompt" / "zero_shot.yaml").settings
    assert quoted[0].value.startswith('"{passage}\\n\\nWrite a question')


def test_settings_are_shown_by_the_names_that_they_have_on_the_command_line() -> None:
    choices = {
        "train": ["model=transformer", "objective=margin_mse"],
        "evaluate": ["search=faiss_ivf", "augmentation=generated_queries", "correction=csls", "teacher=lists", "noise=typos"],
    }
    by_default = {
        "train": ["batches=mixed", "callbacks=base"],
        "evaluate": ["augmentation/generation/prompt=published", "correction/bank=default"],
    }
    files = {f"{file.group}={file.path.stem}": file for file in map(read_file, settings.option_files())}
    assert len(files) > 80
    for name, chosen in choices.items():
        shown = {
            each.name for option in (f"={name}", *by_default[name], *chosen) for each in files[option].settings if each.name
        }
        assert len(shown) > 30
        assert shown <= set(_names(entry.compose_unchecked(name, chosen)))


def _names(node: object, prefix: str = "") -> Iterator[str]:
    if OmegaConf.is_dict(node):
        for key in node:
            yield f"{prefix}{key}"
            if not OmegaConf.is_missing(node, key):
                yield from _names(node._get_node(key), f"{prefix}{key}.")


def test_comments_are_shown_as_they_are() -> None:
    assert plain("`--help`, a*b, _target_ [1]") == r"`--help`, a\*b, \_target\_ \[1\]"
    assert described("A\nfile.\nExpected: 1.\n  python a.py\n  python b.py") == (
        "A\nfile.\n\nExpected: 1.\n\n```bash\npython a.py\npython b.py\n```"
    )
    assert table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |"


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_the_site_is_read_and_searched_in_a_browser_without_a_network(site: Path, tmp_path: Path) -> None:
    pages = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site)))
    home = f"http://127.0.0.1:{pages.server_port}"
    with serving_in_a_thread(pages), opened_page(tmp_path) as page:
        for width, scheme in ((1280, "light"), (420, "dark")):
            page.size(width, scheme=scheme)
            for name in ("docs/index", "docs/evaluation", "docs/reference/settings", "docs/reference/python", "README"):
                page.open(f"{home}/{name}.html")
                asked = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
                assert [url for url in asked if not url.startswith((home, "data:"))] == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.open(f"{home}/search.html?q=truncate_dim")
        page.wait_for("document.querySelector('#search-results a')")
        assert "Encoders" in page.evaluate("document.querySelector('#search-results').innerText")
