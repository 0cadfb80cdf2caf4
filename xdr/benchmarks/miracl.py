"""MIRACL: questions in 18 languages find passages of the Wikipedia in the same language.

The repositories miracl/miracl and miracl/miracl-corpus of the hub:
miracl-v1.0-{lang}/topics/topics.miracl-v1.0-{lang}-{split}.tsv   query id, query
miracl-v1.0-{lang}/qrels/qrels.miracl-v1.0-{lang}-{split}.tsv     TREC's four columns
miracl-corpus-v1.0-{lang}/docs-{number}.jsonl.gz                  docid, title, text
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from xdr.data.benchmark import Benchmark, Holdout, is_in_split, released_split
from xdr.data.judged import judged_examples
from xdr.data.lines import require_file
from xdr.data.problems import Problems
from xdr.data.qrels import read_qrels
from xdr.data.tables import read_table
from xdr.data.tevatron import read_corpus
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import MIRACL, language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample, content_id

_WITHOUT_TRAIN = ("de", "yo")
"""The languages that were revealed last."""


@dataclass(frozen=True)
class Miracl(Benchmark):
    """Languages share ids. With one language ids are the release's, as in its qrels; with several they are `lang:id`.

    `dev` is the release's dev; `test` has the queries of test-a and test-b, without judgements. With `holdout` = `tenth`,
    settings can be chosen without the release's dev split: `dev` has a tenth of the train queries, `train` the others, and
    `test` is the release's dev."""

    path: str
    languages: tuple[str, ...]
    holdout: Holdout

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        if foreign := [code for code in self.languages if code not in MIRACL]:
            raise DataError(f"MIRACL has no '{foreign[0]}'", remedy=f"Its languages are {' '.join(MIRACL)}")

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for language in self.languages for file in self._corpus(language))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for language in self.languages:
            yield from self._passages(language, problems)

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for language in self.languages:
            yield from self._queries(language, split, problems)

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for language in self.languages:
            queries = self._queries(language, split, problems)
            judgements = list(self._judgements(language, split, problems))
            if judgements:
                files = (self._folder(language), f"miracl-corpus-v1.0-{language}")
                yield from judged_examples(queries, judgements, self._passages(language, problems), problems, files)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        for language in self.languages:
            yield from self._judgements(language, split, problems)

    def _passages(self, language: str, problems: Problems) -> Iterator[Passage]:
        for file in self._corpus(language):
            passages = read_corpus(file, problems, language)
            if len(self.languages) == 1:  # English has 33 million
                yield from passages
            else:
                yield from (replace(passage, passage_id=self._id(language, passage.passage_id)) for passage in passages)

    def _queries(self, language: str, split: str, problems: Problems) -> Iterator[Query]:
        for file in self._files("topics", language, split):
            queries = read_table(
                file,
                problems,
                ("query id", "query"),
                lambda row: Query(self._id(language, row.identifier("query id")), row.text("query"), language),
            )
            yield from (query for query in queries if self._has(split, query.query_id))

    def _judgements(self, language: str, split: str, problems: Problems) -> Iterator[Judgement]:
        for file in self._files("qrels", language, split):
            for judged in read_qrels(file, problems):
                ids = self._id(language, judged.query_id), self._id(language, judged.passage_id)
                if self._has(split, ids[0]):
                    yield Judgement(*ids, judged.relevance)

    def _id(self, language: str, released: str) -> str:
        return released if len(self.languages) == 1 else f"{language}:{released}"

    def _has(self, split: str, query_id: str) -> bool:
        """Whether a query of the split's files is in the split."""
        return is_in_split(content_id("", query_id.rpartition(":")[2]), split, self.holdout)

    def _files(self, kind: str, language: str, split: str) -> list[Path]:
        """Topics or qrels. None where the release has none."""
        released = released_split(split, self.holdout)
        folder = self._folder(language) / kind
        if released == "test":
            return sorted(folder.glob(f"{kind}.miracl-v1.0-{language}-test-?.tsv"))
        if released == "train" and language in _WITHOUT_TRAIN:
            return []
        return [require_file(folder / f"{kind}.miracl-v1.0-{language}-{released}.tsv")]

    def _folder(self, language: str) -> Path:
        return self._named(f"miracl-v1.0-{language}")

    def _corpus(self, language: str) -> list[Path]:
        folder = self._named(f"miracl-corpus-v1.0-{language}")
        files = [file for pattern in ("docs-*.jsonl", "docs-*.jsonl.gz") for file in folder.glob(pattern)]
        if not files:
            raise DataError("the folder must have files docs-0.jsonl.gz, docs-1.jsonl.gz, ...", file=folder)
        return sorted(files, key=lambda file: int(file.name.split(".")[0].removeprefix("docs-")))

    def _named(self, name: str) -> Path:
        """A folder of the release, in `path` or in a folder of it, such as a clone of one of the two repositories."""
        path = place(self.path)
        for folder in (path / name, *sorted(path.glob(f"*/{name}"))):
            if folder.is_dir():
                return folder
        remedy = "Put clones of the hub's miracl/miracl and miracl/miracl-corpus there"
        raise DataError(f"data.path must have the folder {name}, or a folder that has it", file=path, remedy=remedy)
