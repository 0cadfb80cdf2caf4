"""The one list of languages: XOR-TyDi's, and those of XQuAD-R, MIRACL and AfriQA."""

from collections.abc import Iterable
from dataclasses import dataclass

from xdr.errors import DataError, did_you_mean


@dataclass(frozen=True, slots=True)
class Language:
    """`scripts` are Unicode script names; `aliases` are other codes that benchmarks use for it."""

    code: str
    name: str
    scripts: tuple[str, ...] = ("LATIN",)
    aliases: tuple[str, ...] = ()


LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("ar", "Arabic", ("ARABIC",), ("ara",)),
        Language("bem", "Bemba"),
        Language("bn", "Bengali", ("BENGALI",), ("ben",)),
        Language("de", "German", aliases=("deu", "ger")),
        Language("el", "Greek", ("GREEK",), ("ell",)),
        Language("en", "English", aliases=("eng",)),
        Language("es", "Spanish", aliases=("spa",)),
        Language("fa", "Persian", ("ARABIC",), ("fas", "farsi")),
        Language("fi", "Finnish", aliases=("fin",)),
        Language("fon", "Fon"),
        Language("fr", "French", aliases=("fra",)),
        Language("ha", "Hausa", aliases=("hau",)),
        Language("hi", "Hindi", ("DEVANAGARI",), ("hin",)),
        Language("id", "Indonesian", aliases=("ind",)),
        Language("ig", "Igbo", aliases=("ibo",)),
        Language("ja", "Japanese", ("HIRAGANA", "KATAKANA", "CJK"), ("jpn",)),
        Language("ko", "Korean", ("HANGUL",), ("kor",)),
        Language("ru", "Russian", ("CYRILLIC",), ("rus",)),
        Language("rw", "Kinyarwanda", aliases=("kin",)),
        Language("sw", "Swahili", aliases=("swa",)),
        Language("te", "Telugu", ("TELUGU",), ("tel",)),
        Language("th", "Thai", ("THAI",), ("tha",)),
        Language("tr", "Turkish", aliases=("tur",)),
        Language("tw", "Twi", aliases=("twi",)),
        Language("vi", "Vietnamese", aliases=("vie",)),
        Language("wo", "Wolof", aliases=("wol",)),
        Language("yo", "Yoruba", aliases=("yor",)),
        Language("zh", "Chinese", ("CJK",), ("zho",)),
        Language("zu", "Zulu", aliases=("zul",)),
    )
}

XOR_TYDI = ("ar", "bn", "en", "fi", "ja", "ko", "ru", "te")
"""The seven question languages of XOR-TyDi, and English."""
XQUAD_R = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MIRACL = ("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh")
AFRIQA = ("bem", "fon", "ha", "ig", "rw", "sw", "tw", "wo", "yo", "zu")

_KNOWN: dict[str, Language] = {
    spelling: language
    for language in LANGUAGES.values()
    for spelling in (language.code, language.name.lower(), *language.aliases)
}


def find_language(spelling: str) -> Language:
    """By code, alias or English name; blanks around it and capitals do not matter (XOR-TyDi has `" ar"`)."""
    language = _KNOWN.get(spelling.strip().lower())
    if language is None:
        hint = did_you_mean(spelling.strip().lower(), _KNOWN)
        raise DataError(
            f"'{spelling}' is not a language that xdr knows",
            remedy=hint or f"The codes are {' '.join(LANGUAGES)}; add a language in xdr/text/languages.py",
        )
    return language


def language_codes(spellings: Iterable[str]) -> tuple[str, ...]:
    """Codes in the order given; an unknown or repeated language is refused."""
    codes = tuple(find_language(spelling).code for spelling in spellings)
    if repeated := sorted({code for code in codes if codes.count(code) > 1}):
        raise DataError(f"languages are named once each, '{repeated[0]}' came twice")
    return codes
