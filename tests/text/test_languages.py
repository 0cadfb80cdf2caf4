import subprocess
import sys

import pytest

from xdr.errors import DataError
from xdr.text.languages import AFRIQA, MIRACL, NAMES, XOR_TYDI, XQUAD_R, find_language, language_codes


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        (" ar", "ar"),
        ("AR", "ar"),
        ("ara", "ar"),
        ("arabic", "ar"),
        ("swa", "sw"),
        ("sw", "sw"),
        ("Telugu", "te"),
        ("kin", "rw"),
        ("twi", "tw"),
        ("ger", "de"),
        ("deu", "de"),
        ("farsi", "fa"),
        ("pt", "pt"),
        ("por", "pt"),
        ("Portuguese", "pt"),
        ("pt_br", "pt-BR"),
        ("ZH-hant", "zh-Hant"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("en-Latn", "en"),
        ("iw", "he"),
        ("Khmer", "km"),
        ("Malay", "ms"),
        ("Cantonese", "yue"),
        ("Odia", "or"),
        ("lug", "lg"),
    ],
)
def test_a_language_is_found_by_tag_or_name(spelling: str, code: str) -> None:
    assert find_language(spelling).code == code
    assert find_language(code).code == code


def test_the_languages_of_the_benchmarks_keep_their_names() -> None:
    assert set(XOR_TYDI + XQUAD_R + MIRACL + AFRIQA) == set(NAMES)
    assert (len(XOR_TYDI), len(XQUAD_R), len(MIRACL), len(AFRIQA)) == (8, 11, 18, 10)
    for code, name in NAMES.items():
        assert (find_language(code).code, find_language(name).code, find_language(code).name) == (code, code, name)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("pt", "Portuguese"),
        ("pt-BR", "Portuguese (Brazil)"),
        ("en-GB", "English (United Kingdom)"),
        ("zh-Hant", "Chinese (Traditional)"),
        ("sr-Latn", "Serbian (Latin)"),
        ("ms", "Malay"),
        ("bem", "Bemba"),
        ("x-klingon", "x-klingon"),
    ],
)
def test_other_languages_have_the_names_of_the_registry(code: str, name: str) -> None:
    assert find_language(code).name == name


@pytest.mark.parametrize(
    ("code", "scripts"),
    [
        ("ja", ("HIRAGANA", "KATAKANA", "CJK")),
        ("ko", ("HANGUL",)),
        ("zh", ("CJK",)),
        ("zh-TW", ("CJK",)),
        ("fa", ("ARABIC",)),
        ("bn", ("BENGALI",)),
        ("wo", ("LATIN",)),
        ("pt-BR", ("LATIN",)),
        ("sr", ("CYRILLIC",)),
        ("sr-Latn", ("LATIN",)),
        ("am", ("ETHIOPIC",)),
        ("my", ("MYANMAR",)),
        ("iu", ("CANADIAN",)),
        ("sat", ("OL",)),
    ],
)
def test_a_language_is_written_in_its_likely_script(code: str, scripts: tuple[str, ...]) -> None:
    assert find_language(code).scripts == scripts


@pytest.mark.parametrize(
    ("spelling", "says"),
    [
        ("telegu", "got 'telegu'. Did you mean 'telugu'"),
        ("portugese", "Did you mean 'portuguese'"),
        ("xx", r"a language must be a BCP 47 tag \(pt, pt-BR, zh-Hant\) or an English name, got 'xx'$"),
        ("pt-brazil", "got 'pt-brazil'"),
        ("qwertz", "got 'qwertz'$"),
        ("", "got ''"),
    ],
)
def test_what_is_no_language_is_refused_with_a_hint_that_is_near(spelling: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        find_language(spelling)


def test_a_language_named_twice_is_refused() -> None:
    with pytest.raises(DataError, match="languages must be named once each, got 'ko' twice"):
        language_codes(["ko", "Korean"])


def test_langcodes_is_imported_only_when_a_language_is_looked_up() -> None:
    code = "import sys, xdr.text.languages; assert 'langcodes' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
