"""XNLI: a premise finds the hypothesis that it entails, across fifteen languages.

xnli.dev.tsv and xnli.test.tsv (XNLI-1.0.zip) have a header, and a line for each pair and language. A premise has three
hypotheses: one it entails, one it contradicts, and a neutral one. multinli.train.{lang}.tsv (XNLI-MT-1.0.zip) are MultiNLI's
training pairs and their machine translations, which are aligned by line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from xdr.benchmarks.parallel import Judge, Parallel, Regime, checked_languages, parallel_examples, parallel_judgements
from xdr.data.benchmark import SPLITS, Benchmark, checked_splits
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems
from xdr.data.rows import Row
from xdr.data.tables import read_table
from xdr.storage.places import place
from xdr.text.languages import XNLI
from xdr.text.records import Judgement, Passage, Query, TrainingExample

_LABELS = {"entailment": True, "neutral": False, "contradiction": False, "contradictory": False}


class _Pair(NamedTuple):
    premise: Query
    hypothesis: Passage
    entailed: bool


@dataclass(frozen=True)
class Xnli(Benchmark):
    """Queries are premises in `languages`; passages are all hypotheses of the `splits` in `passage_languages`, the two that are
    not entailed included; None: the same languages. The relevant hypothesis is the entailed one in the premise's own language
    (`judge` = `monolingual`) or in all passage languages (`multilingual`). Training pairs premises and hypotheses as `regime`
    says."""

    path: str
    languages: tuple[str, ...]
    judge: Judge
    splits: tuple[str, ...]
    regime: Regime
    passage_languages: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        asked, pool = checked_languages("XNLI", XNLI, self.languages, self.passage_languages, self.judge, self.regime)
        object.__setattr__(self, "languages", asked)
        object.__setattr__(self, "passage_languages", pool)
        object.__setattr__(self, "splits", checked_splits(self.splits, SPLITS))

    @property
    def _pool(self) -> tuple[str, ...]:
        return self.passage_languages or self.languages

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for split in self.splits for file in self._files(split, self._pool))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for split in self.splits:
            for pair in self._pairs(split, self._pool, problems):
                yield pair.hypothesis

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        """Those of an entailed hypothesis, each once."""
        for item in self._parallel(split, self.languages, problems):
            yield from item.wordings

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        regime = self.regime if split == "train" else None
        return parallel_examples(self._parallel(split, self._both(), problems), self.languages, regime)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        return parallel_judgements(self._parallel(split, self._both(), problems), self.languages, self.judge)

    def _both(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.languages, *self._pool)))

    def _parallel(self, split: str, languages: tuple[str, ...], problems: Problems) -> Iterable[Parallel]:
        """The premises that entail a hypothesis, in all these languages."""
        by_id: dict[str, Parallel] = {}
        for pair in self._pairs(split, languages, problems) if split in self.splits else ():
            if pair.entailed:
                item = by_id.setdefault(pair.premise.query_id.split(":", 1)[1], Parallel([], []))
                if pair.premise not in item.wordings:
                    item.wordings.append(pair.premise)
                if pair.hypothesis.language in self._pool:
                    item.passages.append(pair.hypothesis)
        return by_id.values()

    def _pairs(self, split: str, languages: tuple[str, ...], problems: Problems) -> Iterator[_Pair]:
        if split != "train":
            (path,) = self._files(split, languages)
            yield from read_table(path, problems, None, lambda row: _evaluation_pair(row, split, languages))
            return
        for language, path in zip(languages, self._files(split, languages), strict=True):
            yield from read_table(path, problems, None, partial(_training_pair, language))

    def _files(self, split: str, languages: tuple[str, ...]) -> list[Path]:
        names = [f"multinli.train.{code}.tsv" for code in languages] if split == "train" else [f"xnli.{split}.tsv"]
        return [require_file(plain_or_gzipped(place(self.path) / name)) for name in names]


def _evaluation_pair(row: Row, split: str, languages: tuple[str, ...]) -> _Pair | None:
    language = row.language("language")
    if language not in languages:
        return None
    ids = f"{language}:{split}-{row.identifier('promptID')}", f"{split}_{language}_{row.identifier('pairID')}"
    return _pair(row, language, ids, ("sentence1", "sentence2", "gold_label"))


def _training_pair(language: str, row: Row) -> _Pair:
    ids = f"{language}:train-{row.line}", f"train_{language}_{row.line}"
    return _pair(row, language, ids, ("premise", "hypo", "label"))


def _pair(row: Row, language: str, ids: tuple[str, str], columns: tuple[str, str, str]) -> _Pair:
    premise, hypothesis, label = columns
    if (given := row.text(label).strip()) not in _LABELS:
        raise row.error(f"must be entailment, neutral or contradiction, got '{given}'", label)
    query = Query(ids[0], row.text(premise), language)
    return _Pair(query, Passage(ids[1], "", row.text(hypothesis), language), _LABELS[given])
