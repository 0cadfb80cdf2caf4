"""Files that are read where they lie."""

import gzip
import random
from pathlib import Path

import fsspec
import pytest

from tests.storage.test_remote import address as address  # the fixture
from xdr.data.lines import open_binary, read_lines, require_file
from xdr.data.problems import Problems
from xdr.errors import DataError, UserError
from xdr.storage.places import place, read_ranges
from xdr.storage.sources import identify_files


def put(address: str, name: str, content: bytes) -> Path:
    fsspec.filesystem("memory").pipe(f"{address}/{name}", content)
    return place(address) / name


@pytest.mark.parametrize("name", ["lines.txt", "lines.txt.gz"])
def test_a_remote_file_has_the_lines_of_a_local_one(address: str, name: str, tmp_path: Path) -> None:
    rng = random.Random(0)
    lines = ["".join(rng.choices("abcé日", k=rng.randint(1, 200))) for _ in range(5000)]
    content = "\n".join(lines).encode()
    content = gzip.compress(content) if name.endswith("gz") else content
    (tmp_path / name).write_bytes(content)
    remote = list(read_lines(put(address, name, content), Problems()))
    assert remote == list(read_lines(tmp_path / name, Problems())) == list(enumerate(lines, 1))


def test_a_remote_file_that_changed_is_another_one(address: str) -> None:
    before = identify_files([put(address, "big.txt", b"one\n" * 10**6)])
    edited = bytearray(b"one\n" * 10**6)
    edited[2_000_000:2_100_000] = b"x" * 100_000
    assert identify_files([put(address, "big.txt", bytes(edited))]) != before
    before = identify_files([put(address, "a.txt", b"one\n" * 1000)])
    assert identify_files([put(address, "a.txt", b"one\n" * 999 + b"two\n")]) != before


def test_a_remote_file_that_is_not_there_is_named_with_one_that_is(address: str) -> None:
    put(address, "corpus.jsonl", b"{}")
    with pytest.raises(DataError, match=r"memory://.*corpsu.jsonl: there is no such file. Did you mean '.*corpus.jsonl'"):
        require_file(f"{address}/corpsu.jsonl")
    assert [file.name for file in place(address).glob("*.jsonl")] == ["corpus.jsonl"]


def test_a_connection_that_breaks_is_one_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = open_binary(put(address, "a.txt", b"one\n" * 100_000))
    monkeypatch.setattr(
        fsspec.implementations.memory.MemoryFile, "read", lambda *_: (_ for _ in ()).throw(TimeoutError("gone"))
    )
    with pytest.raises(UserError, match=r"memory://.*a.txt cannot be used: TimeoutError: gone"):
        file.read()


def test_an_unknown_protocol_is_one_sentence() -> None:
    with pytest.raises(UserError, match="nowhere://bucket/a cannot be used: ValueError"):
        place("nowhere://bucket/a")


def test_ranges_of_a_remote_file_are_those_of_a_local_one(address: str, tmp_path: Path) -> None:
    content = random.Random(0).randbytes(10_000)
    (tmp_path / "a.bin").write_bytes(content)
    wanted = [content[start : start + 700] for start in (0, 5, 9_000, 9_900)]
    for path in (tmp_path / "a.bin", put(address, "a.bin", content)):
        assert read_ranges(path, [0, 5, 9_000, 9_900], 700) == wanted
