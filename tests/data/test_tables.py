from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.data.problems import Problems
from xdr.data.rows import Row
from xdr.data.tables import read_table
from xdr.errors import DataError

Write = Callable[[str, str | bytes], Path]


def values(row: Row) -> tuple[str, str]:
    return row.identifier("id"), row.text("text")


def test_the_first_line_names_the_columns_unless_they_are_given(write: Write) -> None:
    path = write("t.tsv", 'text\tid\n"two" words\t1\n')
    assert list(read_table(path, Problems(), None, values)) == [("1", '"two" words')]
    named = read_table(write("n.tsv", "1\ttwo words\n2\tid\n"), Problems(), ("id", "text"), values)
    assert list(named) == [("1", "two words"), ("2", "id")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id\ttext\n1\ta\n2\n", r"line 3.*a line must have 2 fields separated by tabs \(id, text\), got 1"),
        ("id\ttext\n1\t \n", "line 2, field 'text': must be a string that is not blank"),
        ("id\twords\n1\ta\n", "field 'text': the field is missing"),
        ("id\ttext\n", "must have at least one record"),
    ],
)
def test_a_bad_line_is_named_by_number_and_column(write: Write, content: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(read_table(write("t.tsv", content), Problems(), None, values))
