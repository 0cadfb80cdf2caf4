"""Bring your own: a folder of JSON lines, plain or gzipped.

corpus.jsonl      docid, title, text, [lang]
queries.jsonl     query_id, query, lang, [answers], [split]        no split: dev
qrels.tsv         TREC's four columns                              optional; judged dev queries are validated on
train.jsonl       Tevatron's format                                optional
generated.jsonl   docid, generated_queries: {lang: [text, ...]}    optional
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import SPLITS, Benchmark
from xdr.data.generated_queries import read_generated_queries
from xdr.data.lines import require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.qrels import read_qrels
from xdr.data.rows import Row, json_rows
from xdr.data.tevatron import language_in_row, read_corpus, read_training_examples
from xdr.errors import DataError, did_you_mean
from xdr.text.records import GeneratedTexts, Judgement, Passage, Query, TrainingExample


@dataclass(frozen=True)
class CollectionFolder(Benchmark):
    path: str

    def __post_init__(self) -> None:
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            near = did_you_mean(folder.name, [f.name for f in folder.parent.iterdir()]) if folder.parent.is_dir() else ""
            raise DataError("data.path must be a folder, and there is none of that name", file=folder, remedy=near)
        require_file(self._file("corpus.jsonl"))

    def passage_sources(self) -> tuple[Path, ...]:
        return (self._file("corpus.jsonl"),)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return read_corpus(self._file("corpus.jsonl"), problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        """Of one split. An id is that of one query in the whole file."""
        seen: set[str] = set()

        def parse(row: Row) -> Query | None:
            query = Query(row.identifier("query_id"), row.text("query"), row.language("lang"), row.texts("answers"))
            its_split = row.optional_text("split") or "dev"
            if its_split not in SPLITS:
                raise row.error(f"a split is one of {', '.join(SPLITS)}, and '{its_split}' came", "split")
            if query.query_id in seen:
                raise row.error(f"the id '{query.query_id}' was there before", "query_id", "Ids are unique")
            seen.add(query.query_id)
            return query if its_split == split else None

        source = self._file("queries.jsonl")
        for query in parse_each(json_rows(source, problems), parse, problems, str(source)):
            if query is not None:
                yield query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        """Those to train on are train.jsonl's; else a query is one with the passages that qrels.tsv finds relevant."""
        source = self._file("train.jsonl")
        if split == "train" and source.exists():
            yield from read_training_examples(source, problems, language_in_row)
            return
        relevant: dict[str, list[str]] = {}
        for judgement in self.judgements(split, problems):
            if judgement.relevance > 0:
                relevant.setdefault(judgement.query_id, []).append(judgement.passage_id)
        wanted = {passage_id for passage_ids in relevant.values() for passage_id in passage_ids}
        passages = self._passages_of(wanted, problems) if wanted else {}
        for query in self.queries(split, problems) if relevant else ():
            if positives := tuple(passages[each] for each in relevant.get(query.query_id, ()) if each in passages):
                yield TrainingExample(query, positives)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        """Those of the split's queries; one about a query that the folder lacks is an error."""
        source = self._file("qrels.tsv")
        if not source.exists():
            return
        by_split = {name: {query.query_id for query in self.queries(name, Problems(strict=False))} for name in SPLITS}
        known = set().union(*by_split.values())
        for judgement in read_qrels(source, problems):
            if judgement.query_id not in known:
                remedy = did_you_mean(judgement.query_id, known) or "Add the query to queries.jsonl, or remove the line"
                problem = f"the query '{judgement.query_id}' is not in queries.jsonl"
                problems.skip(DataError(problem, file=source, field="query_id", remedy=remedy))
            elif judgement.query_id in by_split[split]:
                yield judgement

    def generated_file(self) -> Path | None:
        source = self._file("generated.jsonl")
        return source if source.exists() else None

    def generated_queries(self, problems: Problems) -> Iterator[GeneratedTexts]:
        if source := self.generated_file():
            yield from read_generated_queries(source, problems)

    def _passages_of(self, wanted: set[str], problems: Problems) -> dict[str, Passage]:
        """The corpus is read no further than to the last of them."""
        found: dict[str, Passage] = {}
        for passage in self.passages(problems):
            if passage.passage_id in wanted:
                found[passage.passage_id] = passage
                if len(found) == len(wanted):
                    return found
        for passage_id in sorted(wanted - found.keys()):
            problem = f"the passage '{passage_id}' is not in {self._file('corpus.jsonl').name}"
            problems.skip(
                DataError(problem, file=self._file("qrels.tsv"), remedy="Are judgements and passages of one release?")
            )
        return found

    def _file(self, name: str) -> Path:
        """`name`, or `name.gz` where only that is there."""
        plain = Path(self.path).expanduser() / name
        gzipped = plain.with_name(name + ".gz")
        if plain.exists() and gzipped.exists():
            raise DataError(f"there is a {gzipped.name} beside it; which one is meant?", file=plain, remedy="Remove one")
        return gzipped if gzipped.exists() else plain
