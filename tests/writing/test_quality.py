import io

import pytest
from rich.console import Console

from xdr.errors import ArtefactError, UserError
from xdr.text.identification import LanguageCheck
from xdr.text.records import Passage
from xdr.writing.quality import (
    REASONS,
    Candidate,
    CopySource,
    Gate,
    QualityCounts,
    Reason,
    as_table,
    copied_share,
    normalised,
)

PASSAGE = Passage("7", "Lake Saimaa", "Saimaa is the largest lake in Finland, and was formed by melting ice.")
ALL = frozenset(REASONS)


def judge(
    *candidates: tuple[str, str] | Candidate,
    refused: frozenset[Reason] = ALL,
    before: tuple[tuple[str, str], ...] = (),
    passage: Passage = PASSAGE,
) -> list[Reason | None]:
    gate = Gate(LanguageCheck(None), refused)
    drawn = [one if isinstance(one, Candidate) else Candidate(one[1], one[0], True, 8) for one in candidates]
    return gate.judge(passage, drawn, before)


def test_a_good_question_has_nothing_wrong_with_it() -> None:
    assert judge(("fi", "Mikä on Suomen suurin järvi?"), ("ru", "Какое озеро самое большое?")) == [None, None]
    assert judge() == []


def test_each_reason_has_its_case() -> None:
    long = Candidate("Mikä on Suomen suurin järvi ja", "fi", ended=False, num_tokens=32)
    assert judge(("fi", " ?!"), ("ru", "Which lake?"), ("en", "Saimaa is the largest lake"), long) == [
        "empty",
        "wrong_language",
        "copied",
        "over_long",
    ]
    assert judge(("fi", "Mikä järvi?"), ("fi", "mikä  järvi")) == [None, "repeated"]


def test_the_first_reason_counts() -> None:
    text = "the largest lake in Finland"
    assert judge(Candidate("", "ru", False, 32)) == ["empty"]
    assert judge(Candidate(text, "ru", False, 32), before=(("ru", text),)) == ["wrong_language"]
    assert judge(Candidate(text, "en", False, 32), before=(("en", text),)) == ["repeated"]
    assert judge(Candidate(text, "en", False, 32)) == ["copied"]


def test_a_question_repeats_those_of_its_own_language_and_passage() -> None:
    assert judge(("fi", "Onko se Saimaa?"), ("en", "Onko se Saimaa?")) == [None, None]
    assert judge(("fi", "Onko se Saimaa?"), before=(("en", "Onko se Saimaa?"),)) == [None]
    assert judge(("fi", "ONKO SE SAIMAA"), before=(("fi", "Onko se Saimaa?"),)) == ["repeated"]


def test_what_was_refused_cannot_be_repeated() -> None:
    long = Candidate("Mikä järvi?", "fi", ended=False, num_tokens=32)
    assert judge(long, ("fi", "Mikä järvi?")) == ["over_long", None]
    assert judge(long, ("fi", "Mikä järvi?"), refused=frozenset({"repeated"})) == ["over_long", "repeated"]  # it was kept


def test_a_gate_refuses_for_its_reasons_alone() -> None:
    gate = Gate(LanguageCheck(None), frozenset({"empty", "copied"}))
    assert [gate.refuses(reason) for reason in (None, *REASONS)] == [False, True, False, False, True, False]
    assert judge(("ru", "Which lake?"), refused=frozenset()) == ["wrong_language"]  # said all the same


def test_an_unknown_reason_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"refuse must name reasons among empty, .*, got 'copy'; did you mean 'copied'\?$"):
        Gate(LanguageCheck(None), frozenset({"copy"}))  # type: ignore[arg-type]  # what is refused


def test_a_share_is_that_of_spans_of_eight_characters() -> None:
    """`abcdefghij` has abcdefgh, bcdefghi and cdefghij; the passage holds the first two."""
    assert copied_share("abcdefghij", "xx abcdefghi yy") == pytest.approx(2 / 3)
    assert copied_share("ABCDEFGH", "abc  defgh") == 0.0
    assert copied_share("Abc\n Defg", "ABC DEFG") == 1.0


