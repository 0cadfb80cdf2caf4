from pathlib import Path

import pytest

from xdr.errors import UserError
from xdr.sharding.disk_space import require_room


def test_what_cannot_fit_is_refused_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2_500_000})())
    require_room(tmp_path, 2_500_000, "the vectors")
    with pytest.raises(UserError, match=r"the vectors take 3.0 TB, and only 2.5 MB are free at .*artifacts_dir"):
        require_room(tmp_path, 3e12, "the vectors")
