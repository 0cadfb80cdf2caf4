"""JSON objects from files and hubs, with typed access to their fields. Every complaint names file, line and field."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xdr.data.lines import read_lines, require_file
from xdr.data.problems import Problems
from xdr.errors import DataError, did_you_mean, shown
from xdr.text.languages import find_language
from xdr.text.records import Passage

_MISSING = object()
_LARGEST = 3e38
"""About the largest number of 32 bits."""


class Row:
    """A JSON object and where it stands."""

    __slots__ = ("_values", "_within", "file", "line")

    def __init__(self, values: Mapping[str, Any], file: str | Path, line: int | None, within: str = "") -> None:
        self._values, self.file, self.line, self._within = values, file, line, within

    def has(self, field: str) -> bool:
        """The field is there and not null."""
        return self._values.get(field) is not None

    def text(self, field: str) -> str:
        """A string that is not blank."""
        value = self.optional_text(field)
        if not value or value.isspace():
            raise self._wrong(field, "a text is wanted that is not empty", self._get(field))
        return value

    def optional_text(self, field: str) -> str:
        """A string; '' for a field that is empty, null or not there."""
        value = self._values.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(field, "a text is wanted", value)
        if "\0" in value or not (value.isascii() or _is_encodable(value)):
            raise self._wrong(field, "the text holds a NUL or half a surrogate pair, which UTF-8 cannot", value)
        return value

    def identifier(self, field: str) -> str:
        """An id: a string, or a whole number as some releases have it. Blanks part the fields of TREC run files."""
        value = self._get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self._wrong(field, "an id is a text or a whole number", value)
        identifier = self.text(field).strip()
        if len(identifier.split()) != 1:
            raise self._wrong(field, "an id holds no blanks, they part the fields of TREC run files", value)
        return identifier

    def language(self, field: str, default: str | None = None) -> str:
        """The code of a language that xdr knows."""
        if default is not None and not self.has(field):
            return default
        spelling = self.text(field)
        try:
            return find_language(spelling).code
        except DataError as error:
            raise DataError(str(error), file=self.file, line=self.line, field=self._name(field)) from None

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of strings; () where the field is null or not there. Some releases hold the list as a Python literal."""
        value = self._values.get(field)
        if value is None:
            return ()
        if isinstance(value, str):
            value = self._literal(field, value)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(field, "a list of texts is wanted", value)
        if not all(_is_encodable(item) for item in value):
            raise self._wrong(field, "a text in it holds half a surrogate pair", value)
        return tuple(value)

    def object(self, field: str) -> "Row":
        value = self._get(field)
        if not isinstance(value, dict):
            raise self._wrong(field, "an object is wanted", value)
        return Row(value, self.file, self.line, self._name(field) + ".")

    def objects(self, field: str) -> list["Row"]:
        """A list of objects; empty where the field is null or not there."""
        value = self._values.get(field)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(field, "a list of objects is wanted", value)
        for item in value:
            if not isinstance(item, dict):
                raise self._wrong(field, "a list of objects is wanted, one item is not", item)
        return [Row(item, self.file, self.line, f"{self._name(field)}[{i}].") for i, item in enumerate(value)]

    def integer(self, field: str) -> int:
        value = self._get(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(field, "a whole number is wanted", value)
        return value

    def number(self, field: str) -> float:
        value = self._get(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
            raise self._wrong(field, "a finite number is wanted", value)
        return float(value)

    def pairs(self, field: str) -> list[tuple[int, int]]:
        """A list of two whole numbers each."""
        value = self._get(field)
        if not isinstance(value, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair) for pair in value
        ):
            raise self._wrong(field, "a list of pairs of whole numbers is wanted", value)
        return [(first, end) for first, end in value]

    def fields(self) -> list[str]:
        return list(self._values)

    def passage(self, id_field: str = "docid", language: str = "en") -> Passage:
        """`id_field`, `title`, `text` and an optional `lang`, as the collection folder and Tevatron have them."""
        return Passage(
            self.identifier(id_field), self.optional_text("title"), self.text("text"), self.language("lang", language)
        )

    def error(self, problem: str, field: str | None = None, remedy: str = "") -> DataError:
        name = self._name(field) if field else None
        return DataError(problem, file=self.file, line=self.line, field=name, remedy=remedy)

    def _get(self, field: str) -> Any:
        value = self._values.get(field, _MISSING)
        if value is _MISSING:
            hint = did_you_mean(field, self._values) or f"The line has {', '.join(map(repr, self._values)) or 'no fields'}"
            raise self.error("the field is not there", field, hint)
        return value

    def _literal(self, field: str, value: str) -> Any:
        try:
            return ast.literal_eval(value) if len(value) < 100_000 else value
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            if value.startswith("['") and value.endswith("']"):  # AfriQA does not escape: "['People's Party']"
                return value[2:-2].split("', '")
            raise self._wrong(field, "a list of texts is wanted", value) from None

    def _wrong(self, field: str, wanted: str, value: Any) -> DataError:
        return self.error(f"{wanted}, and {shown(value)} came", field)

    def _name(self, field: str) -> str:
        return self._within + field


def json_rows(source: str | Path, problems: Problems) -> Iterator[Row]:
    """The objects of a JSON-lines file, or of a data set on the hub (`hub:ORG/NAME`)."""
    if str(source).startswith("hub:"):
        from xdr.data.hub import hub_rows  # needs the extra `hub`

        yield from hub_rows(str(source))
        return
    path = require_file(source)
    for number, line in read_lines(path, problems):
        try:
            yield row_of_line(line, path, number)
        except DataError as error:
            problems.skip(error)


def row_of_line(line: str, path: Path, number: int) -> Row:
    try:
        values = json.loads(line)
    except ValueError as error:  # also: a number of over 4,300 digits
        problem = f"column {error.colno} is not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(problem, file=path, line=number, remedy="One JSON object a line is wanted") from None
    except RecursionError:
        raise DataError("the JSON is nested too deeply", file=path, line=number) from None
    if not isinstance(values, dict):
        raise DataError(f"a JSON object is wanted, and {shown(values)} came", file=path, line=number)
    return Row(values, path, number)


def json_document(path: Path) -> Row:
    """The one object of a JSON file that fits in memory."""
    text = "\n".join(line for _, line in read_lines(path, Problems()))
    if not text:
        raise DataError("the file is empty", file=path)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"column {error.colno} is not JSON: {error.msg}", file=path, line=error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON that can be read: {error}", file=path) from None
    if not isinstance(values, dict):
        raise DataError(f"a JSON object is wanted, and {shown(values)} came", file=path)
    return Row(values, path, None)


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