def test_a_text_shorter_than_a_span_is_copied_whole_or_not_at_all() -> None:
    assert copied_share("Saimaa", PASSAGE.text) == 1.0
    assert copied_share("Päijänne"[:7], PASSAGE.text) == 0.0


def test_a_question_is_copied_from_seven_tenths_of_its_spans_on() -> None:
    """Of the 10 spans of 17 characters, 7 stand in a passage of the first 14, and 6 in one of the first 13."""
    text = "abcdefghijklmnopq"
    assert judge(("en", text), passage=Passage("8", "", text[:14])) == ["copied"]
    assert judge(("en", text), passage=Passage("8", "", text[:13])) == [None]
    gate = Gate(LanguageCheck(None), ALL, copied_share=0.6)
    assert gate.judge(Passage("8", "", text[:13]), [Candidate(text, "en", True, 8)], []) == ["copied"]


def test_a_reason_that_is_refused_is_found_behind_one_that_is_not() -> None:
    gate = Gate(LanguageCheck(None), frozenset({"copied"}))
    assert gate.judge(Passage("8", "", "where is it now"), [Candidate("where is it now", "ru", True, 4)], []) == ["copied"]
    assert gate.judge(Passage("8", "", "elsewhere"), [Candidate("where is it now", "ru", True, 4)], []) == ["wrong_language"]


def test_the_title_is_part_of_what_can_be_copied() -> None:
    assert judge(("en", "Lake Saimaa")) == ["copied"]
    assert CopySource("Lake Saimaa").share("What is Lake Saimaa?") == pytest.approx(4 / 13)


@pytest.mark.parametrize(
    "text",
    ["Where is it?", " where  is it", "WHERE IS IT?!", "Ｗｈｅｒｅ　ｉｓ　ｉｔ？", "«Where» is-it…", "Where\u200b is it?"],
)
def test_case_width_punctuation_and_blanks_do_not_make_another_question(text: str) -> None:
    assert normalised(text) == "whereisit"


def test_vowel_signs_and_numbers_make_another_question() -> None:
    assert normalised("కి") != normalised("క")
    assert normalised("1969?") != normalised("1970?")


def test_draws_are_counted_one_by_one() -> None:
    counts = QualityCounts(passages=2, wanted=4)
    counts.count(None, 7, again=False)
    counts.count("copied", 9, again=False)
    counts.count("copied", 8, again=True)
    assert counts == QualityCounts(passages=2, wanted=4, generated=3, regenerated=1, tokens=24, copied=2)


def test_counts_of_shards_add_up_and_leave_the_shards_alone() -> None:
    one, other = QualityCounts(passages=3, kept=5, empty=1), QualityCounts(passages=1, kept=2, over_long=4)
    assert one.merge(other) == other.merge(one) == QualityCounts(passages=4, kept=7, empty=1, over_long=4)
    assert one == QualityCounts(passages=3, kept=5, empty=1)


def test_counts_come_back_from_json() -> None:
    counts = QualityCounts(passages=3, kept=5, repeated=2)
    assert QualityCounts.from_json(counts.to_json()) == counts
    for value in ({}, counts.to_json() | {"kept": "5"}, counts.to_json() | {"better": 1}, counts.to_json() | {"kept": True}):
        with pytest.raises(ArtefactError, match="whole numbers named copied, empty"):
            QualityCounts.from_json(value)


def test_the_table_has_a_row_a_language_and_no_column_of_zeros() -> None:
    table = as_table(
        {
            "ru": QualityCounts(
                passages=4, wanted=20, generated=25, regenerated=5, kept=18, tokens=400, wrong_language=1, copied=6
            ),
            "fi": QualityCounts(passages=4, empty_passages=4),
        }
    )
    out = io.StringIO()
    Console(file=out, width=250).print(table)
    header, finnish, russian = (
        [cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")]
        for line in out.getvalue().splitlines()
        if line[0] in "┃│"
    )
    assert " | ".join(header).strip() == (
        "| empty passages | drawn | drawn again | kept | kept a passage | tokens | wrong language % | copied %"
    )
    assert finnish == ["fi", "4", "0", "0", "0", "0.0", "-", "-", "-"]
    assert russian == ["ru", "0", "25", "5", "18", "4.5", "16.0", "4.0", "24.0"]
