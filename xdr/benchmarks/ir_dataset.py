"""A data set of ir_datasets, by its id: its documents, queries and judgements, which that package downloads and checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xdr.data.benchmark import SPLITS, Benchmark
from xdr.data.problems import Problems
from xdr.data.rows import Row
from xdr.errors import DataError, UserError, did_you_mean, first_line
from xdr.text.languages import find_language
from xdr.text.records import Judgement, Passage, Query


@dataclass(frozen=True)
class IrDataset(Benchmark):
    """`split` is the one that the queries of this id count as. Languages are None for what the package says."""

    id: str
    split: str
    language: str | None
    passage_language: str | None

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UserError(f"data.split must be one of {', '.join(SPLITS)}, got {self.split}")
        for name in ("language", "passage_language"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, find_language(given).code)

    def passage_sources(self) -> tuple[Path, ...]:
        """None: the package knows the checksum of each file that an id stands for."""
        return ()

    def passages(self, problems: Problems) -> Iterator[Passage]:
        language = self._language("passage_language", "docs")
        for row in self._rows("docs"):
            title = row.optional_text("title")
            text = row.optional_text("text" if row.has("text") else "default_text").strip()
            if text or title:
                yield Passage(row.identifier("doc_id"), title if text else "", text or title, language)
            else:
                problems.omitted["documents without text"] += 1

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        if split == self.split:
            language = self._language("language", "queries")
            for row in self._rows("queries"):
                yield Query(row.identifier("query_id"), row.text("default_text"), language)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        if split == self.split:
            for row in self._rows("qrels"):
                yield Judgement(row.identifier("query_id"), row.identifier("doc_id"), row.integer("relevance"))

    def _rows(self, kind: str) -> Iterator[Row]:
        """Records of the package, with the text that it takes as the one to search in as `default_text`."""
        if not getattr(self._dataset, f"has_{kind}")():
            raise DataError(f"data.id must have {kind}, and {self.id} has none", file=self.id)
        records = iter(getattr(self._dataset, f"{kind}_iter")())
        number = 0
        while (record := self._reading(lambda: next(records, None))) is not None:
            number += 1
            text = {"default_text": record.default_text()} if hasattr(record, "default_text") else {}
            yield Row({**record._asdict(), **text}, f"{self.id} {kind}", number)

    def _language(self, name: str, kind: str) -> str:
        given = getattr(self, name) or getattr(self._dataset, f"{kind}_lang")()
        if given is None:
            raise UserError(f"data.{name} must be given for {self.id}, of which ir_datasets names none")
        return find_language(given).code

    @cached_property
    def _dataset(self) -> Any:
        try:
            import ir_datasets
        except ImportError as error:
            raise UserError("data=ir_datasets needs the package `ir_datasets`. Run pip install 'xdr[ir_datasets]'") from error
        try:
            return ir_datasets.load(self.id)  # reads nothing yet
        except KeyError:
            remedy = did_you_mean(self.id, ir_datasets.registry._registered)
            raise UserError(f"data.id must be one of ir_datasets', got '{self.id}'; {remedy}".rstrip("; ")) from None

    def _reading(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:  # of any library that downloads and unpacks
            remedy = "Is there a network, and does the data set need an agreement?"
            raise DataError(f"ir_datasets cannot read it: {first_line(error)}", file=self.id, remedy=remedy) from error
