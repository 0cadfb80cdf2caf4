import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xdr.benchmarks.tydi_qa import TydiQaGold, TydiQaPrimary
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Judgement, Query, content_id

Write = Callable[[str, str | bytes], Path]

TEXT = "\nSaimaa on järvi.\nSe on iso.\n"
ARTICLE = content_id("Saimaa", TEXT)


def gold(*questions: tuple[str, str]) -> str:
    """Writes questions, given as (id, context). As in the release, each is in a separate article."""
    articles = []
    for key, context in questions:
        qas = [{"id": key, "question": f"{key}?", "answers": [{"text": context[:3], "answer_start": 0}]}]
        articles.append({"title": "T", "paragraphs": [{"context": context, "qas": qas}]})
    return json.dumps({"version": "TyDiQA-GoldP-1.1", "data": articles})


def annotated(*indices: int) -> str:
    """A line of the primary task, annotated once for each index."""
    ends = [18, 29]  # of the passages, in bytes: "ä" has two
    return json.dumps(
        {
            "annotations": [{"passage_answer": {"candidate_index": index}, "yes_no_answer": "NONE"} for index in indices],
            "document_plaintext": TEXT,
            "document_title": "Saimaa",
            "example_id": -7 - len(indices),
            "language": "finnish",
            "passage_answer_candidates": [
                {"plaintext_start_byte": start, "plaintext_end_byte": end} for start, end in zip([1, 19], ends, strict=True)
            ],
            "question_text": "Mikä Saimaa on?",
        }
    )


def test_gold_passages_are_each_there_once_and_questions_name_their_language(write: Write) -> None:
    write("tydiqa-goldp-v1.1-train.json", gold(("finnish-1-0", "Yksi."), ("russian-2-1", "Два."), ("finnish-3-0", "Yksi.")))
    folder = str(write("tydiqa-goldp-v1.1-dev.json", gold(("finnish-4-0", "Kaksi."), ("korean-5-0", "셋."))).parent)
    benchmark = TydiQaGold(folder, ("fi", "ru"), "none")
    passages = [(passage.text, passage.language) for passage in benchmark.passages(Problems())]
    assert passages == [("Yksi.", "fi"), ("Два.", "ru"), ("Kaksi.", "fi")]
    assert list(benchmark.queries("dev", Problems())) == [Query("finnish-4-0", "finnish-4-0?", "fi", ("Kak",))]
    assert list(benchmark.judgements("dev", Problems())) == [Judgement("finnish-4-0", content_id("T", "Kaksi."), 1)]
    assert list(benchmark.examples("test", Problems())) == []


def test_a_tenth_of_the_gold_passages_can_be_held_out(write: Write) -> None:
    write("tydiqa-goldp-v1.1-train.json", gold(*((f"finnish-{n}-0", f"Teksti {n}.") for n in range(40))))
    folder = str(write("tydiqa-goldp-v1.1-dev.json", gold(("finnish-x-0", "Kaksi."))).parent)
    released, held_out = (TydiQaGold(folder, ("fi",), holdout) for holdout in ("none", "tenth"))
    train, dev, test = (list(held_out.examples(split, Problems())) for split in ("train", "dev", "test"))
    assert sorted(train + dev, key=str) == sorted(released.examples("train", Problems()), key=str)
    assert 0 < len(dev) < len(train)
    assert test == list(released.examples("dev", Problems()))


@pytest.mark.parametrize(
    ("indices", "relevant"),
    [
        ((1,), [1]),  # train: one annotator
        ((-1,), None),
        ((0, -1, -1), None),  # dev: three
        ((0, -1, 1), [0, 1]),
        ((1, 1, 1), [1]),
    ],
)
def test_a_question_is_asked_if_enough_annotators_found_a_passage(
    write: Write, indices: tuple[int, ...], relevant: list[int] | None
) -> None:
    folder = str(write("tydiqa-v1.0-dev.jsonl", annotated(*indices)).parent)
    benchmark = TydiQaPrimary(folder, ("fi",), ("dev",), "none")
    passages = {passage.passage_id: passage.text for passage in benchmark.passages(Problems())}
    assert passages == {f"fi-{ARTICLE}-0": "Saimaa on järvi.", f"fi-{ARTICLE}-1": "Se on iso."}
    query_id = f"fi-{-7 - len(indices)}"
    judged = [Judgement(query_id, f"fi-{ARTICLE}-{number}", 1) for number in relevant or []]
    assert list(benchmark.judgements("dev", Problems())) == judged
    assert list(benchmark.queries("dev", Problems())) == ([Query(query_id, "Mikä Saimaa on?", "fi")] if relevant else [])
    assert list(benchmark.queries("train", Problems())) == []


def test_an_article_of_several_questions_is_there_once_and_other_languages_are_left_out(write: Write) -> None:
    folder = str(write("tydiqa-v1.0-train.jsonl", f"{annotated(0)}\n{annotated(1)}\n").parent)
    assert len(list(TydiQaPrimary(folder, ("fi",), ("train",), "none").passages(Problems()))) == 2
    assert list(TydiQaPrimary(folder, ("ko",), ("train",), "none").passages(Problems())) == []


def test_a_tenth_of_the_articles_can_be_held_out(write: Write) -> None:
    lines = [json.dumps({**json.loads(annotated(0)), "document_title": f"T{n}", "example_id": n}) for n in range(40)]
    write("tydiqa-v1.0-train.jsonl", "\n".join(lines))
    folder = str(write("tydiqa-v1.0-dev.jsonl", annotated(1, 1, 1)).parent)
    released, held_out = (TydiQaPrimary(folder, ("fi",), ("train", "dev"), holdout) for holdout in ("none", "tenth"))
    train, dev, test = (list(held_out.examples(split, Problems())) for split in ("train", "dev", "test"))
    assert sorted(train + dev, key=str) == sorted(released.examples("train", Problems()), key=str)
    assert 0 < len(dev) < len(train)
    assert test == list(released.examples("dev", Problems()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"language": "finish"}, "field 'language'"),
        ({"passage_answer_candidates": []}, r"must have the passage 0 of an annotation, got 0"),
        ({"document_plaintext": "ääääääääääää"}, "plaintext_start_byte': must be the start of a character, got 1"),
        ({"annotations": [{"passage_answer": {}}]}, "field 'annotations\\[0\\].passage_answer.candidate_index'"),
    ],
)
def test_what_does_not_fit_is_named(write: Write, change: dict[str, Any], says: str) -> None:
    line = json.dumps({**json.loads(annotated(0)), **change})
    benchmark = TydiQaPrimary(str(write("tydiqa-v1.0-dev.jsonl", line).parent), ("fi",), ("dev",), "none")
    with pytest.raises(DataError, match=says):
        list(benchmark.examples("dev", Problems()))
