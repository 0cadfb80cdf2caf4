"""The sample collection: 144 passages and their questions in eight languages, written for this project.

It stands beside this file in XOR-TyDi's formats. A question is about a fact of its passage. No training question, in any
language, asks about a fact of a dev question.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xdr.benchmarks.xor_tydi import read_gold_paragraphs, read_questions
from xdr.data.benchmark import Benchmark
from xdr.data.passage_tsv import read_passage_tsv
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Passage, Query, TrainingExample

FOLDER = Path(__file__).parent / "sample_collection"

_QUESTIONS = {"train": "xor_train_retrieve_eng_span.jsonl", "dev": "xor_dev_retrieve_eng_span_v1_1.jsonl"}
_EXAMPLES = {"train": "gp_squad_train_data.json", "dev": "gp_squad_dev_data.json"}


@dataclass(frozen=True)
class Sample(Benchmark):
    def passage_sources(self) -> tuple[Path, ...]:
        return (FOLDER / "passages.tsv",)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return read_passage_tsv(FOLDER / "passages.tsv", problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        if split in _QUESTIONS:
            yield from read_questions(FOLDER / _QUESTIONS[split], problems)

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        """The passages have the ids of the collection."""
        if split in _EXAMPLES:
            yield from read_gold_paragraphs(FOLDER / _EXAMPLES[split], problems, self._passage_id)

    @cached_property
    def _ids(self) -> dict[tuple[str, str], str]:
        return {(passage.title, passage.text): passage.passage_id for passage in self.passages(Problems())}

    def _passage_id(self, title: str, text: str) -> str:
        if (title, text) not in self._ids:
            raise DataError(f"'{title}' is not in passages.tsv with this text", file=FOLDER)
        return self._ids[title, text]
