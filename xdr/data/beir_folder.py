"""BEIR's folders, in which many retrieval benchmarks are published.

corpus.jsonl        _id, title, text, [metadata: {language}]
queries.jsonl       _id, text, [metadata: {language}]
qrels/{split}.tsv   query-id, corpus-id, score, with that header; the queries of a split are those it judges
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import SPLITS, Benchmark
from xdr.data.judged import judged_examples
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems
from xdr.data.qrels import relevance_of
from xdr.data.rows import Row, read_rows
from xdr.data.tables import read_table
from xdr.errors import DataError
from xdr.storage.files import creating_folder
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample

_HEADER = "query-id\tcorpus-id\tscore\n"


@dataclass(frozen=True)
class BeirFolder(Benchmark):
    """`language` is that of the queries, `passage_language` that of the passages, where the metadata name none. They do so in
    the folders that xdr writes."""

    path: str
    language: str
    passage_language: str

    def __post_init__(self) -> None:
        for name in ("language", "passage_language"):
            object.__setattr__(self, name, *language_codes([getattr(self, name)]))
        require_file(self._file("corpus.jsonl"))
        if not any(self._qrels(split).exists() for split in SPLITS):
            raise DataError("data.path must have qrels/train.tsv, dev.tsv or test.tsv, but there is none", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return (self._file("corpus.jsonl"),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        """A document that has a title alone is the title."""

        def parse(row: Row) -> Passage | None:
            passage_id, title, text = row.identifier("_id"), row.optional_text("title").strip(), row.optional_text("text")
            if text.strip():
                return Passage(passage_id, title, text, _language(row, self.passage_language))
            if title:
                return Passage(passage_id, "", title, _language(row, self.passage_language))
            problems.omitted["documents without text"] += 1
            return None

        return read_rows(self._file("corpus.jsonl"), problems, parse)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        missing = {judgement.query_id for judgement in self.judgements(split, problems)}
        if not missing:
            return

        def parse(row: Row) -> Query | None:
            query_id = row.identifier("_id")
            if query_id not in missing:
                return None
            missing.remove(query_id)
            return Query(query_id, row.text("text"), _language(row, self.language))

        yield from read_rows(self._file("queries.jsonl"), problems, parse)
        for query_id in sorted(missing):
            problems.skip(DataError(f"the query '{query_id}' is not in queries.jsonl", file=self._qrels(split)))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        queries, judgements = self.queries(split, problems), self.judgements(split, problems)
        return judged_examples(queries, judgements, self.passages(problems), problems, (self._qrels(split), "corpus.jsonl"))

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        def parse(row: Row) -> Judgement:
            try:
                relevance = relevance_of(row.text("score").strip())
            except ValueError as error:
                raise row.error(str(error), "score") from None
            return Judgement(row.identifier("query-id"), row.identifier("corpus-id"), relevance)

        if self._qrels(split).exists():
            yield from read_table(self._qrels(split), problems, None, parse)

    def _qrels(self, split: str) -> Path:
        return self._file(f"qrels/{split}.tsv")

    def _file(self, name: str) -> Path:
        return plain_or_gzipped(place(self.path) / name)


def _language(row: Row, default: str) -> str:
    return row.object("metadata").language("language", default) if row.has("metadata") else default


def write_beir_folder(
    benchmark: Benchmark, folder: Path, problems: Problems, progress: Callable[[int], None] = lambda number: None
) -> None:
    """All of it, or nothing. Queries without judgements are left out, as no split has them."""
    if folder.exists():
        raise DataError("there must be no such folder yet", file=folder, remedy="Remove it, or choose another output_dir")
    judged: dict[str, Query] = {}
    with creating_folder(folder) as partial:
        (partial / "qrels").mkdir()
        for split in SPLITS:
            if judgements := list(benchmark.judgements(split, problems)):
                lines = [f"{one.query_id}\t{one.passage_id}\t{one.relevance}\n" for one in judgements]
                (partial / "qrels" / f"{split}.tsv").write_text("".join([_HEADER, *lines]), encoding="utf-8")
                asked = {one.query_id for one in judgements}
                for query in benchmark.queries(split, problems):
                    if query.query_id in asked and judged.setdefault(query.query_id, query).text != query.text:
                        raise DataError(f"a query id must have one text, got two for '{query.query_id}'", file=folder)
        if not judged:
            raise DataError("a BEIR folder needs judgements, and this benchmark has none", file=folder)
        queries = ({"_id": one.query_id, "text": one.text, **_metadata(one.language)} for one in judged.values())
        _write_lines(partial / "queries.jsonl", queries, lambda number: None)
        passages = benchmark.passages(problems)
        corpus = ({"_id": one.passage_id, "title": one.title, "text": one.text, **_metadata(one.language)} for one in passages)
        _write_lines(partial / "corpus.jsonl", corpus, progress)


def _metadata(language: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"language": language}}


def _write_lines(path: Path, rows: Iterable[Mapping[str, object]], progress: Callable[[int], None]) -> None:
    number = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, row in enumerate(rows, 1):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            if number % 10_000 == 0:
                progress(number)
    progress(number)
