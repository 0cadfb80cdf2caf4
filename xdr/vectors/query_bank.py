"""The bank of a correction: texts that stand for the queries of users. Importing this module does not import torch.

A sample takes one text of every passage before it takes a second one of any, and which text that is depends on the seed and on
ids alone: not on the order of files, shards or processes.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from xdr.data.benchmark import Benchmark
from xdr.data.lines import read_lines, require_file
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.data.rows import Row, json_rows
from xdr.data.training_set import key_of
from xdr.errors import DataError, UserError
from xdr.storage.fingerprint import Json, fingerprint
from xdr.text.languages import language_codes
from xdr.writing.generated_store import GeneratedStore

GENERATED, TRAIN, PASSAGES = "generated", "train", "passages"


class BankText(NamedTuple):
    """`source_id` names the passage or query that the text belongs to, `text_id` the text among those of one source. `row` is
    that of the passage which the text is or asks about, None where it is not known."""

    source_id: str
    text_id: str
    text: str
    language: str
    row: int | None


@dataclass(frozen=True)
class OpenedBank:
    """The sampled texts. `rows` are those of all passages that texts ask about, before sampling; None where no row is known.
    With `of_passages`, each text is the passage of its row."""

    source: str
    texts: tuple[BankText, ...]
    rows: frozenset[int] | None

    @property
    def of_passages(self) -> bool:
        return self.source == PASSAGES

    @property
    def fingerprint(self) -> str:
        texts: list[Json] = [text.row if self.of_passages else text.text for text in self.texts]
        return fingerprint([self.of_passages, texts])


@dataclass(frozen=True)
class QueryBank:
    """Where the texts come from: `generated` (the queries that were generated for the passages), `train` (the training
    queries), `passages` (the passages themselves), or a file. None: generated queries where there are some, else training
    queries. `size` is the number of texts (0: all), `languages` theirs (None: all)."""

    source: str | None
    size: int
    languages: list[str] | None
    seed: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise UserError(f"correction.bank.size must be at least 0 (0: all texts), got {self.size}")
        if self.languages is not None:
            object.__setattr__(self, "languages", list(language_codes(self.languages)))

    def open(self, benchmark: Benchmark, store: PassageStore, generated: GeneratedStore | None) -> OpenedBank:
        source = self.source or (GENERATED if generated is not None else TRAIN)
        rows: set[int] = set()

        def wanted() -> Iterator[BankText]:
            for text in self._candidates(source, benchmark, store, generated):
                if self.languages is None or text.language in self.languages:
                    if text.row is not None:
                        rows.add(text.row)
                    yield text

        texts = sample(wanted(), self.size, self.seed)
        if not texts:
            among = "" if self.languages is None else f" in {' '.join(self.languages)}"
            raise UserError(f"correction.bank must have at least one text, got none{among} from {source}. {_REMEDY}")
        return OpenedBank(source, texts, frozenset(rows) or None)

    def _candidates(
        self, source: str, benchmark: Benchmark, store: PassageStore, generated: GeneratedStore | None
    ) -> Iterator[BankText]:
        if source == GENERATED:
            if generated is None:
                raise UserError(f"correction.bank.source=generated needs augmentation=generated_queries. {_REMEDY}")
            return _generated(generated)
        if source == TRAIN:
            return _training_queries(benchmark, store)
        if source == PASSAGES:
            return (BankText(p.passage_id, "", p.text, p.language, row) for row, p in enumerate(store))
        return _file(require_file(source))


_REMEDY = "Choose another source: generated, train, passages or a file"


def sample(texts: Iterable[BankText], size: int, seed: int) -> tuple[BankText, ...]:
    """`size` texts (0: all), in the order of their ids. Texts of one source must come one after the other. Memory holds the
    sample alone."""
    if not size:
        return tuple(sorted(texts))
    chosen = heapq.nsmallest(size, _ranked(texts, seed))
    return tuple(sorted(text for _, _, text in chosen))


def _ranked(texts: Iterable[BankText], seed: int) -> Iterator[tuple[int, int, BankText]]:
    """Each text with its place among those of its source, in an order that depends on the seed."""
    for _, of_source in groupby(texts, key=lambda text: text.source_id):
        keyed = sorted((key_of(f"{seed} {text.source_id} {text.text_id}"), text) for text in of_source)
        for place, (key, text) in enumerate(keyed):
            yield place, key, text


def _generated(generated: GeneratedStore) -> Iterator[BankText]:
    for row, of_passage in enumerate(generated):
        for language, texts in of_passage.texts.items():
            for place, text in enumerate(texts):
                yield BankText(of_passage.source_id, f"{language}/{place}", text, language, row)


def _training_queries(benchmark: Benchmark, store: PassageStore) -> Iterator[BankText]:
    """Queries without a relevant passage in the collection have no row."""
    problems = Problems(strict=False)
    relevant = [j for j in benchmark.judgements("train", problems) if j.relevance > 0]
    row_of = dict(zip((j.query_id for j in relevant), store.rows([j.passage_id for j in relevant]), strict=True))
    for query in benchmark.queries("train", problems):
        yield BankText(query.query_id, "", query.text, query.language, row_of.get(query.query_id))


def _file(path: Path) -> Iterator[BankText]:
    """JSON lines with `query` and optionally `query_id` and `lang`; TSV (`id, query, [language]`); else one query a line."""
    name = path.name.removesuffix(".gz")
    problems = Problems(strict=True)
    if name.endswith((".jsonl", ".json")):
        for number, row in enumerate(json_rows(path, problems)):
            text_id = row.identifier("query_id") if row.has("query_id") else str(number)
            yield BankText(text_id, "", row.text("query"), row.language("lang", ""), None)
        return
    for number, line in read_lines(path, problems):
        yield _of_line(path, number, line, is_tsv=name.endswith(".tsv"))


def _of_line(path: Path, number: int, line: str, *, is_tsv: bool) -> BankText:
    if not is_tsv:
        return BankText(str(number), "", line.strip(), "", None)
    fields = line.split("\t")
    if len(fields) not in (2, 3):
        raise DataError(f"must be id, query and maybe language, got {len(fields)} fields", file=path, line=number)
    language = Row({"lang": fields[2]}, path, number).language("lang") if len(fields) == 3 else ""
    return BankText(fields[0], "", fields[1], language, None)
