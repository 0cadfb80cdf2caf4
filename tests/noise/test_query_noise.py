"""Noise of whole queries: what is touched, how much, and that nothing else decides."""

import unicodedata
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from xdr.errors import UserError
from xdr.noise.examples import QUESTIONS, table
from xdr.noise.hangul import JAMO
from xdr.noise.letters import num_broken
from xdr.noise.query_noise import Operator, QueryNoise
from xdr.noise.words import Words
from xdr.text.records import Query

TYPOS = QueryNoise(dict.fromkeys(["delete", "insert", "substitute", "swap", "keyboard"], 1.0), 0.3, 1, 3, 1, 10, 1)


EXAMPLES = Path(__file__).parents[2] / "docs" / "noise.md"


def of(operator: str, share: float = 1.0) -> QueryNoise:
    return replace(TYPOS, operators={operator: 1}, share=share)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "Who's J. R. R. Tolkien, born 1892?", ["Who's", "J", "R", "R", "Tolkien", "born"]),
        ("ig", "n’afọ 2020", ["n’afọ"]),
        ("fon", "Fí tɛ", ["Fí", "tɛ"]),
        ("hi", "भारत की", ["भारत", "की"]),
        ("fa", "می‌خواهم کجا", ["می‌خواهم", "کجا"]),
        ("ja", "日本の首都はどこですか？", ["日本の", "首都は", "どこ", "ですか"]),
        ("ja", "コンピューターの歴史", ["コンピューターの", "歴史"]),
        ("zh", "世界上第一个公园在哪里？", ["世界", "上第", "一个", "公园", "在", "哪里"]),
        ("th", "เมืองหลวงคืออะไร", ["เมือง", "หลว", "งคือ", "อะไร"]),
    ],
)
def test_words_and_what_is_between_them(language: str, text: str, words: list[str]) -> None:
    assert Words(text, language).words == words
    assert Words(text, language).text() == text


@pytest.mark.parametrize(("language", "operator"), list(product(QUESTIONS, get_args(Operator))))
def test_noisy_text_is_valid_in_every_script(language: str, operator: str) -> None:
    query = Query("q", QUESTIONS[language], language)
    for version in range(3):
        noisy = replace(of(operator), edits=2).noisy(query, version)
        assert (noisy.text == query.text) == (not noisy.operators)
        assert unicodedata.is_normalized("NFC", noisy.text)
        assert num_broken(noisy.text.lower()) == 0 or operator == "word_order"
        assert not JAMO.intersection(noisy.text)
        assert [c for c in noisy.text if c in "？؟?;"] == [c for c in query.text if c in "？؟?;"]


def test_noise_depends_on_seed_id_and_version_alone() -> None:
    query = Query("q1", "Missä kaupungissa Nokian pääkonttori sijaitsee?", "fi")
    first = TYPOS.noisy(query, 0).text
    assert first == "Missä kaupungissa Nokian påäkonttori sijiatsee?"  # on any machine, in any process
    others = [TYPOS.noisy(query, 1), replace(TYPOS, seed=2).noisy(query, 0), TYPOS.noisy(replace(query, query_id="q2"), 0)]
    assert len({first, *(other.text for other in others)}) == 4
    assert TYPOS.noisy(query, 0).text == first


def test_a_query_with_nothing_to_change_stays_as_it_is() -> None:
    for operator, language, text in [
        ("diacritics", "en", "Who was it?"),
        ("code_switching", "sv", "Vem var det?"),
        ("word_order", "zh", "世界上第一个公园"),
        ("word_order", "en", "Who? Who?"),
        ("delete", "en", "1984?"),
        ("keyboard", "en", "a b of"),  # shorter than three letters
    ]:
        assert of(operator).noisy(Query("q", text, language), 0).operators == ()
        assert of(operator).noisy(Query("q", text, language), 0).text == text


def test_the_document_shows_the_examples_that_its_command_prints() -> None:
    assert "\n".join(table()) in EXAMPLES.read_text(encoding="utf-8")


