import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from xdr.benchmarks.xquad_r import XquadR
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Query

Write = Callable[[str, str | bytes], Path]


def paragraph(context: str, breaks: list, question: str, start: int) -> dict:
    answers = [{"text": context[start : start + 3], "answer_start": start}]
    qas = [{"id": "q1", "question": question, "answers": answers}]
    return {"context": context, "sentences": [context[a:b] for a, b in breaks], "sentence_breaks": breaks, "qas": qas}


def squad(*paragraphs: dict) -> str:
    return json.dumps({"version": "1", "data": [{"paragraphs": list(paragraphs)}]})


@pytest.fixture
def folder(write: Write) -> Path:
    write("en.json", squad(paragraph("One is.\nTwo are.", [[0, 7], [8, 16]], "Which?", 8)))
    return write("de.json.gz", gzip.compress(squad(paragraph("Eins ist.", [[0, 9]], "Welche?", 0)).encode())).parent


def test_sentences_carry_their_paragraph_and_questions_find_them(folder: Path) -> None:
    benchmark = XquadR(str(folder), ("en", "de"), "sentence", "multilingual", "none", "x_x")
    assert {passage.passage_id: (passage.text, passage.language) for passage in benchmark.passages(Problems())} == {
        "en_0_0": ("One is.One is.Two are.", "en"),
        "en_0_1": ("Two are.One is.Two are.", "en"),
        "de_0_0": ("Eins ist.Eins ist.", "de"),
    }
    assert list(benchmark.queries("dev", Problems())) == [
        Query("en:q1", "Which?", "en", ("Two",)),
        Query("de:q1", "Welche?", "de", ("Ein",)),
    ]
    gold = {("en:q1", "en_0_1"), ("en:q1", "de_0_0"), ("de:q1", "en_0_1"), ("de:q1", "de_0_0")}
    assert {(j.query_id, j.passage_id) for j in benchmark.judgements("dev", Problems())} == gold
    (example,) = XquadR(str(folder), ("de",), "sentence", "monolingual", "none", "x_x").examples("dev", Problems())
    assert example.positives[0].passage_id == "de_0_0"


def test_the_twins_of_a_question_are_in_all_other_languages_also_in_those_of_the_passages(folder: Path) -> None:
    english = XquadR(str(folder), ("de",), "paragraph", "multilingual", "none", "x_y", ("en",))
    (example,) = english.examples("dev", Problems())
    assert [example.query.text, *(twin.text for twin in example.twins)] == ["Welche?", "Which?"]
    assert [query.text for query in english.queries("dev", Problems())] == ["Welche?"]
    assert [judgement.query_id for judgement in english.judgements("dev", Problems())] == ["de:q1"]


def test_paragraphs_are_the_other_unit_and_judging_may_stay_in_a_language(folder: Path) -> None:
    benchmark = XquadR(str(folder), ("en", "de"), "paragraph", "monolingual", "none", "x_x")
    assert [passage.text for passage in benchmark.passages(Problems())] == ["One is.Two are.", "Eins ist."]
    assert list(benchmark.judgements("dev", Problems())) == [
        Judgement("en:q1", "en_0", 1),
        Judgement("de:q1", "de_0", 1),
    ]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (paragraph("One is.", [[0, 7]], "?", 7), "answer_start must be in a sentence, got 7"),
        (paragraph("One is.", [[0, 8]], "?", 0), "within the 7 characters"),
        (paragraph("One is.", [], "?", 0), "within the 7 characters"),
        ({"context": "x", "sentence_breaks": "a", "qas": []}, "must be a list of pairs of whole numbers, got 'a'"),
        ({"sentence_breaks": [], "qas": []}, "field 'data\\[0\\]\\.paragraphs\\[0\\]\\.context'"),
    ],
)
def test_what_does_not_fit_is_named(write: Write, bad: dict, says: str) -> None:
    folder = write("en.json", squad(bad)).parent
    with pytest.raises(DataError, match=says):
        list(XquadR(str(folder), ("en",), "sentence", "monolingual", "none", "x_x").queries("dev", Problems()))


