"""JSON objects from files and hubs, with typed access to their fields. Every error names the file, the line and the field."""

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems, parse_each
from xdr.errors import DataError, did_you_mean, shown
from xdr.text.languages import find_language
from xdr.text.records import Passage

Record = TypeVar("Record")

_MISSING = object()
_LARGEST = 3e38
"""About the largest number of 32 bits."""


class Row:
    """A JSON object and its place in a file."""

    __slots__ = ("_values", "_within", "file", "line")

    def __init__(self, values: Mapping[str, Any], file: str | Path, line: int | None, within: str = "") -> None:
        self._values, self.file, self.line, self._within = values, file, line, within

    def has(self, field: str) -> bool:
        """The field is there and not null."""
        return self._values.get(field) is not None

    def fields(self) -> list[str]:
        return list(self._values)

    def text(self, field: str) -> str:
        """A string that is not blank."""
        value = self.optional_text(field)
        if not value or value.isspace():
            raise self._wrong(field, "a string that is not blank", self._get(field))
        return value

    def optional_text(self, field: str) -> str:
        """A string; '' if the field is empty, null or missing."""
        value = self._values.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(field, "a string", value)
        if "\0" in value or not _is_encodable(value):
            raise self._wrong(field, "text without NUL or half a surrogate pair", value)
        return value

    def identifier(self, field: str) -> str:
        """An id: a string, or a whole number as in some releases."""
        value = self._get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self._wrong(field, "a string or a whole number", value)
        identifier = self.text(field).strip()
        if len(identifier.split()) != 1:
            raise self._wrong(field, "without blanks, which separate the fields of TREC run files", value)
        return identifier

    def language(self, field: str, default: str | None = None) -> str:
        """The code of a language."""
        if default is not None and not self.has(field):
            return default
        return self.code_of(self.text(field), field)

    def code_of(self, spelling: str, field: str) -> str:
        """The code of the language that is spelled so in or beside the field."""
        try:
            return find_language(spelling).code
        except DataError as error:
            raise self.error(str(error), field) from None

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of strings; () if the field is null or missing. In some releases the list is a Python literal."""
        value = self._values.get(field)
        if value is None:
            return ()
        if isinstance(value, str):
            value = self._literal(field, value)
        if not isinstance(value, list) or not all(isinstance(item, str) and _is_encodable(item) for item in value):
            raise self._wrong(field, "a list of strings", value)
        return tuple(value)

    def object(self, field: str) -> "Row":
        value = self._get(field)
        if not isinstance(value, dict):
            raise self._wrong(field, "a JSON object", value)
        return Row(value, self.file, self.line, self._name(field) + ".")

    def objects(self, field: str) -> list["Row"]:
        """A list of objects; empty if the field is null or missing."""
        values = self._values.get(field)
        if values is None:
            return []
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self._wrong(field, "a list of JSON objects", values)
        return [Row(value, self.file, self.line, f"{self._name(field)}[{i}].") for i, value in enumerate(values)]

    def integer(self, field: str) -> int:
        value = self._get(field)
        if type(value) is not int:
            raise self._wrong(field, "a whole number", value)
        return value

    def number(self, field: str) -> float:
        value = self._get(field)
        if type(value) not in (int, float) or not -_LARGEST < value < _LARGEST:
            raise self._wrong(field, "a finite number", value)
        return float(value)

    def pairs(self, field: str) -> list[tuple[int, int]]:
        """A list of pairs of whole numbers."""
        pairs = self._get(field)
        if not isinstance(pairs, list) or not all(isinstance(p, list) and [*map(type, p)] == [int, int] for p in pairs):
            raise self._wrong(field, "a list of pairs of whole numbers", pairs)
        return [(first, end) for first, end in pairs]

    def passage(self, language: str = "en") -> Passage:
        """`docid`, `title`, `text` and an optional `lang`, as in the collection folder and in Tevatron's files."""
        title, text = self.optional_text("title"), self.text("text")
        return Passage(self.identifier("docid"), title, text, self.language("lang", language))

    def error(self, problem: str, field: str, remedy: str = "") -> DataError:
        return DataError(problem, file=self.file, line=self.line, field=self._name(field), remedy=remedy)

    def _get(self, field: str) -> Any:
        value = self._values.get(field, _MISSING)
        if value is _MISSING:
            hint = did_you_mean(field, self._values) or f"The fields are {shown(', '.join(self._values), 300)}"
            raise self.error("the field is missing", field, hint)
        return value

    def _literal(self, field: str, value: str) -> Any:
        try:
            return ast.literal_eval(value) if len(value) < 100_000 else value
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            if value.startswith("['") and value.endswith("']"):  # AfriQA does not escape: "['People's Party']"
                return value[2:-2].split("', '")
            raise self._wrong(field, "a list of strings", value) from None

    def _wrong(self, field: str, rule: str, value: Any) -> DataError:
        return self.error(f"must be {rule}, got {shown(value)}", field)

    def _name(self, field: str) -> str:
        return self._within + field


def read_rows(source: str | Path, problems: Problems, parse: Callable[[Row], Record | None]) -> Iterator[Record]:
    """What `parse` makes of each object of a JSON-lines file or a hub data set."""
    return parse_each(json_rows(source, problems), parse, problems, str(source))


def json_rows(source: str | Path, problems: Problems) -> Iterator[Row]:
    """The objects of a JSON-lines file, or of a data set on the hub (`hub:ORG/NAME`)."""
    if str(source).startswith("hub:"):
        from xdr.data.hub import hub_rows  # needs the extra `hub`

        yield from hub_rows(str(source))
        return
    path = require_file(source)
    for number, line in read_lines(path, problems):
        try:
            yield Row(_json_object(line, path, number), path, number)
        except DataError as error:
            problems.skip(error)


def json_document(path: Path) -> Row:
    """The one object of a JSON file that fits in memory."""
    text = "\n".join(line for _, line in read_lines(path, Problems()))
    return Row(_json_object(text, path, None), path, None)


def _json_object(text: str, path: Path, line: int | None) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"not valid JSON at column {error.colno}: {error.msg}"
        raise DataError(problem, file=path, line=line or error.lineno) from None
    except (ValueError, RecursionError) as error:  # a number of over 4,300 digits, or nested too deeply
        raise DataError(f"not JSON that can be read: {error}", file=path, line=line) from None
    if not isinstance(value, dict):
        raise DataError(f"must be a JSON object, got {shown(value)}", file=path, line=line)
    return value


def _is_encodable(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False
