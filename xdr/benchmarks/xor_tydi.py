"""XOR-TyDi: questions in seven languages, answers in English passages.

Official files: questions as JSON lines {id, question, answers, lang, split} (the test set has no answers); gold
paragraphs in SQuAD's layout, one paragraph and one question an item; passages as TSV. Tevatron's release adds hard
negatives to the training questions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from xdr.data.benchmark import Benchmark
from xdr.data.lines import require_file
from xdr.data.passage_tsv import read_passage_tsv
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, json_document, read_rows
from xdr.data.tevatron import read_training_examples
from xdr.storage.places import place
from xdr.text.records import Judgement, Passage, Query, TrainingExample, content_id


def read_questions(source: str | Path, problems: Problems) -> Iterator[Query]:
    seen: set[str] = set()

    def parse(row: Row) -> Query:
        query = Query(row.identifier("id"), row.text("question"), row.language("lang"), row.texts("answers"))
        if query.query_id in seen:
            raise row.error(f"ids must be unique, got '{query.query_id}' again", "id")
        seen.add(query.query_id)
        return query

    return read_rows(source, problems, parse)


def read_gold_paragraphs(
    path: str | Path, problems: Problems, passage_id: Callable[[str, str], str] = content_id
) -> Iterator[TrainingExample]:
    """One example for each question. Of questions with one id the first counts. `passage_id(title, text)` returns the passage's
    id, which the file does not have."""
    path = require_file(path)
    seen: set[str] = set()

    def parse(row: Row) -> TrainingExample | None:
        example = _gold_paragraph(row, passage_id)
        if example.query.query_id in seen:
            problems.omitted["gold paragraphs of a question that has one already"] += 1
            return None
        seen.add(example.query.query_id)
        return example

    return parse_each(json_document(path).objects("data"), parse, problems, str(path))


def _gold_paragraph(row: Row, passage_id: Callable[[str, str], str]) -> TrainingExample:
    paragraphs = row.objects("paragraphs")
    questions = paragraphs[0].objects("qas") if paragraphs else []
    if not questions:
        raise row.error("must have a paragraph with a question, got none", "paragraphs")
    question = questions[0]
    text = paragraphs[0].text("context").strip().replace("\n", " ")
    title = article_title(row.optional_text("title"))
    answers = tuple(answer.text("text") for answer in question.objects("answers"))
    query = Query(question.identifier("id"), question.text("question").strip(), question.language("lang"), answers)
    return TrainingExample(query, (Passage(passage_id(title, text), title, text),))


def article_title(title: str) -> str:
    """`Title:Volga_parentSection:Introduction_...` of the official file is the section `Introduction` of `Volga`."""
    title = title.strip()
    return title[6:].split("_parentSection", 1)[0] if title[:6].lower() == "title:" else title


@dataclass(frozen=True)
class XorTydi(Benchmark):
    """`path` is the folder of the files. Training examples come from `tevatron` (passages with hard negatives) or
    `gold_paragraphs` (one passage for each question); dev examples are gold paragraphs."""

    path: str
    train_file: str
    dev_file: str
    test_file: str
    passages_file: str
    tevatron_file: str
    gold_train_file: str
    gold_dev_file: str
    examples_from: Literal["tevatron", "gold_paragraphs"]

    def passage_sources(self) -> tuple[Path, ...]:
        return (self._file(self.passages_file),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return read_passage_tsv(self._file(self.passages_file), problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        names = {"train": self.train_file, "dev": self.dev_file, "test": self.test_file}
        return read_questions(self._file(names[split]), problems)

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        if self.examples_from == "tevatron" and split == "train":
            yield from read_training_examples(self._file(self.tevatron_file), problems, self._language_of)
        elif split in ("train", "dev"):
            name = self.gold_train_file if split == "train" else self.gold_dev_file
            yield from read_gold_paragraphs(self._file(name), problems)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        """None: XOR-TyDi scores by the answer's text."""
        yield from ()

    def _file(self, name: str) -> Path:
        return place(self.path) / name

    @cached_property
    def _language_by_question(self) -> dict[str, str]:
        questions = list(read_questions(self._file(self.train_file), Problems(strict=False)))
        return {key: query.language for query in questions for key in (query.query_id, query.text.strip())}

    def _language_of(self, row: Row) -> str:
        """Tevatron's lines have no language. It is taken from the official question of the same id or the same words, since ids
        changed between releases."""
        if row.has("lang"):
            return row.language("lang")
        known = self._language_by_question
        code = known.get(row.identifier("query_id")) or known.get(row.text("query").strip())
        if code is None:
            remedy = f"Add `lang` to the line, or the question to {self.train_file}"
            raise row.error(f"the line has no language, and the question is not in {self.train_file}", "lang", remedy)
        return code
