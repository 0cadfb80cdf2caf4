from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.data.passage_tsv import read_passage_tsv
from xdr.data.problems import Problems
from xdr.errors import DataError
from xdr.text.records import Passage

Write = Callable[[str, str | bytes], Path]


def test_the_quotes_of_psgs_w100_are_taken_off_and_others_stay(write: Write) -> None:
    text = (
        "id\ttext\ttitle\n"
        '1\t"Aaron ( or ; ""Ahärôn"") is a prophet"\tAaron\n'
        '2\t"Heroes" is an album by David Bowie\t"""Heroes"""\n'
        '3\t"Quoted" at both "ends"\tplain\r\n'
    )
    assert list(read_passage_tsv(write("p.tsv", text), Problems())) == [
        Passage("1", "Aaron", 'Aaron ( or ; "Ahärôn") is a prophet'),
        Passage("2", '"Heroes"', '"Heroes" is an album by David Bowie'),
        Passage("3", "plain", '"Quoted" at both "ends"'),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1\tno header\tx\n", "line 1: the first line must be id <tab> text <tab> title"),
        ("", "the first line must be id"),
        ("id\ttext\ttitle\n", "must have at least one record"),
        ("id\ttext\ttitle\n1\tonly two\n", "line 2: a line must have three fields separated by tabs, got 2"),
        ("id\ttext\ttitle\n1\t \tempty\n", "line 2, field 'text': must not be empty"),
        ("id\ttext\ttitle\n1 1\ttext\ttitle\n", "line 2, field 'id'"),
    ],
)
def test_what_is_wrong_is_said(write: Write, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(read_passage_tsv(write("p.tsv", text), Problems()))
