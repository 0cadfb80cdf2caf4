"""TyDi QA: questions in eleven languages about Wikipedia articles in the same language.

Gold passage task (nine languages): tydiqa-goldp-v1.1-{split}.json in SQuAD's layout, whose question ids begin with the name of
the language. Primary task: tydiqa-v1.0-{split}.jsonl.gz, a question with its whole article, cut into candidate passages by
offsets in bytes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xdr.benchmarks.squad import paragraph_rows, spans_of
from xdr.data.benchmark import Benchmark, Holdout, checked_splits, distinct_positives, is_in_split, released_split
from xdr.data.lines import plain_or_gzipped, require_file
from xdr.data.problems import Problems, parse_each
from xdr.data.rows import Row, read_rows
from xdr.storage.places import place
from xdr.text.languages import language_codes
from xdr.text.records import Passage, Query, TrainingExample, content_id

_FILES = ("train", "dev")


@dataclass(frozen=True)
class TydiQaGold(Benchmark):
    """A passage is the paragraph that answers a question. The collection has those of train and dev, each once, in these
    languages. The release has no test split with answers: with `holdout` = `tenth`, `dev` has the train questions about a tenth
    of the passages, `train` the others, and `test` is the release's dev."""

    path: str
    languages: tuple[str, ...]
    holdout: Holdout

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(self._file(split) for split in _FILES)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        return distinct_positives(example for split in _FILES for example in self._released(split, problems))

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        for example in self._released(released_split(split, self.holdout), problems):
            if is_in_split(example.positives[0].passage_id, split, self.holdout):
                yield example

    def _released(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        if split not in _FILES:
            return
        path = self._file(split)
        questions = ((article, row, question) for _, article, row in paragraph_rows(path) for question in row.objects("qas"))
        yield from parse_each(questions, self._example, problems, str(path))

    def _example(self, rows: tuple[Row, Row, Row]) -> TrainingExample | None:
        article, paragraph, question = rows
        query_id = question.identifier("id")
        language = question.code_of(query_id.split("-", 1)[0], "id")
        if language not in self.languages:
            return None
        title, text = article.optional_text("title"), paragraph.text("context")
        query = Query(query_id, question.text("question"), language, spans_of(question))
        return TrainingExample(query, (Passage(content_id(title, text), title, text, language),))

    def _file(self, split: str) -> Path:
        return require_file(plain_or_gzipped(place(self.path) / f"tydiqa-goldp-v1.1-{split}.json"))


@dataclass(frozen=True)
class TydiQaPrimary(Benchmark):
    """A passage is a candidate of an article. The collection has all candidates of the articles of these `splits` and
    languages: a question searches all articles, not only the one that it was asked about. The questions are those for which an
    annotator found a passage that answers it; in dev two of three annotators, as in the official script. Every passage that one
    of them chose is relevant. Yes/no questions are among them. With `holdout` = `tenth`, `dev` has the train questions about a
    tenth of the articles, `train` the others, and `test` is the release's dev."""

    path: str
    languages: tuple[str, ...]
    splits: tuple[str, ...]
    holdout: Holdout

    def __post_init__(self) -> None:
        object.__setattr__(self, "languages", language_codes(self.languages))
        object.__setattr__(self, "splits", checked_splits(self.splits, _FILES))

    def passage_sources(self) -> tuple[Path, ...]:
        return tuple(self._file(split) for split in self.splits)

    def passages(self, problems: Problems) -> Iterator[Passage]:
        """Several questions may have one article."""
        seen: set[str] = set()

        def parse(row: Row) -> list[Passage]:
            language = row.language("language")
            if language not in self.languages or (article := _article_id(row, language)) in seen:
                return []
            seen.add(article)
            numbers = range(len(row.objects("passage_answer_candidates")))
            return [passage for passage in _candidates(row, language, numbers) if passage.text.strip()]

        for split in self.splits:
            for passages in read_rows(self._file(split), problems, parse):
                yield from passages

    def examples(self, split: str, problems: Problems) -> Iterator[TrainingExample]:
        released = released_split(split, self.holdout)
        for example in read_rows(self._file(released), problems, self._example) if released in self.splits else ():
            if is_in_split(example.positives[0].passage_id.split("-")[1], split, self.holdout):
                yield example

    def _example(self, row: Row) -> TrainingExample | None:
        language = row.language("language")
        chosen = [annotation.object("passage_answer").integer("candidate_index") for annotation in row.objects("annotations")]
        found = [number for number in chosen if number >= 0]
        if language not in self.languages or len(found) < min(2, len(chosen)) or not found:
            return None
        positives = _candidates(row, language, sorted(set(found)))
        query = Query(f"{language}-{row.identifier('example_id')}", row.text("question_text"), language)
        return TrainingExample(query, tuple(positives))

    def _file(self, split: str) -> Path:
        return require_file(plain_or_gzipped(place(self.path) / f"tydiqa-v1.0-{split}.jsonl"))


def _article_id(row: Row, language: str) -> str:
    return f"{language}-{content_id(row.text('document_title'), row.text('document_plaintext'))}"


def _candidates(row: Row, language: str, numbers: Iterable[int]) -> list[Passage]:
    """These candidates of the article."""
    text, article = row.text("document_plaintext").encode(), _article_id(row, language)
    spans, passages = row.objects("passage_answer_candidates"), []
    for number in numbers:
        if number >= len(spans):
            raise row.error(f"must have the passage {number} of an annotation, got {len(spans)}", "passage_answer_candidates")
        start, end = spans[number].integer("plaintext_start_byte"), spans[number].integer("plaintext_end_byte")
        try:
            passage = text[start:end].decode()
        except UnicodeDecodeError:
            raise spans[number].error(f"must be the start of a character, got {start}", "plaintext_start_byte") from None
        passages.append(Passage(f"{article}-{number}", row.optional_text("document_title"), passage.strip(), language))
    return passages
