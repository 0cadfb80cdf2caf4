"""A collection in a language that no benchmark has."""

import json
from pathlib import Path

import pytest

from xdr.data.collection import open_collection
from xdr.data.collection_folder import CollectionFolder
from xdr.data.collection_summary import as_table, count_benchmark
from xdr.data.generated_queries import read_generated_queries
from xdr.data.problems import Problems
from xdr.data.training_set import texts_by_language, training_set
from xdr.text.identification import LanguageCheck, train_identifier
from xdr.text.prompts import published_prompt
from xdr.text.records import GeneratedTexts, Passage, Query

PASSAGES = {
    "p1": "O rio Amazonas nasce nos Andes e corre para o Atlântico.",
    "p2": "Lisboa é a capital de Portugal e fica junto ao Tejo.",
}
QUESTIONS = {"q1": "Onde nasce o rio Amazonas?", "q2": "Qual é a capital de Portugal?"}


def lines(*records: object) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "em_portugues"
    folder.mkdir()
    passages = [{"docid": key, "title": "", "text": text, "lang": "pt-BR"} for key, text in PASSAGES.items()]
    questions = [{"query_id": key, "query": text, "lang": "por"} for key, text in QUESTIONS.items()]
    positives = [{**passage, "score": 1.5} for passage in passages[:1]]
    (folder / "corpus.jsonl").write_text(lines(*passages))
    (folder / "queries.jsonl").write_text(lines(*questions))
    (folder / "qrels.tsv").write_text("q1 0 p1 1\nq2 0 p2 1\n")
    (folder / "train.jsonl").write_text(lines({**questions[0], "lang": "Portuguese", "positive_passages": positives}))
    (folder / "generated.jsonl").write_text(lines({"docid": "p1", "generated_queries": {"pt": ["Onde?"], "zh-Hant": []}}))
    return folder


def test_it_is_prepared_counted_and_shown(folder: Path, tmp_path: Path) -> None:
    benchmark = CollectionFolder(str(folder))
    store = open_collection(benchmark, tmp_path / "a", Problems())
    assert store.languages()[0] == ("pt-BR",)
    (counts,) = count_benchmark(benchmark, store, Problems())
    assert (counts.split, counts.language, counts.queries, counts.judged) == ("dev", "pt", 2, 2)
    (cell,) = as_table("Collection", [counts]).columns[1].cells
    assert cell == "pt  Portuguese"


def test_its_examples_and_generated_queries_keep_their_languages(folder: Path) -> None:
    benchmark = CollectionFolder(str(folder))
    (example,) = benchmark.examples("train", Problems())
    assert example.query == Query("q1", QUESTIONS["q1"], "pt")
    assert (example.positives[0].language, example.positive_scores) == ("pt-BR", (1.5,))
    assert training_set([example], {"portuguese": 2}).repeats.tolist() == [2.0]
    generated = read_generated_queries(folder / "generated.jsonl", Problems())
    assert list(generated) == [GeneratedTexts("p1", {"pt": ("Onde?",), "zh-Hant": ()})]


def test_its_prompts_name_the_language() -> None:
    passage = Passage("p", "", "Texto.")
    assert (
        published_prompt("query_from_passage", "prompt").render(passage, "pt")
        == "Generate a Portuguese question for this passage: Texto."
    )


def test_its_questions_are_told_from_english_ones(folder: Path) -> None:
    examples = list(CollectionFolder(str(folder)).examples("dev", Problems()))
    texts = {"pt": texts_by_language(examples)["pt"], "en": ["Where does the river rise?", "Which city is the capital?"]}
    check = LanguageCheck(train_identifier(texts))
    assert check.is_language("Onde fica a capital?", "pt") and not check.is_language("Where is the capital?", "pt")
    assert check.is_language("Onde?", "pt-BR")  # the identifier does not know it: only the script can decide
    assert not check.is_language("Где?", "pt-BR")
