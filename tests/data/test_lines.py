import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from xdr.data.lines import LONGEST_LINE, read_lines
from xdr.data.problems import Problems
from xdr.errors import DataError

Write = Callable[[str, str | bytes], Path]


def test_endings_marks_and_blank_lines_are_not_content(write: Write) -> None:
    path = write("a.txt", b"\xef\xbb\xbfone\r\n\r\n  \ntwo\nthree")
    assert list(read_lines(path, Problems())) == [(1, "one"), (4, "two"), (5, "three")]


def test_a_gzip_is_known_by_its_content(write: Write) -> None:
    path = write("a.txt", gzip.compress(b"\xef\xbb\xbfone\n", mtime=0) + gzip.compress(b"two\n"))
    assert list(read_lines(path, Problems())) == [(1, "one"), (2, "two")]


def test_unicode_line_separators_do_not_end_a_line(write: Write) -> None:
    assert len(list(read_lines(write("a.txt", "a\u2028b\x85c\n"), Problems()))) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(b"one\n" * 5000, mtime=0)[:-20], "truncated or damaged"),
        (gzip.compress(b"one\n" * 5000, mtime=0)[:-6] + b"\0" * 6, "truncated or damaged"),
        (b"\x1f\x8bnot a gzip at all", "truncated or damaged"),
        ("кот\n".encode("utf-16"), "UTF-16"),
        (b"good\nbad \xff\n", "line 2: byte 5 of the line is not UTF-8"),
    ],
)
def test_a_broken_file_is_named(write: Write, content: bytes, says: str) -> None:
    path = write("a.txt", content)
    with pytest.raises(DataError, match=says) as error:
        list(read_lines(path, Problems()))
    assert str(path) in str(error.value)


def test_a_missing_file_names_its_neighbour(write: Write) -> None:
    from xdr.data.lines import require_file

    path = write("corpus.jsonl", "")
    with pytest.raises(DataError, match=rf"Did you mean '{path}'"):
        require_file(path.with_name("corpsu.jsonl"))
    with pytest.raises(DataError, match="must be a file, got a folder"):
        require_file(path.parent)


def test_lenient_reading_skips_counts_and_shows_the_first_three(write: Write) -> None:
    problems = Problems(strict=False)
    assert [line for _, line in read_lines(write("a.txt", b"ok\n" + b"\xff\n" * 5), problems)] == ["ok"]
    report = problems.report()
    assert report[0] == "5 bad lines were skipped (data.strict=false); the first:"
    assert len(report) == 4
    assert "line 2" in report[1]


def test_a_decompression_bomb_takes_no_more_memory_than_the_longest_line(tmp_path: Path) -> None:
    bomb = tmp_path / "corpus.jsonl.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(3):
            file.write(b" " * LONGEST_LINE)
    assert bomb.stat().st_size < 2_000_000
    tracemalloc.start()
    with pytest.raises(DataError, match="a line is longer than 64 MiB"):
        list(read_lines(bomb, Problems()))
    assert tracemalloc.get_traced_memory()[1] < 4 * LONGEST_LINE
    tracemalloc.stop()
