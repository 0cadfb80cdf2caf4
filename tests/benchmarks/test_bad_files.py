"""Every format of file with the damages that files from elsewhere have: records, or one sentence that names the file."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.test_malformed import FORMATS, PASSAGE
from xdr.data.problems import Problems
from xdr.errors import DataError

Change = Callable[[bytes], bytes]


def first_text(old: bytes, new: bytes) -> bytes:
    """The first text value of JSON, or the first field of other lines, becomes `new`."""
    if old[:1] in b"{[":
        return old.replace(b': "', b': "' + new, 1)
    return new + old


CHANGES: dict[str, Change] = {
    "empty": lambda good: b"",
    "blank lines": lambda good: b"\n \n\t\n",
    "BOM": lambda good: b"\xef\xbb\xbf" + good,
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "Latin-1": lambda good: first_text(good, "é".encode("latin-1")),
    "CRLF": lambda good: good.replace(b"\n", b"\r\n") + b"\r\n",
    "CR alone": lambda good: good.replace(b"\n", b"\r"),
    "no line end": lambda good: good.rstrip(b"\n"),
    "twice": lambda good: good.rstrip(b"\n") + b"\n" + good,
    "cut": lambda good: good[: len(good) * 2 // 3],
    "NUL": lambda good: first_text(good, b"\0"),
    "escaped NUL": lambda good: first_text(good, b"\\u0000"),
    "half a surrogate pair": lambda good: first_text(good, b"\\ud800"),
    "control sequence": lambda good: first_text(good, b"\x1b[2J"),
    "line separator": lambda good: first_text(good, "\u2028".encode()),
    "right to left": lambda good: first_text(good, "\u202e".encode()),
    "path": lambda good: first_text(good, b"../../../etc/passwd "),
    "formula": lambda good: first_text(good, b"=1+1"),
    "HTML": lambda good: first_text(good, b"<script>"),
    "10 MB": lambda good: first_text(good, b"x" * 10_000_000),
    "a tab": lambda good: first_text(good, b"\t"),
    "quotes": lambda good: first_text(good, b"''"),
    "deep lists": lambda good: b"[" * 100_000,
    "deep objects": lambda good: b'{"a":' * 100_000,
    "deep value": lambda good: good.replace(b": ", b": " + b"[" * 50_000 + b"]" * 50_000 + b', "y": ', 1),
    "long number": lambda good: good.replace(b": ", b": " + b"9" * 10_000 + b', "y": ', 1),
    "NaN": lambda good: good.replace(b": ", b': NaN, "y": ', 1),
    "infinity": lambda good: good.replace(b": ", b": 1e999, " + b'"y": ', 1),
    "null": lambda good: b"null\n",
    "a number": lambda good: b"7\n",
    "a text": lambda good: b'"text"\n',
    "an array": lambda good: b"[" + good.rstrip(b"\n") + b"]",
    "a comma": lambda good: good.rstrip(b"\n") + b",\n",
    "another format": lambda good: b"PK\x03\x04" + bytes(range(256)),
    "gzip": gzip.compress,
    "gzip, cut": lambda good: gzip.compress(good)[:-9],
    "gzip of gzip": lambda good: gzip.compress(gzip.compress(good)),
}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_damaged_file_is_read_or_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    file_name, good, read = FORMATS[name]
    content = good if isinstance(good, bytes) else json.dumps(good).encode()
    outcomes = Counter[str]()
    (tmp_path / "corpus.jsonl").write_text(json.dumps(PASSAGE))
    path = tmp_path / file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    for damage, change in CHANGES.items():
        path.write_bytes(change(content))
        refusals = []
        for problems in (Problems(), Problems(strict=False)):
            try:
                list(read(path, problems))
            except DataError as error:
                refusals.append(str(error))
        outcomes["refused" if refusals else "read"] += 1
        for sentence in refusals:
            assert str(tmp_path) in sentence and "\n" not in sentence and len(sentence) < 1500, (damage, sentence)
    assert outcomes["refused"] >= 10 and outcomes["read"] >= 3, outcomes


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_is_no_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    file_name, _, read = FORMATS[name]
    (tmp_path / "corpus.jsonl").write_text(json.dumps(PASSAGE))
    path = tmp_path / file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    for make in (lambda: None, path.mkdir):
        make()
        sentence = ""
        try:
            list(read(path, Problems()))
        except DataError as error:
            sentence = str(error)
        assert not sentence or (str(tmp_path) in sentence and "\n" not in sentence)
