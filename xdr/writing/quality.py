"""The quality gate: why a generated text is refused, and how often, by language."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, Self, get_args

from rich.table import Table

from xdr.errors import ArtefactError, UserError, did_you_mean, shown
from xdr.storage.fingerprint import Json
from xdr.text.identification import LanguageCheck
from xdr.text.prompts import passage_text
from xdr.text.records import Passage

Reason = Literal["empty", "wrong_language", "repeated", "copied", "over_long"]
"""In the order in which they are checked."""
REASONS: tuple[Reason, ...] = get_args(Reason)

COPIED_SHARE = 0.7
"""2.8 % of AfriQA's English questions, which people asked, reach this share; 12.4 % reach 0.5."""
_SPAN = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text as it was sampled. `ended` is false if it was cut at the output length."""

    text: str
    language: str
    ended: bool
    num_tokens: int


@dataclass(frozen=True)
class Gate:
    """Texts are refused for the reasons in `refused`; other reasons are only counted."""

    check: LanguageCheck
    refused: frozenset[Reason]
    copied_share: float = COPIED_SHARE

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.refused) - set(REASONS)):
            hint = did_you_mean(unknown[0], REASONS)
            raise UserError(f"refuse must name reasons among {', '.join(REASONS)}, got '{unknown[0]}'; {hint}".rstrip("; "))

    def refuses(self, reason: Reason | None) -> bool:
        return reason in self.refused

    def judge(
        self, passage: Passage, candidates: Sequence[Candidate], accepted_before: Sequence[tuple[str, str]]
    ) -> list[Reason | None]:
        """Returns for each candidate the first refused reason that applies, else the first reason that applies, else None.
        `accepted_before` holds (language, text) of the texts that the passage already has. A candidate is `repeated` if it
        equals one of them, or an earlier candidate that is not refused."""
        source = CopySource(passage_text(passage))
        right = self.check.are_languages([one.text for one in candidates], [one.language for one in candidates])
        seen = {(language, normalised(text)) for language, text in accepted_before}
        reasons: list[Reason | None] = []
        for candidate, in_language in zip(candidates, right, strict=True):
            key = (candidate.language, normalised(candidate.text))
            applies = {
                "empty": not key[1],
                "wrong_language": not in_language,
                "repeated": key in seen,
                "copied": source.share(candidate.text) >= self.copied_share,
                "over_long": not candidate.ended,
            }
            applying = [reason for reason in REASONS if applies[reason]]
            reason = next((reason for reason in applying if self.refuses(reason)), applying[0] if applying else None)
            if not self.refuses(reason):
                seen.add(key)
            reasons.append(reason)
        return reasons


def normalised(text: str) -> str:
    """The same string for texts that differ only in case, width, punctuation and blanks."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_BARE)


class CopySource:
    """A passage, prepared for comparison with many texts."""

    def __init__(self, text: str) -> None:
        self._text = _one_case(text)
        self._spans = frozenset(_spans(self._text))

    def share(self, text: str) -> float:
        """The share of the text's 8-character spans that the passage contains, ignoring case and the width of blanks. For a
        shorter text: 1 if the passage contains it, else 0."""
        folded = _one_case(text)
        spans = _spans(folded)
        return sum(span in self._spans for span in spans) / len(spans) if spans else float(folded in self._text)


def copied_share(text: str, passage_text: str) -> float:
    """See `CopySource.share`."""
    return CopySource(passage_text).share(text)


def _one_case(text: str) -> str:
    return " ".join(text.casefold().split())


def _spans(text: str) -> list[str]:
    return [text[start : start + _SPAN] for start in range(len(text) - _SPAN + 1)]


class _Bare(dict[int, str]):
    """For `str.translate`: removes punctuation, blanks and invisible characters."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        kept = self[code_point] = "" if unicodedata.category(character)[0] in "PZC" else character
        return kept


_BARE = _Bare()


@dataclass(slots=True)
class QualityCounts:
    """Counts of one language. `passages` includes `empty_passages`, which get no texts, and `truncated_passages`. `generated`
    counts all drawn texts, `regenerated` those drawn after a refusal, `tokens` the tokens of all. Each drawn text counts
    under one reason at most. `malformed` counts a server's answers that could not be used."""

    passages: int = 0
    empty_passages: int = 0
    truncated_passages: int = 0
    wanted: int = 0
    generated: int = 0
    regenerated: int = 0
    kept: int = 0
    tokens: int = 0
    empty: int = 0
    wrong_language: int = 0
    repeated: int = 0
    copied: int = 0
    over_long: int = 0
    malformed: int = 0

    def count(self, reason: Reason | None, num_tokens: int, *, again: bool) -> None:
        """Counts one drawn text; `again` if it replaces a refused one. `kept` is not counted here: it depends on how many texts
        are still wanted."""
        self.generated += 1
        self.regenerated += again
        self.tokens += num_tokens
        if reason is not None:
            setattr(self, reason, getattr(self, reason) + 1)

    def merge(self, other: "QualityCounts") -> "QualityCounts":
        """The sums of two shards' counts of one language."""
        return QualityCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def to_json(self) -> dict[str, int]:
        """Without `malformed` where there is none, as older versions wrote it."""
        values = asdict(self)
        return values if self.malformed else {name: value for name, value in values.items() if name != "malformed"}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Self:
        names = {field.name for field in fields(cls)}
        value = {"malformed": 0, **value}
        if value.keys() != names or any(type(number) is not int for number in value.values()):
            raise ArtefactError(
                f"counts of texts must be whole numbers named {', '.join(sorted(names))}, got {shown(dict(value))}"
            )
        return cls(**{name: number for name, number in value.items() if isinstance(number, int)})


def as_table(counts_by_language: Mapping[str, QualityCounts], title: str = "Generated questions") -> Table:
    """One row for each language. Reasons are in percent of the texts drawn; columns of zeros are left out."""
    rows = sorted(counts_by_language.items())
    counted: dict[str, Callable[[QualityCounts], int]] = {
        "empty passages": lambda counts: counts.empty_passages,
        "cut passages": lambda counts: counts.truncated_passages,
        "drawn": lambda counts: counts.generated,
        "drawn again": lambda counts: counts.regenerated,
        "malformed": lambda counts: counts.malformed,
        "kept": lambda counts: counts.kept,
    }
    shown = [name for name, value_of in counted.items() if any(value_of(counts) for _, counts in rows)]
    reasons = [reason for reason in REASONS if any(getattr(counts, reason) for _, counts in rows)]
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for column in (*shown, "kept a passage", "tokens", *(f"{reason.replace('_', ' ')} %" for reason in reasons)):
        table.add_column(column, justify="right")
    for language, counts in rows:
        table.add_row(
            language,
            *(f"{counted[name](counts):,}" for name in shown),
            _ratio(counts.kept, counts.passages),
            _ratio(counts.tokens, counts.generated),
            *(_ratio(100 * getattr(counts, reason), counts.generated) for reason in reasons),
        )
    return table


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.1f}" if whole else "-"
