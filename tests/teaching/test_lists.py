import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.errors import DataError, UserError
from xdr.storage.ledger import ShardLedger
from xdr.teaching.lists import Lists, TaughtList, read_lists
from xdr.teaching.scores import KIND, open_scores, scored, shares_of_positives, write_scores
from xdr.teaching.settings import ListSettings
from xdr.teaching.taught_examples import examples_with_scores
from xdr.text.records import Passage, Query, TrainingExample

PASSAGES = {f"p{i}": Passage(f"p{i}", "", f"text {i}") for i in range(1, 7)}
P1, P2, P3, P4, P5, P6 = PASSAGES.values()
LAKE = TrainingExample(Query("lake", "Missä Saimaa on?", "fi"), (P1,), (P2, P3), twins=(Query("lake", "Where?", "en"),))
RIVER = TrainingExample(Query("river", "Где Волга?", "ru"), (P2,), (P3,), twins=(Query("river", "Wo?", "de"),))
ENGLISH = TrainingExample(Query("who", "Who?", "en"), (P3, P4))


@dataclass(frozen=True)
class Data(Benchmark):
    folder: str
    trained: tuple[TrainingExample, ...] = (LAKE, RIVER, ENGLISH)

    def passage_sources(self) -> tuple[Path, ...]:
        return ()

    def passages(self, problems: Problems) -> Iterator[Passage]:
        yield from PASSAGES.values()

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        yield from self.trained if split == "train" else ()


def settings(view: str = "original", translations: str | None = None, candidates: str | None = None) -> ListSettings:
    return ListSettings(view, translations, candidates, 3, 2)  # type: ignore[arg-type]  # the tests' own text


def lists_of(folder: Path, wanted: ListSettings, *examples: TrainingExample) -> tuple[Lists, Problems]:
    problems = Problems()
    return read_lists(Data(str(folder), examples or Data.trained), wanted, folder / "artifacts", problems), problems


def shown(lists: Lists) -> list[str]:
    return [f"{one.query.text} {one.num_positives} {' '.join(p.passage_id for p in one.passages)}" for one in lists.lists]


def run_file(folder: Path, **rankings: str) -> str:
    lines = [
        f"{query} Q0 {passage} {rank} {-rank} t" for query, ids in rankings.items() for rank, passage in enumerate(ids.split())
    ]
    (folder / "run.trec").write_text("\n".join(lines) + "\n")
    return str(folder / "run.trec")


def test_a_list_has_the_positives_of_a_query_and_then_its_negatives(tmp_path: Path) -> None:
    lists, problems = lists_of(tmp_path, settings())
    assert shown(lists) == ["Missä Saimaa on? 1 p1 p2 p3", "Где Волга? 1 p2 p3"]
    assert problems.report() == ["1 training queries without candidates were left out"]
    assert lists.num_pairs == 5


def test_examples_of_one_query_make_one_list_without_its_positives_as_candidates(tmp_path: Path) -> None:
    again = TrainingExample(LAKE.query, (P2,), (P4,))
    assert shown(lists_of(tmp_path, settings(), LAKE, again)[0]) == ["Missä Saimaa on? 2 p1 p2 p3 p4"]


def test_candidates_of_a_run_take_the_place_of_the_negatives(tmp_path: Path) -> None:
    run = run_file(tmp_path, lake="p5 p1 p6 p4", who="p3 p1", other="p1")
    lists, problems = lists_of(tmp_path, settings(candidates=run))
    assert shown(lists) == ["Missä Saimaa on? 1 p1 p5 p6", "Who? 2 p3 p4 p1"]
    assert problems.report() == ["1 training queries without candidates were left out"]


def test_a_teacher_reads_the_twin_in_the_language_of_the_passages(tmp_path: Path) -> None:
    run = run_file(tmp_path, lake="p5", who="p1", river="p4")
    lists, problems = lists_of(tmp_path, settings("translation", candidates=run))
    assert shown(lists) == ["Where? 1 p1 p5", "Who? 2 p3 p4 p1"]
    assert [one.query.language for one in lists.lists] == ["en", "en"]
    assert problems.report() == ["1 training queries without a translation were left out"]


