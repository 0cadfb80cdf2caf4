"""AfriQA: questions in ten African languages, answers in English or French passages.

queries/{lang}/queries.afriqa.{lang}.{en|fr}.{split}.json and gold_passages/{lang}/gold_span_passages.afriqa.{...}.json are JSON
lines under the name .json. Ids count from 0 in every file, so a query's id here is `lang-split-number`. Answers of the
queries are lists written as Python literals; some passages have no title, and some no text at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.data.benchmark import SPLITS, Benchmark, require_choice
from xdr.data.lines import require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, json_rows
from xdr.errors import DataError
from xdr.text.languages import AFRIQA, language_codes, three_letter_code
from xdr.text.records import Passage, Query, TrainingExample, content_id


@dataclass(frozen=True)
class AfriQa(Benchmark):
    """The collection has every passage of `gold_passages` in these languages once, whatever its split. A split has the
    questions with a passage. `questions` says whether they are asked in their own language or in that of the passages.

    Not every language has every split: Swahili has a test split alone, Yoruba has no dev split.
    """

    path: str
    languages: tuple[str, ...]
    questions: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        require_choice(self, "questions", ("original", "translated"))
        if foreign := [code for code in self.languages if code not in AFRIQA]:
            raise DataError(f"AfriQA has no '{foreign[0]}'", remedy=f"Its languages are {' '.join(AFRIQA)}")
        if not (Path(self.path).expanduser() / "gold_passages").is_dir():
            raise DataError("data.path must be AfriQA's folder `data`, which has a folder `gold_passages`", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for language in self.languages for split in SPLITS for file in self._files(language, split))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        seen: set[str] = set()
        for split in SPLITS:
            for example in self.examples(split, problems):
                (passage,) = example.positives
                if passage.passage_id not in seen:
                    seen.add(passage.passage_id)
                    yield passage

    def queries(self, split: str, problems: Problems) -> Iterator[Query]:
        for example in self.examples(split, problems):
            yield example.query

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for language in self.languages:
            for path in self._files(language, split):
                pivot = "fr" if ".fr." in path.name else "en"

                def parse(row: Row, language: str = language, pivot: str = pivot) -> TrainingExample | None:
                    if not row.has("context"):
                        problems.omitted["gold passages without text"] += 1
                        return None
                    return self._example(row, language, split, pivot)

                for example in parse_each(json_rows(path, problems), parse, problems, str(path)):
                    if example is not None:
                        yield example

    def all_questions(self, split: str, problems: Problems) -> Iterator[Query]:
        """The questions of `queries/`, also those without a passage. Answers are in the question's language."""
        for language in self.languages:
            for path in self._files(language, split, "queries"):
                prefix = f"{language}-{split}"

                def parse(row: Row, prefix: str = prefix) -> Query:
                    query_id = f"{prefix}-{row.identifier('id')}"
                    return Query(query_id, row.text("question"), row.language("lang"), row.texts("answers"))

                yield from parse_each(json_rows(path, problems), parse, problems, str(path))

    def _example(self, row: Row, language: str, split: str, pivot: str) -> TrainingExample:
        original = self.questions == "original"
        text = row.text("question_lang" if original else "question_translated")
        answers = row.object("answer_pivot").texts("text")
        query = Query(f"{language}-{split}-{row.identifier('id')}", text, language if original else pivot, answers)
        title, context = row.optional_text("title"), row.text("context")
        return TrainingExample(query, (Passage(content_id(title, context), title, context, pivot),))

    def _files(self, language: str, split: str, kind: str = "gold_passages") -> list[Path]:
        """The files of a split; none where the release has none."""
        parent = Path(self.path).expanduser() / kind
        names = (language, three_letter_code(language))
        folders = [folder for name in dict.fromkeys(names) if (folder := parent / name).is_dir()]
        if not folders:
            raise DataError(f"there is no folder for '{language}'", file=parent, remedy="Remove it from data.languages")
        return [require_file(file) for folder in folders for file in sorted(folder.glob(f"*.{split}.json*"))]
