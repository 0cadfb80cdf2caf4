"""What is wrong with a generated question, if anything, and how often each thing was, by language."""

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
"""In the order in which they are looked for."""
REASONS: tuple[Reason, ...] = get_args(Reason)

COPIED_SHARE = 0.7
"""Of AfriQA's questions in English, asked by people, 2.8 % reach it; 12.4 % reach 0.5."""
_SPAN = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question as it was drawn. `ended`: the generator ended it, rather than the limit of tokens."""

    text: str
    language: str
    ended: bool
    num_tokens: int


@dataclass(frozen=True)
class Gate:
    """`refused` are the reasons for which a question is not kept; the others are counted only."""

    check: LanguageCheck
    refused: frozenset[Reason]
    copied_share: float = COPIED_SHARE

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.refused) - set(REASONS)):
            hint = did_you_mean(unknown[0], REASONS)
            raise UserError(
                f"a question is refused for one of {', '.join(REASONS)}, and '{unknown[0]}' came; {hint}".rstrip("; ")
            )

    def refuses(self, reason: Reason | None) -> bool:
        return reason in self.refused

    def judge(
        self, passage: Passage, candidates: Sequence[Candidate], accepted_before: Sequence[tuple[str, str]]
    ) -> list[Reason | None]:
        """For each candidate the first reason that is refused, else the first that applies at all. `accepted_before` are
        (language, text) of the questions that the passage has already; a candidate repeats one of them, or one before it that
        is not refused."""
        source = CopySource(passage_text(passage))
        right = self.check.are_languages([one.text for one in candidates], [one.language for one in candidates])
        seen = {(language, normalised(text)) for language, text in accepted_before}
        reasons: list[Reason | None] = []
        for candidate, in_language in zip(candidates, right, strict=True):
            known_by = (candidate.language, normalised(candidate.text))
            applies = {
                "empty": not known_by[1],
                "wrong_language": not in_language,
                "repeated": known_by in seen,
                "copied": source.share(candidate.text) >= self.copied_share,
                "over_long": not candidate.ended,
            }
            found = [reason for reason in REASONS if applies[reason]]
            reason = next((reason for reason in found if self.refuses(reason)), found[0] if found else None)
            if not self.refuses(reason):
                seen.add(known_by)
            reasons.append(reason)
        return reasons


def normalised(text: str) -> str:
    """Equal for questions that differ in case, width, punctuation and blanks alone."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_BARE)


class CopySource:
    """A passage, made ready for many questions."""

    def __init__(self, text: str) -> None:
        self._text = _one_case(text)
        self._spans = frozenset(_spans(self._text))

    def share(self, text: str) -> float:
        """The share of the text's spans of eight characters, case and width of blanks aside, that stand in the passage. A text
        that has none stands there whole, 1, or not, 0."""
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
    """What `str.translate` makes of a character: nothing of punctuation, blanks and what cannot be seen."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        kept = self[code_point] = "" if unicodedata.category(character)[0] in "PZC" else character
        return kept


_BARE = _Bare()


@dataclass(slots=True)
class QualityCounts:
    """Of one language. `passages` are all, with those that are empty and were asked nothing about, and those that were cut
    to the limit. Of the questions `generated`, all draws, `regenerated` are those after the first; each counts under one
    reason or none. `tokens` are those of all draws."""

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

    def count(self, reason: Reason | None, num_tokens: int, *, again: bool) -> None:
        """One draw; `again` where an earlier one was refused in its place. Whether it is kept is not counted here: that
        depends on how many are wanted still."""
        self.generated += 1
        self.regenerated += again
        self.tokens += num_tokens
        if reason is not None:
            setattr(self, reason, getattr(self, reason) + 1)

    def merge(self, other: "QualityCounts") -> "QualityCounts":
        """The sums, for two shards of one language."""
        return QualityCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Self:
        names = {field.name for field in fields(cls)}
        if value.keys() != names or any(type(number) is not int for number in value.values()):
            raise ArtefactError(
                f"counts of questions are whole numbers named {', '.join(sorted(names))}; {shown(dict(value))} came"
            )
        return cls(**{name: number for name, number in value.items() if isinstance(number, int)})


def as_table(counts_by_language: Mapping[str, QualityCounts], title: str = "Generated questions") -> Table:
    """Reasons in percent of what was generated. Columns that are zero throughout are left out."""
    rows = sorted(counts_by_language.items())
    counted: dict[str, Callable[[QualityCounts], int]] = {
        "empty passages": lambda counts: counts.empty_passages,
        "cut passages": lambda counts: counts.truncated_passages,
        "drawn": lambda counts: counts.generated,
        "drawn again": lambda counts: counts.regenerated,
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