def test_translations_come_from_a_file_by_id_or_from_aligned_files_by_words(tmp_path: Path) -> None:
    rows = [{"query_id": "river", "query": "Where is the Volga?"}, {"query_id": "lake", "query": "Wo?", "lang": "de"}]
    (tmp_path / "translated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_id, _ = lists_of(tmp_path, settings("translation", str(tmp_path / "translated.jsonl")))
    assert [(one.query.query_id, one.query.text, one.query.language) for one in by_id.lists] == [
        ("lake", "Wo?", "de"),
        ("river", "Where is the Volga?", "en"),
    ]
    pair = tmp_path / "pairs" / "ru-en"
    pair.mkdir(parents=True)
    (pair / "ru.txt").write_text("Кто?\n\nГде Волга? \n")
    (pair / "en.txt").write_text("Who?\nThe other line is blank.\nWhere does it flow?\n")
    by_words, _ = lists_of(tmp_path, settings("translation", str(tmp_path / "pairs")))
    assert shown(by_words) == ["Where does it flow? 1 p2 p3"]


def test_the_fingerprint_is_that_of_what_is_read(tmp_path: Path) -> None:
    original, translated = (lists_of(tmp_path, settings(view))[0] for view in ("original", "translation"))
    assert original.fingerprint != translated.fingerprint
    assert original.fingerprint == lists_of(tmp_path, settings())[0].fingerprint
    changed = TrainingExample(LAKE.query, (P1,), (P2, Passage("p3", "", "another text")))
    assert lists_of(tmp_path, settings(), LAKE)[0].fingerprint != lists_of(tmp_path, settings(), changed)[0].fingerprint


def test_lists_that_cannot_be_are_refused_in_a_sentence(tmp_path: Path) -> None:
    pair = tmp_path / "fi-en"
    pair.mkdir()
    (pair / "fi.txt").write_text("Missä?\nKuka?\n")
    (pair / "en.txt").write_text("Where?\n")
    (tmp_path / "other.jsonl").write_text('{"query_id": "other", "query": "Who?"}\n')
    other = run_file(tmp_path, other="p1")
    for wanted, examples, says in (
        (settings(), (ENGLISH,), "teacher.candidates must be a TREC run for data without negatives, got null"),
        (settings(candidates=other), (), "ranks passages for none of the 3 training queries. Is it of other data"),
        (settings("translation"), (RIVER,), "the data translates none of the 1 training queries. Give teacher.translations"),
        (
            settings("translation", str(tmp_path / "other.jsonl")),
            (),
            "other.jsonl translates none of the 3 training queries. Is",
        ),
        (settings("translation", str(tmp_path)), (), "fi-en: both files must end with the same line, got 2 and 1"),
    ):
        with pytest.raises((UserError, DataError), match=says):
            lists_of(tmp_path, wanted, *examples)
    with pytest.raises(UserError, match="teacher.translations must be null with teacher.view=original, got x"):
        settings(translations="x")
    with pytest.raises(UserError, match="teacher.depth must be at least 1, got 0"):
        ListSettings("original", None, None, 0, 2)


class Lengths:
    """A teacher that prefers passages with high numbers."""

    def score(self, queries: list[Query], passages: list[Passage]) -> list[float]:
        return [len(query.text) + int(passage.passage_id[1:]) / 3 for query, passage in zip(queries, passages, strict=True)]


def taught(folder: Path, lists: Lists) -> Path:
    ledger = ShardLedger.create(folder / "scores", KIND, len(lists), {})
    for shard, one in enumerate(lists.lists):
        with ledger.writing(shard) as partial:
            write_scores(scored(Lengths(), [one]), partial)  # type: ignore[arg-type]  # lists are sequences
    (folder / "taught.json").write_text(json.dumps({"scores": str(folder / "scores")}))
    return folder


def test_scores_come_back_in_the_precision_of_float32(tmp_path: Path) -> None:
    lists, _ = lists_of(tmp_path, settings())
    scores = dict(open_scores(str(taught(tmp_path, lists))))
    assert scores == {"lake": {"p1": 16.333334, "p2": 16.666666, "p3": 17.0}, "river": {"p2": 10.666667, "p3": 11.0}}
    assert shares_of_positives(lists, scores.items()) == {"all": 0.0, "fi": 0.0, "ru": 0.0}
    better = Lists([lists.lists[0]._replace(passages=(P3, P1), num_positives=1), lists.lists[1]])
    assert shares_of_positives(better, scores.items()) == {"all": 0.5, "fi": 1.0, "ru": 0.0}


def test_training_examples_get_the_scores_and_the_scored_passages_as_negatives(tmp_path: Path) -> None:
    lists, _ = lists_of(tmp_path, settings(candidates=run_file(tmp_path, lake="p5 p1 p6 p4", who="p3 p1")))
    problems = Problems()
    lake, who = examples_with_scores(Data(""), str(taught(tmp_path, lists)), tmp_path / "artifacts", problems)
    assert (lake.positives, lake.negatives) == ((P1,), (P5, P6))
    assert (lake.positive_scores, lake.negative_scores) == ((16.333334,), (17.666666, 18.0))
    assert (who.positives, who.negatives, who.positive_scores) == ((P3, P4), (P1,), (5.0, 5.3333335))
    assert lake.twins == LAKE.twins
    assert problems.report() == ["1 training examples without a teacher's scores were left out"]


def test_a_positive_of_another_example_of_the_query_is_no_negative(tmp_path: Path) -> None:
    again = TrainingExample(LAKE.query, (P2,), (P4,))
    lists, _ = lists_of(tmp_path, settings(), LAKE, again)
    folder = str(taught(tmp_path, lists))
    examples = examples_with_scores(Data("", (LAKE, again)), folder, tmp_path / "artifacts", Problems())
    assert [(one.positives, one.negatives) for one in examples] == [((P1,), (P3, P4)), ((P2,), (P3, P4))]


def test_scores_of_other_data_are_refused(tmp_path: Path) -> None:
    folder = str(taught(tmp_path, lists_of(tmp_path, settings(), LAKE)[0]))
    other = TrainingExample(LAKE.query, (P6,))
    for examples, says in (
        ((RIVER,), "has scores for none of the 1 training examples. Is it of other data"),
        ((other,), "must have scores of all passages that answer query 'lake', got none of 'p6'. Is it of other data"),
    ):
        with pytest.raises(UserError, match=says):
            examples_with_scores(Data("", examples), folder, tmp_path / "artifacts", Problems())
    with pytest.raises(UserError, match="data.teacher_scores must be an output folder of stage=teach, got nowhere"):
        open_scores("nowhere")


def test_a_score_that_is_no_number_is_refused(tmp_path: Path) -> None:
    class Broken:
        def score(self, queries: list[Query], passages: list[Passage]) -> list[float]:
            return [float("nan")] * len(queries)

    with pytest.raises(UserError, match="scores must be finite, got nan for passage 'p1' of query 'lake'"):
        scored(Broken(), [TaughtList(LAKE.query, (P1,), 1)])  # type: ignore[arg-type]  # lists are sequences
