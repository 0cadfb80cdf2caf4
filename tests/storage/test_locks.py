import errno
import fcntl
from pathlib import Path

import pytest
from filelock import Timeout

from xdr.errors import UserError
from xdr.storage import locks
from xdr.storage.locks import alone_in, lock, locked


def test_a_lock_is_held_until_the_block_ends(tmp_path: Path) -> None:
    with locked(tmp_path / "a"), pytest.raises(Timeout):
        lock(tmp_path / "a", 0)
    lock(tmp_path / "a", 0).release()


def test_what_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    for name in ("loop", "folder"):
        with pytest.raises(UserError, match=rf"{name} must be a file that can be locked, got: .*Remove it, or choose"):
            lock(tmp_path / name)


def test_a_file_system_without_locks_is_named_and_a_full_one_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(number: int) -> None:
        def flock(*arguments: object) -> None:
            raise OSError(number, "refused")

        monkeypatch.setattr(fcntl, "flock", flock)

    refused(errno.ENOLCK)
    with pytest.raises(UserError, match="a file system that has locks"):
        lock(tmp_path / "a")
    with alone_in(tmp_path):
        pass
    refused(errno.ENOSPC)
    with pytest.raises(OSError, match="refused"):
        lock(tmp_path / "a")


def test_one_run_has_a_folder_and_its_other_processes_need_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_ENDING", 0.0)
    with alone_in(tmp_path / "run"):
        with (
            pytest.raises(UserError, match="run must be an output_dir that no other run"),
            alone_in(tmp_path / "run"),
        ):
            pass
        monkeypatch.setenv("LOCAL_RANK", "1")
        with alone_in(tmp_path / "run"):
            pass
        monkeypatch.setenv("LOCAL_RANK", "0")
    with alone_in(tmp_path / "run"):
        pass