def test_held_out_articles_are_paired_as_the_regime_says(write: Write) -> None:
    articles = [paragraph(f"{n}. One.", [[0, 7]], "?", 3) for n in range(3)]
    for number, article in enumerate(articles):
        article["qas"][0]["id"] = f"q{number}"
    text = json.dumps({"data": [{"paragraphs": [article]} for article in articles]})
    write("de.json", text)
    folder = str(write("en.json", text).parent)
    pairs = {}
    for regime in ("en_en", "x_x", "x_y"):
        benchmark = XquadR(folder, ("en", "de"), "sentence", "monolingual", "articles", regime)
        examples = list(benchmark.examples("train", Problems()))
        pairs[regime] = sorted((e.query.query_id, e.positives[0].passage_id) for e in examples)
        assert {query.query_id for query in benchmark.queries("dev", Problems())} == {"en:q2", "de:q2"}
        assert len(list(benchmark.passages(Problems()))) == 6
    assert pairs["en_en"] == [("en:q0", "en_0_0"), ("en:q1", "en_1_0")]
    assert pairs["x_x"] == [("de:q0", "de_0_0"), ("de:q1", "de_1_0"), *pairs["en_en"]]
    assert len(pairs["x_y"]) == 8
    assert ("de:q1", "en_1_0") in pairs["x_y"]


def test_questions_in_every_language_may_search_the_passages_of_one(folder: Path) -> None:
    benchmark = XquadR(str(folder), ("en", "de"), "paragraph", "multilingual", "none", "x_y", ("en",))
    assert [passage.passage_id for passage in benchmark.passages(Problems())] == ["en_0"]
    assert {query.query_id for query in benchmark.queries("dev", Problems())} == {"en:q1", "de:q1"}
    relevant = {("en:q1", "en_0"), ("de:q1", "en_0")}
    assert {(j.query_id, j.passage_id) for j in benchmark.judgements("dev", Problems())} == relevant
    assert {(e.query.query_id, e.positives[0].passage_id) for e in benchmark.examples("dev", Problems())} == relevant
    with pytest.raises(DataError, match="no question is asked in a language of the passages"):
        XquadR(str(folder), ("de",), "paragraph", "monolingual", "none", "x_y", ("en",))


def test_articles_can_be_split_three_ways(real_data: Callable[[str], Path]) -> None:
    folder = str(real_data("xquad-r"))
    benchmark = XquadR(folder, ("en", "th"), "paragraph", "multilingual", "three_way", "x_y", ("en",))
    found = {}
    for split in ("train", "dev", "test"):
        examples = list(benchmark.examples(split, Problems()))
        found[split] = {example.positives[0].passage_id for example in examples}
        assert {example.query.language for example in examples} == {"en", "th"}
        assert len(list(benchmark.queries(split, Problems()))) == len(examples)
        assert len(list(benchmark.judgements(split, Problems()))) == len(examples)
    assert [len(passages) for passages in found.values()] == [120, 40, 80]
    assert len(set().union(*found.values())) == 240
    halves = replace(benchmark, holdout="questions")
    train, dev, test = ({e.query.query_id for e in halves.examples(split, Problems())} for split in ("train", "dev", "test"))
    assert not train & (dev | test)
    assert {e.query.query_id for e in benchmark.examples("test", Problems())} - train == test
    assert len({e.positives[0].passage_id for e in halves.examples("train", Problems())}) == 240


def test_a_language_that_the_benchmark_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="XQuAD-R has no 'fi'"):
        XquadR(str(tmp_path), ("en", "fi"), "sentence", "monolingual", "none", "x_x")


def test_the_real_files_have_the_published_counts(real_data: Callable[[str], Path]) -> None:
    folder = str(real_data("xquad-r"))
    expected = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852}
    expected |= {"tr": 1167, "vi": 1209, "zh": 1196}
    for language, num_sentences in expected.items():
        benchmark = XquadR(folder, (language,), "sentence", "monolingual", "none", "x_x")
        passages = list(benchmark.passages(Problems()))
        queries = list(benchmark.queries("dev", Problems()))
        assert (len(passages), len(queries)) == (num_sentences, 1190)
        assert len({passage.passage_id for passage in passages}) == num_sentences
    both = XquadR(folder, ("en", "ar"), "sentence", "multilingual", "none", "x_x")
    assert len(list(both.judgements("dev", Problems()))) == 4 * 1190