@pytest.mark.parametrize(("share", "touched"), [(0.01, 1), (0.3, 3), (0.5, 5), (1.0, 10)])
def test_share_says_how_many_words_are_touched(share: float, touched: int) -> None:
    words = "alpha bravo delta golfo hotel india kappa limas omega romeo"
    noisy = of("delete", share).noisy(Query("q", words, "en"), 0)
    assert noisy.operators == ("delete",) * touched
    assert [len(word) for word in noisy.text.split()].count(4) == touched
    twice = replace(of("delete", share), edits=2).noisy(Query("q", words, "en"), 0)
    assert [len(word) for word in twice.text.split()].count(3) == touched


def test_operators_are_drawn_by_their_weights() -> None:
    noise = replace(TYPOS, operators={"delete": 3, "swap": 1, "insert": 0})
    drawn = [noise.noisy(Query("q", "telephone", "en"), version).operators for version in range(400)]
    assert {name for (name,) in drawn} == {"delete", "swap"}
    assert 260 < drawn.count(("delete",)) < 340


def test_an_operator_that_finds_nothing_gives_way_to_the_next() -> None:
    noise = replace(TYPOS, operators={"diacritics": 1000, "swap": 1})
    assert noise.noisy(Query("q", "telephone", "en"), 0).operators == ("swap",)


@pytest.mark.parametrize(
    ("language", "text", "without"),
    [
        ("yo", "Ọdún wo ni wọ́n bí Wọlé?", "Odun wo ni won bi Wole?"),
        ("vi", "Đâu là thủ đô?", "Dau la thu do?"),
        ("tw", "Kurow bεn na ɛyɛ?", "Kurow ben na eye?"),
        ("ar", "أَيْنَ القاهِرة؟", "اين القاهرة؟"),
        ("ru", "Ещё йод", "Еще йод"),
        ("el", "Πού;", "Που;"),
        ("hi", "ज़मीन", "जमीन"),
        ("te", "ఏమిటి", "ఏమిటి"),
        ("ja", "がぎ", "がぎ"),
    ],
)
def test_diacritics_are_dropped_where_a_script_has_them(language: str, text: str, without: str) -> None:
    assert of("diacritics").noisy(Query("q", text, language), 0).text == without


@pytest.mark.parametrize(
    ("language", "text", "mixed"),
    [
        ("sw", "Kwa nini simba ni mkubwa?", "Why simba ni mkubwa?"),
        ("yo", "Tani o kọ iwe nigba wo?", "Who o kọ iwe when?"),
        ("ar", "من هو طه حسين ومتى؟", "who is طه حسين ومتى؟"),
        ("tr", "Nüfusu ne kadar?", "Nüfusu how much?"),
        ("ja", "首都はどこですか", "首都はwhereですか"),
        ("zh", "公园在什么地方", "公园在what地方"),
        ("th", "คืออะไร", "คือwhat"),
        ("ko", "수도는 어디인가?", "수도는 where?"),
    ],
)
def test_question_words_become_english(language: str, text: str, mixed: str) -> None:
    assert of("code_switching").noisy(Query("q", text, language), 0).text == mixed


def test_words_change_places_within_the_window() -> None:
    query = Query("q", "a, b! c?", "en")
    assert {of("word_order", 0.1).noisy(query, v).text for v in range(40)} == {"b, a! c?", "a, c! b?"}
    wide = replace(of("word_order", 0.1), window=2)
    assert {wide.noisy(query, v).text for v in range(60)} == {"b, a! c?", "a, c! b?", "c, b! a?"}
    assert of("word_order").noisy(Query("q", "首都はどこ", "ja"), 0).text == "どこ首都は"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"operators": {"keybord": 1}}, r"noise\.operators must name operators, got 'keybord'; did you mean 'keyboard'"),
        ({"operators": {"swap": -1}}, r"noise\.operators\.swap must be a weight of at least 0, got -1"),
        ({"operators": {"swap": 0}}, r"noise\.operators must have an operator with a weight above 0, got none"),
        ({"share": 0.0}, r"noise\.share must be above 0 and at most 1, got 0\.0"),
        ({"edits": 0}, r"noise\.edits must be at least 1, got 0"),
        ({"versions": 0}, r"noise\.versions must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_one_sentence(change: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        replace(TYPOS, **change)  # type: ignore[arg-type]
