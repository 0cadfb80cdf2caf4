import errno
import os
from pathlib import Path

import pytest

from xdr.errors import UserError
from xdr.sharding.disk_space import explaining_the_disk, require_room


def test_what_cannot_fit_is_refused_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2_500_000})())
    require_room(tmp_path, 2_500_000, "the vectors")
    with pytest.raises(UserError, match=r"the vectors take 3.0 TB, and only 2.5 MB are free at .*artifacts_dir"):
        require_room(tmp_path, 3e12, "the vectors")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full. Finished work is saved"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EIO, "'a' cannot be used: Input/output error. The disk or its connection fails"),
        (errno.EFBIG, "'a' cannot be used: File too large. The file system, or `ulimit -f`, allows no longer files"),
        (errno.EROFS, "'a' cannot be used: Read-only file system. Choose an output_dir and an artifacts_dir that"),
        (errno.EISDIR, "'a' cannot be used: Is a directory. Something else stands in its place"),
    ],
)
def test_what_a_disk_refuses_is_one_sentence(number: int, says: str) -> None:
    with pytest.raises(UserError, match=says), explaining_the_disk():
        raise OSError(number, os.strerror(number), "a")
    with pytest.raises(OSError, match="another"), explaining_the_disk():
        raise OSError(errno.ENOENT, "another")
