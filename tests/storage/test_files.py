import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from xdr.errors import ArtefactError, UserError
from xdr.storage.files import (
    creating_folder,
    read_json,
    read_sealed,
    remove_leftovers,
    replacing_file,
    write_json,
    write_sealed,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), replacing_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_failed_folder_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), creating_folder(tmp_path / "folder") as partial:
        (partial / "a").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_the_first_of_two_writers_of_a_folder_stays(tmp_path: Path) -> None:
    with creating_folder(tmp_path / "folder") as slow:
        (slow / "a").write_text("slow")
        with creating_folder(tmp_path / "folder") as quick:
            (quick / "a").write_text("quick")
    assert [(file.name, (file / "a").read_text()) for file in tmp_path.iterdir()] == [("folder", "quick")]


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    (tmp_path / f".a.{host}-{dead.pid}-00.partial").mkdir()
    (tmp_path / f".b.{host}-{dead.pid}-00.partial").write_text("")
    alive = tmp_path / f".c.{host}-{os.getpid()}-00.partial"
    alive.write_text("")
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [alive]


def test_json_survives_a_round_trip_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, "ф"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, "ф"]}
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(ArtefactError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


def test_a_sealed_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_sealed(file, {"x": [1, 0.1, "ф"], "y": {2: None, 10: (1,)}})
    whole = file.read_text()
    assert read_sealed(file) == {"x": [1, 0.1, "ф"], "y": {"2": None, "10": [1]}}
    file.write_text(whole.replace("0.1", "0.2"))
    with pytest.raises(ArtefactError, match=r"a\.json is damaged: its content is not what its seal says\. Ask again$"):
        read_sealed(file, "Ask again", is_optional=True)
    write_json(file, {"x": 1})
    assert read_sealed(file, is_optional=True) == {"x": 1}
    with pytest.raises(ArtefactError, match=r"a\.json is damaged: it has no seal, as in an earlier version\. Remove"):
        read_sealed(file)


def test_a_missing_file_and_a_folder_in_its_place_are_one_sentence_and_a_loop_of_links_too(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    for name in ("missing.json", "folder.json", "loop.json"):
        with pytest.raises(ArtefactError, match=rf"{name} is damaged: .*Remove .*, and run the command that makes it again"):
            read_json(tmp_path / name)


def test_what_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json" / "b").mkdir(parents=True)
    with pytest.raises(UserError, match=r"a\.json cannot be replaced: .*Remove it"):
        write_json(tmp_path / "a.json", {})
    (tmp_path / "folder").write_text("")
    with pytest.raises(UserError, match="folder cannot be replaced: .*Remove it"), creating_folder(tmp_path / "folder"):
        pass


def test_a_file_system_that_cannot_rename_over_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(UserError, match="must be on a file system where a file can be renamed to an existing one, got: Op"):
        write_json(tmp_path / "a.json", {})
    assert not list(tmp_path.iterdir())
