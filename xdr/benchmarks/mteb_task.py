"""A retrieval task of MTEB: its passages, queries and judgements, and its own scores of the rankings that xdr found.

Data sets come from the hub, or from a folder in the same layout: `corpus`, `queries` and `qrels`, or `SUBSET-corpus` and so on.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xdr.data.benchmark import Benchmark, Run
from xdr.data.problems import Problems
from xdr.data.rows import Row
from xdr.errors import DataError, UserError, did_you_mean, first_line
from xdr.text.languages import find_language
from xdr.text.records import Judgement, Passage, Query

_SPLITS = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}


@dataclass(frozen=True)
class MtebTask(Benchmark):
    """`subset` and `split` are of the task's, where it has several. The split `validation` is `dev`. A subset of one language
    has its queries and passages in that language; of two languages, `language` is that of the queries. `path` is a folder with
    the data set; None: the hub."""

    task: str
    subset: str | None
    split: str | None
    path: str | None
    language: str | None
    passage_language: str | None
    revision: str = field(init=False, default="")
    """Of the data set: another one is another collection."""

    def __post_init__(self) -> None:
        for name in ("language", "passage_language"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, find_language(given).code)
        if self.path is not None and not Path(self.path).expanduser().is_dir():
            raise DataError("data.path must be a folder in the hub's layout, or null for the hub", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        object.__setattr__(self, "revision", str(self._task.metadata.dataset["revision"]))
        folder = Path(self.path).expanduser() if self.path else None
        return tuple(sorted(file for file in folder.rglob("*") if file.is_file())) if folder else ()

    def passages(self, problems: Problems) -> Iterator[Passage]:
        for row in self._rows("corpus"):
            if row.optional_text("text").strip():
                yield Passage(row.identifier("id"), row.optional_text("title"), row.text("text"), self._languages[1])
            else:
                problems.omitted["documents without text"] += 1

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        if self._split in _SPLITS[split]:
            for row in self._rows("queries"):
                yield Query(row.identifier("id"), row.text("text"), self._languages[0])

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        if self._split in _SPLITS[split]:
            for query_id, judged in self._data["relevant_docs"].items():
                for passage_id, relevance in judged.items():
                    yield Judgement(query_id, passage_id, relevance)

    def write_results(self, split: str, read_runs: Callable[[], Mapping[str, Run]], folder: Path) -> None:
        """`FOLDER/mteb/SYSTEM/TASK.json`, as `mteb` writes it, with its own metrics."""
        import mteb

        quiet: dict[str, Any] = {"cache": None, "co2_tracker": False, "show_progress_bar": False}
        for system, run in read_runs().items():
            (result,) = mteb.evaluate(_Ranked(run, system), self._task, **quiet).task_results
            file = folder / "mteb" / system / f"{self.task}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            result.to_disk(file)

    def _rows(self, kind: str) -> Iterator[Row]:
        for number, values in enumerate(self._data[kind], 1):
            yield Row(values, f"{self.task} {self._subset} {self._split} {kind}", number)

    @property
    def _split(self) -> str:
        return str(self._task.eval_splits[0])

    @property
    def _data(self) -> Any:
        data = self._task.dataset[self._subset][self._split]
        if data["top_ranked"]:
            raise DataError(f"data.task must be a retrieval task, got {self.task}, which ranks given candidates")
        return data

    @property
    def _subset(self) -> str:
        return str(self.subset or next(iter(self._task.dataset)))

    @cached_property
    def _languages(self) -> tuple[str, str]:
        """Of the queries and of the passages."""
        scripts = self._task.metadata.hf_subsets_to_langscripts[self._subset]
        named = [find_language(script.split("-")[0]).code for script in scripts]
        if len(set(named)) == 1:
            return self.language or named[0], self.passage_language or named[0]
        if self.language is None or self.passage_language is None:
            raise UserError(
                f"data.language and data.passage_language must be given for {self.task} {self._subset}, which is in "
                f"{' and '.join(named)}"
            )
        return self.language, self.passage_language

    @cached_property
    def _task(self) -> Any:
        """With its data."""
        try:
            import datasets
            import mteb
        except ImportError as error:
            raise UserError("data=mteb needs the package `mteb`. Run pip install 'xdr[mteb]'") from error
        logging.getLogger("mteb").setLevel(logging.WARNING)
        datasets.disable_progress_bars()
        try:
            task: Any = mteb.get_task(self.task)
        except KeyError as error:
            names = [one.metadata.name for one in mteb.get_tasks(task_types=["Retrieval"])]
            remedy = did_you_mean(self.task, names)
            raise UserError(f"data.task must be a task of MTEB, got '{self.task}'; {remedy}".rstrip("; ")) from error
        if task.metadata.type != "Retrieval":
            raise UserError(f"data.task must be a retrieval task of MTEB, got {self.task}, a task of {task.metadata.type}")
        for name, known in (("subset", list(task.hf_subsets)), ("split", list(task.eval_splits))):
            asked = getattr(self, name)
            if asked not in known and (asked is not None or len(known) > 1):
                raise UserError(f"data.{name} must be one of {', '.join(known)} for {self.task}, got {asked or 'null'}")
        chosen: dict[str, Any] = {"hf_subsets": [self.subset]} if self.subset else {}
        task = mteb.get_task(self.task, **chosen | ({"eval_splits": [self.split]} if self.split else {}))
        if self.path is not None:
            local = {**task.metadata.dataset, "path": str(Path(self.path).expanduser())}
            task.metadata = task.metadata.model_copy(update={"dataset": local})
        try:
            task.load_data()
        except Exception as error:  # of any library that reads data sets
            source = f"the folder {self.path}" if self.path else f"the hub's {task.metadata.dataset['path']}"
            remedy = "Is there a network? A copy on the disk works too: data.path=FOLDER"
            raise DataError(f"{source} cannot be read: {first_line(error)}", file=self.task, remedy=remedy) from error
        task.convert_v1_dataset_format_to_v2(None)
        return task


class _Ranked:
    """A model of MTEB that has searched already."""

    def __init__(self, run: Run, name: str) -> None:
        from mteb.models.model_meta import ModelMeta

        self._run = run
        self.mteb_model_meta = ModelMeta.create_empty({"name": f"xdr/{name}", "revision": "1"})

    def index(self, corpus: Any, **settings: Any) -> None:
        pass

    def search(self, queries: Any, *, top_k: int, **settings: Any) -> dict[str, dict[str, float]]:
        return {query_id: dict(list(self._run[query_id].items())[:top_k]) for query_id in queries["id"]}
