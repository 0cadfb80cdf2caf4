"""Languages: any BCP 47 tag or English name, each with one code, one English name and the scripts it is written in."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from xdr.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import langcodes

NAMES = {
    "ar": "Arabic",
    "bem": "Bemba",
    "bn": "Bengali",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fon": "Fon",
    "fr": "French",
    "ha": "Hausa",
    "hi": "Hindi",
    "id": "Indonesian",
    "ig": "Igbo",
    "ja": "Japanese",
    "ko": "Korean",
    "ru": "Russian",
    "rw": "Kinyarwanda",
    "sw": "Swahili",
    "te": "Telugu",
    "th": "Thai",
    "tr": "Turkish",
    "tw": "Twi",
    "vi": "Vietnamese",
    "wo": "Wolof",
    "yo": "Yoruba",
    "zh": "Chinese",
    "zu": "Zulu",
}
"""The languages of the benchmarks. Prompts use these names: a trained generator knows the words. Other names are IANA's."""

XOR_TYDI = ("ar", "bn", "en", "fi", "ja", "ko", "ru", "te")
"""The seven question languages of XOR-TyDi, and English."""
XQUAD_R = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MIRACL = ("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh")
MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")
XNLI = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
AFRIQA = ("bem", "fon", "ha", "ig", "rw", "sw", "tw", "wo", "yo", "zu")

_CODES = {"farsi": "fa", **{name.lower(): code for code, name in NAMES.items()}}
_VARIANTS = {"Hans": "Simplified", "Hant": "Traditional"}
_SCRIPTS = {
    "Arab": ("ARABIC",),
    "Beng": ("BENGALI",),
    "Cans": ("CANADIAN",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Grek": ("GREEK",),
    "Hani": ("CJK",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Jpan": ("HIRAGANA", "KATAKANA", "CJK"),
    "Kore": ("HANGUL",),
    "Latn": ("LATIN",),
    "Mtei": ("MEETEI",),
    "Nkoo": ("NKO",),
    "Telu": ("TELUGU",),
    "Thai": ("THAI",),
}
"""By ISO 15924 code, the first word of the letters' names in Unicode. For other scripts it is the first word of IANA's name."""


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is the shortest tag, `scripts` are what `xdr.text.scripts.script_of` returns for the language's letters."""

    code: str
    name: str
    scripts: tuple[str, ...]


@lru_cache(maxsize=4096)
def find_language(spelling: str) -> Language:
    """By tag (`pt`, `pt-BR`, `zh-Hant`, `swa`) or English name. Blanks around it and capitals do not matter."""
    import langcodes  # takes 30 ms

    word = spelling.strip().lower()
    code = _CODES.get(word) or _code_of_tag(word) or _registry_codes().get(word)
    if code is None:
        raise DataError(
            f"a language must be a BCP 47 tag (pt, pt-BR, zh-Hant) or an English name, got '{spelling}'",
            remedy=did_you_mean(word, _common_names(), cutoff=0.8) if len(word) > 3 else "",
        )
    tag = langcodes.Language.get(code, normalize=False)
    script = tag.maximize().script or "Latn"
    return Language(code, _name(tag), _SCRIPTS.get(script) or (_registered("script", script).split()[0].upper(),))


def language_codes(spellings: Iterable[str]) -> tuple[str, ...]:
    """The codes in the order given. A language that is named twice is refused."""
    codes = tuple(find_language(spelling).code for spelling in spellings)
    if repeated := sorted({code for code in codes if codes.count(code) > 1}):
        raise DataError(f"languages must be named once each, got '{repeated[0]}' twice")
    return codes


def three_letter_code(code: str) -> str:
    """ISO 639-3's: `swa` for `sw`."""
    import langcodes

    return langcodes.Language.get(code).to_alpha3()


def _code_of_tag(word: str) -> str | None:
    """The shortest form of a valid tag; None for other words."""
    import langcodes

    try:
        code = langcodes.standardize_tag(word)
    except ValueError:
        return None
    return code if langcodes.tag_is_valid(code) else None


def _name(tag: "langcodes.Language") -> str:
    """`Portuguese`, `Portuguese (Brazil)`, `Chinese (Traditional)`."""
    base = tag.language or str(tag)
    script, region = tag.script, tag.territory
    subtags = [_VARIANTS.get(script) or _registered("script", script)] if script else []
    subtags += [_registered("region", region)] if region else []
    name = NAMES.get(base) or _registered("language", base)
    return f"{name} ({', '.join(subtags)})" if subtags else name


@lru_cache(maxsize=1)
def _registry() -> dict[tuple[str, str], list[str]]:
    """(type, subtag) -> names in IANA's registry, as langcodes ships it. `Malay (macrolanguage)` is `Malay`."""
    from langcodes.registry_parser import parse_registry  # reading takes 0.1 s

    return {
        (entry["Type"], entry["Subtag"]): [name.split(" (")[0] for name in entry["Description"]]
        for entry in parse_registry()  # type: ignore[no-untyped-call]
        if "Subtag" in entry
    }


def _registered(kind: str, subtag: str) -> str:
    return _registry().get((kind, subtag), [subtag])[0]


@lru_cache(maxsize=1)
def _registry_codes() -> dict[str, str]:
    """Name -> code. Where languages share a name, that with the shorter code has it."""
    languages = [(subtag, names) for (kind, subtag), names in _registry().items() if kind == "language"]
    return {name.lower(): _code_of_tag(subtag) or subtag for subtag, names in reversed(languages) for name in names}


def _common_names() -> list[str]:
    """The languages that have a code of two letters."""
    return [*_CODES, *(name for name, code in _registry_codes().items() if len(code) == 2)]
