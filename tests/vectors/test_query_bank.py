import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.benchmarks.sample import Sample
from xdr.data.collection import open_collection
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import DataError, UserError
from xdr.vectors.query_bank import BankText, OpenedBank, QueryBank, sample
from xdr.writing.generated_source import import_generated
from xdr.writing.generated_store import GeneratedStore

Write = Callable[[str, str], Path]


def texts(num_passages: int, of_each: int) -> list[BankText]:
    return [BankText(f"p{p}", f"fi/{i}", f"text {p} {i}", "fi", p) for p in range(num_passages) for i in range(of_each)]


def test_a_sample_takes_one_text_of_every_passage_before_a_second_one() -> None:
    chosen = sample(texts(50, 7), 130, seed=0)
    counts = Counter(text.source_id for text in chosen)
    assert len(chosen) == 130 and len(counts) == 50 and set(counts.values()) == {2, 3}
    assert len({text.text_id for text in chosen}) == 7, "not the same place of every passage"
    assert len({text.source_id for text in sample(texts(50, 7), 20, seed=0)}) == 20


def test_a_sample_depends_on_seed_and_ids_alone() -> None:
    in_order = texts(30, 4)
    by_passage = [in_order[4 * p : 4 * p + 4] for p in range(30)]
    other_order = [text for of_passage in reversed(by_passage) for text in reversed(of_passage)]
    assert sample(in_order, 41, seed=3) == sample(other_order, 41, seed=3) != sample(in_order, 41, seed=4)
    reworded = [text._replace(text="?") for text in in_order]
    assert [t[:2] for t in sample(reworded, 41, seed=3)] == [t[:2] for t in sample(in_order, 41, seed=3)]
    assert sorted(sample(in_order, 0, seed=3)) == sorted(in_order) == sorted(sample(in_order, 1000, seed=3))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PassageStore:
    return open_collection(Sample(), tmp_path_factory.mktemp("store"), Problems(), lambda number: None)


@pytest.fixture(scope="module")
def generated(store: PassageStore, tmp_path_factory: pytest.TempPathFactory) -> GeneratedStore:
    """About the first 100 passages: one question in Finnish, two in Telugu."""
    folder = tmp_path_factory.mktemp("generated")
    lines = [
        {"docid": passage.passage_id, "generated_queries": {"fi": [f"fi {row}"], "te": [f"te {row}", f"te {row} b"]}}
        for row, passage in enumerate(store.slice(0, 100))
    ]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return import_generated([folder / "texts.jsonl"], store, folder, lambda number: None)


def opened(bank: QueryBank, store: PassageStore, generated: GeneratedStore | None = None) -> OpenedBank:
    return bank.open(Sample(), store, generated)


def test_generated_queries_are_the_default_where_there_are_some(store: PassageStore, generated: GeneratedStore) -> None:
    bank = opened(QueryBank(None, 0, None, 0), store, generated)
    assert (bank.source, len(bank.texts), bank.rows) == ("generated", 300, frozenset(range(100)))
    assert opened(QueryBank(None, 0, None, 0), store).source == "train"


def test_languages_limit_the_bank(store: PassageStore, generated: GeneratedStore) -> None:
    bank = opened(QueryBank("generated", 150, ["te"], 0), store, generated)
    assert len(bank.texts) == 150 and {text.language for text in bank.texts} == {"te"}
    assert Counter(Counter(text.row for text in bank.texts).values()) == {1: 50, 2: 50}
    with pytest.raises(UserError, match="must have at least one text, got none in ja from generated"):
        opened(QueryBank("generated", 0, ["ja"], 0), store, generated)


def test_training_queries_know_the_passages_that_they_ask_about(store: PassageStore) -> None:
    bank = opened(QueryBank("train", 0, None, 0), store)
    examples = list(Sample().examples("train", Problems()))
    assert sorted(text.text for text in bank.texts) == sorted(example.query.text for example in examples)
    row_of = dict(zip((p.passage_id for p in store), range(len(store)), strict=True))
    assert bank.rows == {row_of[example.positives[0].passage_id] for example in examples}


def test_passages_are_named_by_their_rows(store: PassageStore) -> None:
    bank = opened(QueryBank("passages", 10, None, 0), store)
    assert bank.of_passages and all(text.row is not None and store[text.row].text == text.text for text in bank.texts)
    assert bank.rows == frozenset(range(len(store)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"query_id": "7", "query": "missä?", "lang": "fi"}\n{"query": "ఎక్కడ?", "lang": "Telugu"}\n'),
        ("a.tsv", "7\tmissä?\tfi\n8\tఎక్కడ?\tte\n"),
        ("a.txt", "missä?\n\nఎక్కడ?\n"),
    ],
)
def test_a_bank_is_read_from_a_file(name: str, content: str, store: PassageStore, write: Write) -> None:
    file = write(name, content)
    bank = opened(QueryBank(str(file), 0, None, 0), store)
    assert sorted(text.text for text in bank.texts) == ["missä?", "ఎక్కడ?"] and bank.rows is None
    if not name.endswith("txt"):
        assert [text.text for text in opened(QueryBank(str(file), 0, ["te"], 0), store).texts] == ["ఎక్కడ?"]


def test_the_fingerprint_changes_with_the_texts_alone(store: PassageStore, generated: GeneratedStore, write: Write) -> None:
    plain = opened(QueryBank(str(write("a.txt", "one\ntwo\n")), 0, None, 0), store)
    assert plain.fingerprint == opened(QueryBank(str(write("b.txt", "one\ntwo\n")), 2, None, 9), store).fingerprint
    assert plain.fingerprint != opened(QueryBank(str(write("c.txt", "one\ntree\n")), 0, None, 0), store).fingerprint


def test_what_is_no_bank_is_refused(store: PassageStore, write: Write) -> None:
    with pytest.raises(UserError, match="source=generated needs augmentation=generated_queries. Choose another source"):
        opened(QueryBank("generated", 0, None, 0), store)
    with pytest.raises(UserError, match=r"size must be at least 0 \(0: all texts\), got -1"):
        QueryBank(None, -1, None, 0)
    with pytest.raises(DataError, match="there is no such file"):
        opened(QueryBank("trian", 0, None, 0), store)
    with pytest.raises(DataError, match="must be id, query and maybe language, got 1 fields"):
        opened(QueryBank(str(write("a.tsv", "missä?\n")), 0, None, 0), store)
