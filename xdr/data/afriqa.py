"""AfriQA: questions in ten African languages, answers in English or French passages.

queries/{lang}/queries.afriqa.{lang}.{en|fr}.{split}.json and gold_passages/{lang}/gold_span_passages.afriqa.{...}.json are JSON
lines under the name .json. Ids count from 0 in every file, so a query's id here is `lang-split-number`. Answers of the
queries are lists written as Python literals; some gold passages have no title, and some no text at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.lines import require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, json_rows
from xdr.errors import DataError
from xdr.text.languages import AFRIQA, LANGUAGES, language_codes
from xdr.text.records import Judgement, Passage, Query, TrainingExample, content_id


@dataclass(frozen=True)
class AfriQa:
    """The passages are the gold ones of every split and language asked for, each once. Queries are those that have one:
    the others cannot be found in this collection. `questions` is `original`, or `translated` to the passages' language."""

    path: str
    languages: tuple[str, ...]
    questions: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        if self.questions not in ("original", "translated"):
            raise DataError(f"data.questions is one of original, translated, and '{self.questions}' came")
        if foreign := [code for code in self.languages if code not in AFRIQA]:
            raise DataError(f"AfriQA has no '{foreign[0]}'", remedy=f"It has {' '.join(AFRIQA)}")
        if not (Path(self.path).expanduser() / "gold_passages").is_dir():
            raise DataError("AfriQA's folder `data`, with `gold_passages` in it, is wanted", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for language in self.languages for split in ("train", "dev") for file in self._files(language, split))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        seen: set[str] = set()
        for split in ("train", "dev"):
            for example in self._examples(split, problems):
                (passage,) = example.positives
                if passage.passage_id not in seen:
                    seen.add(passage.passage_id)
                    yield passage

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for example in self._examples(split, problems):
            yield example.query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        yield from self._examples(split, problems)

    def judgements(self, split: str, problems: Problems) -> Iterator[Judgement]:
        for example in self._examples(split, problems):
            yield Judgement(example.query.query_id, example.positives[0].passage_id, 1)

    def all_questions(self, split: str, problems: Problems) -> Iterator[Query]:
        """Of `queries/`: also those without a gold passage, answered in the question's language."""
        for language in self.languages:
            for path in self._files(language, split, "queries"):
                prefix = f"{language}-{split}"

                def parse(row: Row, prefix: str = prefix) -> Query:
                    query_id = f"{prefix}-{row.identifier('id')}"
                    return Query(query_id, row.text("question"), row.language("lang"), row.texts("answers"))

                yield from parse_each(json_rows(path, problems), parse, problems, str(path))

    def _examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for language in self.languages:
            for path in self._files(language, split):
                pivot = "fr" if ".fr." in path.name else "en"
                question = (language, "question_lang") if self.questions == "original" else (pivot, "question_translated")
                prefix = f"{language}-{split}"

                def parse(
                    row: Row, prefix: str = prefix, pivot: str = pivot, question: tuple[str, str] = question
                ) -> TrainingExample | None:
                    if not row.has("context"):
                        problems.omitted["gold passages without text"] += 1
                        return None
                    query_language, field = question
                    answers = row.object("answer_pivot").texts("text")
                    query = Query(f"{prefix}-{row.identifier('id')}", row.text(field), query_language, answers)
                    title, text = row.optional_text("title"), row.text("context")
                    return TrainingExample(query, (Passage(content_id(title, text), title, text, pivot),))

                for example in parse_each(json_rows(path, problems), parse, problems, str(path)):
                    if example is not None:
                        yield example

    def _files(self, language: str, split: str, kind: str = "gold_passages") -> list[Path]:
        """The file of a split, or none: the release has no gold passages for the dev questions in Yoruba."""
        spellings = (language, *LANGUAGES[language].aliases)
        folders = [folder for name in spellings if (folder := Path(self.path).expanduser() / kind / name).is_dir()]
        if not folders:
            raise DataError(f"there is no folder for '{language}'", file=Path(self.path) / kind, remedy="Drop the language")
        return [require_file(file) for folder in folders for file in sorted(folder.glob(f"*.{split}.json*"))]
