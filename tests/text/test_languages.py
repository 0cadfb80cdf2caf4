import pytest

from xdr.errors import DataError
from xdr.text.languages import AFRIQA, LANGUAGES, MIRACL, XOR_TYDI, XQUAD_R, find_language, language_codes


@pytest.mark.parametrize(
    ("spelling", "code"),
    [(" ar", "ar"), ("AR", "ar"), ("arabic", "ar"), ("swa", "sw"), ("sw", "sw"), ("Telugu", "te"), ("kin", "rw")],
)
def test_a_language_is_found_by_code_alias_or_name(spelling: str, code: str) -> None:
    assert find_language(spelling).code == code


def test_every_benchmark_language_is_in_the_list() -> None:
    assert set(XOR_TYDI + XQUAD_R + MIRACL + AFRIQA) == set(LANGUAGES)
    assert (len(XOR_TYDI), len(XQUAD_R), len(MIRACL), len(AFRIQA)) == (8, 11, 18, 10)


def test_no_two_languages_share_a_spelling() -> None:
    for language in LANGUAGES.values():
        for spelling in (language.code, language.name, *language.aliases):
            assert find_language(spelling) is language


def test_an_unknown_language_is_refused_with_a_hint() -> None:
    with pytest.raises(DataError, match="'telegu' is not a language.*did you mean 'telugu'"):
        find_language("telegu")


def test_a_language_named_twice_is_refused() -> None:
    with pytest.raises(DataError, match="'ko' came twice"):
        language_codes(["ko", "Korean"])
