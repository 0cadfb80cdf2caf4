import os
from pathlib import Path

import pytest

from xdr.storage.sources import identify_files


def _edit(file: Path, place: int, content: bytes) -> None:
    """Size and modification time stay."""
    time = file.stat().st_mtime_ns
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(content)
    os.utime(file, ns=(time, time))


@pytest.mark.parametrize("place", [0, 150_000, 299_999])
def test_any_edit_of_a_small_file_is_seen(tmp_path: Path, place: int) -> None:
    file = tmp_path / "small"
    file.write_bytes(b"x" * 300_000)
    before = identify_files([file])
    assert identify_files([file]) == before
    _edit(file, place, b"y")
    assert identify_files([file]) != before


@pytest.mark.parametrize("place", [0, 2_500_000, 6_000_000, 9_840_000])
def test_an_edit_in_the_middle_of_a_large_file_is_seen_if_it_is_longer_than_the_gaps(tmp_path: Path, place: int) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * 10_000_000)
    before = identify_files([file])
    assert identify_files([file]) == before
    _edit(file, place, b"y" * 160_000)
    assert identify_files([file]) != before


def test_empty_files_and_files_of_one_block_have_an_identity(tmp_path: Path) -> None:
    prints = set()
    for size in (0, 1, 8191, 8192, 8193, 64 * 8192, 64 * 8192 + 1):
        (tmp_path / "file").write_bytes(b"x" * size)
        prints.add(str(identify_files([tmp_path / "file"])))
    assert len(prints) == 7


def test_an_edit_between_the_blocks_is_seen_only_in_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * 10_000_000)
    sampled, whole = identify_files([file]), identify_files([file], whole=True)
    _edit(file, 5_000_000, b"y")
    assert identify_files([file]) == sampled
    assert identify_files([file], whole=True) != whole
