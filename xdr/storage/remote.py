"""Artifacts in a store of objects, such as S3. A folder of this machine mirrors what it has made or read of them.

    MIRROR/remote.json           the address of the artifacts
    MIRROR/KIND/FINGERPRINT/     as in a folder of artifacts that is not remote

An object appears whole or not at all, so nothing there is renamed or locked. An artifact is complete when its entry is there,
the JSON file that names its other files; it is put last. Hidden files and folders stay on this machine.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xdr.errors import ArtefactError, UserError, first_line, in_one_sentence
from xdr.storage.files import read_json, remove_leftovers, replacing_file, write_json

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_MARKER = "remote.json"


def is_remote(address: str) -> bool:
    return "://" in address


def reaching(address: str) -> AbstractContextManager[None]:
    """Around code that reads or writes at an address: an error of the store becomes one sentence."""
    for library in ("aiobotocore", "botocore"):
        logging.getLogger(library).setLevel(logging.WARNING)  # they tell where they found credentials

    def error_of(error: Exception) -> UserError:
        if isinstance(error, ImportError):
            return UserError(f"{address} needs a package: {first_line(error)} (pip install 'xdr[remote]')")
        problem = f"{type(error).__name__}: {first_line(error)}"
        return UserError(f"{address} cannot be used: {problem}. Check the address and the credentials")

    return in_one_sentence(error_of)


def mirror_of(address: str, mirror: Path) -> Path:
    """The folder where artifacts are found: `address` itself, or if that is remote `mirror`, which remembers the address."""
    if not is_remote(address):
        return Path(address)
    if address.startswith("file://"):
        return Path(address.removeprefix("file://"))
    address = address.rstrip("/")
    if (mirror / _MARKER).is_file():
        if (known := read_json(mirror / _MARKER).get("url")) != address:
            raise UserError(f"artifacts_mirror must be another folder: {mirror} is the mirror of {known}, not of {address}")
    elif mirror.is_dir() and any(mirror.iterdir()):
        raise UserError(f"artifacts_mirror must be new or mirror {address}: {mirror} holds something else")
    write_json(mirror / _MARKER, {"url": address})
    publish(mirror / _MARKER)  # an address that cannot be reached is refused before the work
    return mirror


def fetched(path: Path) -> bool:
    """Whether there is such a file, on this machine or in the store from which it is then fetched."""
    if path.exists():
        return True
    remote = Remote.of(path)
    if remote is None or not remote.has(path):
        return False
    remote.get(path)
    return True


def publish(path: Path) -> None:
    """Puts a file into the store that its folder mirrors, if it mirrors one that lacks the file."""
    remote = Remote.of(path)
    if remote is not None and not remote.has(path):
        remote.put(path, path)


def address_of(folder: Path) -> str:
    """Where other machines find an artifact: its address in the store, or its path."""
    remote = Remote.of(folder)
    return str(folder.resolve()) if remote is None else remote.address(folder)


def remedy(folder: Path) -> str:
    """What to do about a damaged artifact: if only the mirror's copy were removed, the store's would be fetched again."""
    remote = Remote.of(folder)
    both = f"{folder} and {remote.address(folder)}" if remote else str(folder)
    return f"Remove {both}, and run the command that makes it again"


def in_mirror(address: str, mirror: Path) -> Path | None:
    """The folder of an artifact that is in the store of `mirror`, where both are so."""
    remote = Remote.of(mirror / "artifact")
    if remote is None or not address.startswith(f"{remote.url}/"):
        return None
    return mirror / address.removeprefix(f"{remote.url}/")


@dataclass(frozen=True, slots=True)
class Remote:
    mirror: Path
    url: str

    @classmethod
    def of(cls, path: Path) -> "Remote | None":
        """The store that has the file or folder, if a folder above it is a mirror."""
        for parent in path.parents:
            if (parent / _MARKER).is_file():
                return None if path.name.startswith(".") else cls(parent, str(read_json(parent / _MARKER)["url"]))
            if parent.name.startswith("."):
                return None
        return None

    def address(self, path: Path) -> str:
        return f"{self.url}/{path.relative_to(self.mirror).as_posix()}"

    def has(self, path: Path) -> bool:
        with self._speaking() as (files, root):
            return bool(files.exists(self._name(root, path)))

    def entries(self, folder: Path, name: str) -> list[str]:
        """The names of those folders in `folder` that are complete: they have an entry of this name."""
        with self._speaking() as (files, root):
            found = (path.split("/")[-3:] for path in files.find(self._name(root, folder)))
            return [inner for outer, inner, file in found if (outer, file) == (folder.name, name)]

    def read(self, paths: Sequence[Path], suffixes: Sequence[str] = (), num_bytes: int | None = None) -> list[bytes]:
        """The content of the files, or their first bytes, with requests that overlap in time."""
        with self._speaking() as (files, root):
            names = [self._name(root, path) + suffix for path, suffix in zip(paths, suffixes or [""] * len(paths), strict=True)]
            ends = [num_bytes] * len(names)
            return [bytes(content) for content in files.cat_ranges(names, [0] * len(names), ends, on_error="raise")]

    def put(self, source: Path, path: Path, suffix: str = "") -> None:
        """Puts the content of `source` where `path` of the mirror stands in the store."""
        with self._speaking() as (files, root):
            files.put_file(str(source), self._name(root, path) + suffix)

    def get(self, path: Path, suffix: str = "", into: Path | None = None) -> None:
        remove_leftovers((into or path).parent)
        with replacing_file(into or path) as partial, self._speaking() as (files, root):
            try:
                files.get_file(self._name(root, path) + suffix, str(partial))
            except FileNotFoundError:
                raise ArtefactError(f"{self.address(path)}{suffix} is missing. {remedy(path.parent)}") from None

    def put_all(self, names: Sequence[str], source: Path, folder: Path) -> None:
        """In order, so that the last one tells that all are there."""
        for name in names:
            self.put(source / name, folder / name)

    def get_all(self, names: Sequence[str], folder: Path, into: Path) -> None:
        for name in names:
            self.get(folder / name, into=into / name)

    def _name(self, root: str, path: Path) -> str:
        return f"{root}/{path.relative_to(self.mirror).as_posix()}"

    @contextmanager
    def _speaking(self) -> "Iterator[tuple[AbstractFileSystem, str]]":
        with reaching(self.url):
            from fsspec.core import url_to_fs

            yield url_to_fs(self.url, use_listings_cache=False)
