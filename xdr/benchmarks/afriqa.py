"""AfriQA: questions in ten African languages, answers in English or French passages.

gold_passages/{lang}/gold_span_passages.afriqa.{lang}.{en|fr}.{split}.json are JSON lines under the name .json. Ids count from 0
in every file, so a query's id here is `lang-split-number`. Some passages have no title, and some no text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from xdr.data.benchmark import SPLITS, Benchmark, Holdout, distinct_positives, is_in_split, released_split
from xdr.data.lines import require_file
from xdr.data.problems import Problems
from xdr.data.rows import Row, read_rows
from xdr.errors import DataError
from xdr.storage.places import place
from xdr.text.languages import AFRIQA, language_codes, three_letter_code
from xdr.text.records import Passage, Query, TrainingExample, content_id


@dataclass(frozen=True)
class AfriQa(Benchmark):
    """The collection has every passage of `gold_passages` in these languages once, whatever its split. A split has the
    questions with a passage. `questions` says whether they are asked in their own language or in that of the passages; the twin
    of each is the other one.

    Not every language has every split: Swahili has a test split alone, Yoruba has no dev split. With `holdout` = `tenth`,
    settings can be chosen without the release's dev split: `dev` has the train questions about a tenth of the passages, `train`
    the others, and `test` is the release's dev.
    """

    path: str
    languages: tuple[str, ...]
    questions: Literal["original", "translated"]
    holdout: Holdout = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        if foreign := [code for code in self.languages if code not in AFRIQA]:
            raise DataError(f"AfriQA has no '{foreign[0]}'", remedy=f"Its languages are {' '.join(AFRIQA)}")
        if not (place(self.path) / "gold_passages").is_dir():
            raise DataError("data.path must be AfriQA's folder `data`, which has a folder `gold_passages`", file=self.path)

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(file for language in self.languages for split in SPLITS for file in self._files(language, split))

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return distinct_positives(example for split in SPLITS for example in self._released(split, problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for example in self._released(released_split(split, self.holdout), problems):
            if is_in_split(example.positives[0].passage_id, split, self.holdout):
                yield example

    def _released(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for language in self.languages:
            for path in self._files(language, split):
                pivot = "fr" if ".fr." in path.name else "en"

                def parse(row: Row, language: str = language, pivot: str = pivot) -> TrainingExample | None:
                    if not row.has("context"):
                        problems.omitted["gold passages without text"] += 1
                        return None
                    return self._example(row, language, split, pivot)

                yield from read_rows(path, problems, parse)

    def _example(self, row: Row, language: str, split: str, pivot: str) -> TrainingExample:
        query_id, answers = f"{language}-{split}-{row.identifier('id')}", row.object("answer_pivot").texts("text")
        wordings = [("question_lang", language), ("question_translated", pivot)]
        (asked, asked_in), (other, other_in) = wordings if self.questions == "original" else wordings[::-1]
        query = Query(query_id, row.text(asked), asked_in, answers)
        twins = (Query(query_id, twin, other_in, answers),) if (twin := row.optional_text(other).strip()) else ()
        title, context = row.optional_text("title"), row.text("context")
        return TrainingExample(query, (Passage(content_id(title, context), title, context, pivot),), twins=twins)

    def _files(self, language: str, split: str) -> list[Path]:
        """The files of a split; none where the release has none."""
        parent = place(self.path) / "gold_passages"
        names = (language, three_letter_code(language))
        folders = [folder for name in dict.fromkeys(names) if (folder := parent / name).is_dir()]
        if not folders:
            raise DataError(f"there is no folder for '{language}'", file=parent, remedy="Remove it from data.languages")
        return [require_file(file) for folder in folders for file in sorted(folder.glob(f"*.{split}.json*"))]
