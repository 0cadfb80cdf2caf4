"""The shard ledger: which shards of an artifact exist, their checksums, and what they were made from.

    FOLDER/manifest.json        kind, number of shards, what they were made from, its fingerprint
    FOLDER/shard-00007/         the shard's files, and shard.json: fingerprint, library versions, each file's size and SHA-256

A shard's folder is renamed into place together with its entry, so even after a kill a shard is complete or absent. Any number
of processes can work on one ledger: each makes what `missing()` names. Two that make the same shard do no harm.

In a mirror of a store of objects (`xdr.storage.remote`) a shard exists when its entry is in the store. The names of its files
have their checksums appended there, so that the files of two machines that make the same shard do not mix.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from xdr.errors import ArtefactError, first_line, in_one_sentence, shown
from xdr.storage.files import creating_folder, read_json, remove_leftovers, replacing_file, write_json
from xdr.storage.fingerprint import Json, checksum_file, fingerprint
from xdr.storage.locks import lock, locked
from xdr.storage.remote import Remote, fetched, publish, remedy
from xdr.storage.versions import versions

LEDGER_FORMAT = 1
_ENTRY = "shard.json"


@dataclass(frozen=True, slots=True)
class ShardLedger:
    """Use `create` to write a ledger, new or unfinished, and `open` to read one."""

    folder: Path
    kind: str
    num_shards: int
    made_by: Mapping[str, Json]

    @classmethod
    def create(cls, folder: Path, kind: str, num_shards: int, made_by: Mapping[str, Json]) -> "ShardLedger":
        """Creates the ledger in `folder`, or resumes one that was made from the same. Refuses any other."""
        if num_shards < 1:
            raise ArtefactError(f"num_shards must be at least 1, got {num_shards}")
        wanted = cls(folder, kind, num_shards, made_by)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock"):
            remove_leftovers(folder)
            if not fetched(folder / "manifest.json"):
                write_json(folder / "manifest.json", wanted._manifest())
            publish(folder / "manifest.json")
        cls.open(folder, kind)._refuse_unless_same(wanted)
        return wanted

    @classmethod
    def open(cls, folder: Path, kind: str | None = None) -> "ShardLedger":
        """Opens the ledger of artifacts of this kind; None: of any."""
        if not fetched(folder / "manifest.json"):
            raise ArtefactError(f"{folder} must hold {kind or 'an artifact'}, and it has no manifest.json")
        manifest = read_json(folder / "manifest.json")
        made_by, num_shards = manifest.get("made_by"), manifest.get("num_shards")
        if manifest.get("format") != LEDGER_FORMAT or not isinstance(made_by, dict) or not isinstance(num_shards, int):
            raise ArtefactError(
                f"{folder}/manifest.json must have format {LEDGER_FORMAT}, got {shown(manifest.get('format'))}. "
                f"It is damaged, or another version of xdr wrote it. {remedy(folder)}"
            )
        found = str(manifest.get("kind"))
        if kind not in (None, found):
            raise ArtefactError(f"{folder} must hold {kind}, got {found}")
        return cls(folder, found, num_shards, made_by)

    @property
    def fingerprint(self) -> str:
        return fingerprint({"kind": self.kind, "num_shards": self.num_shards, "made_by": self.made_by})

    def missing(self) -> list[int]:
        """Returns the numbers of the shards that do not exist yet."""
        if remote := Remote.of(self.folder):
            there = set(remote.entries(self.folder, _ENTRY))
            return [shard for shard in range(self.num_shards) if self._path(shard).name not in there]
        return [shard for shard in range(self.num_shards) if not self._is_there(shard)]

    @contextmanager
    def writing(self, shard: int, emptied: Sequence[str] = ()) -> Iterator[Path]:
        """Yields an empty folder to fill. It becomes the shard when the block ends, and is removed if the block fails.
        `emptied` are ids of sources that were taken as if they had no text."""
        assert 0 <= shard < self.num_shards
        with creating_folder(self._path(shard)) as partial:
            yield partial
            files: dict[str, Json] = {
                file.name: {"bytes": file.stat().st_size, "sha256": checksum_file(file)} for file in sorted(partial.iterdir())
            }
            made: dict[str, Json] = {"fingerprint": self.fingerprint, "versions": dict(versions())}
            entry: dict[str, Json] = {"shard": shard, **made, "files": files}
            write_json(partial / _ENTRY, entry | ({"emptied": list(emptied)} if emptied else {}))
            if remote := Remote.of(self.folder):
                self._commit(remote, shard, partial, files)

    def emptied(self) -> list[str]:
        """The ids of sources that were taken as if they had no text, in the shards that exist."""
        return [str(source) for entry in self._entries() for source in entry.get("emptied", ())]  # type: ignore[union-attr]  # as written

    def other_versions(self) -> list[str]:
        """Names and versions of libraries that made shards and are not those of now."""
        made = (entry.get("versions") for entry in self._entries())
        found = {f"{name} {version}" for of_shard in made if isinstance(of_shard, dict) for name, version in of_shard.items()}
        return sorted(found - {f"{name} {version}" for name, version in versions().items()})

    @contextmanager
    def claiming(self, shard: int) -> Iterator[bool]:
        """Yields whether this process should make the shard: it is missing, and no other process is making it. The claim ends
        with the block, or with the process."""
        if self._is_there(shard):
            yield False
            return
        claims = self.folder / ".claims"
        claims.mkdir(exist_ok=True)
        try:
            held = lock(claims / f"{shard:05d}", 0)
        except Timeout:
            yield False
            return
        try:
            yield not self._is_there(shard)  # another process may have finished it meanwhile
        finally:
            held.release()

    def file(self, shard: int, name: str, *, checksum: bool = True) -> Path:
        """Returns one file of a shard after checking it. A remote one is fetched first."""
        described, path = self._files(shard).get(name), self._path(shard) / name
        if described and not path.exists() and (remote := Remote.of(self.folder)):
            remote.get(path, _suffix(described))
        _refuse_unless_whole(path, described, checksum)
        return path

    def whole(self, shard: int, *, fetch: bool = True) -> Path:
        """Returns the folder of a shard after checking all of its files; of a mirror without `fetch`, those that it holds."""
        for name in self._files(shard):
            if fetch or (self._path(shard) / name).exists() or not Remote.of(self.folder):
                self.file(shard, name)
        return self._path(shard)

    def heads(self, name: str, num_bytes: int) -> dict[Path, bytes]:
        """The first bytes of a file of each shard. Of remote files nothing else is read."""
        self._fetch_entries(range(self.num_shards))
        files = {self._path(shard) / name: self._files(shard).get(name) for shard in range(self.num_shards)}
        remote = Remote.of(self.folder)
        afar = {path: _suffix(file) for path, file in files.items() if remote and file and not path.exists()}
        heads = dict(zip(afar, remote.read(list(afar), list(afar.values()), num_bytes), strict=True)) if remote and afar else {}
        for path, described in files.items():
            if path not in afar:
                _refuse_unless_whole(path, described, checksum=False)
                with path.open("rb") as file:
                    heads[path] = file.read(num_bytes)
        return {path: heads[path] for path in files}

    def num_bytes(self) -> int:
        """The size of all shards."""
        self._fetch_entries(range(self.num_shards))
        return sum(int(str(file["bytes"])) for shard in range(self.num_shards) for file in self._files(shard).values())

    def require_complete(self) -> None:
        """Raises an error that names missing shards, if there are any."""
        if missing := self.missing():
            names = ", ".join(self._path(shard).name for shard in missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise ArtefactError(
                f"{self.folder} lacks {len(missing)} of {self.num_shards} shards: {names}. "
                "Run the command that makes them again; it makes only missing shards"
            )

    def _is_there(self, shard: int) -> bool:
        folder, remote = self._path(shard), Remote.of(self.folder)
        if remote:
            return remote.has(folder / _ENTRY)
        if not os.path.lexists(folder):
            return False
        if not (folder / _ENTRY).is_file():  # it would stand in the way of a new shard
            raise ArtefactError(f"{folder} must be a whole shard, and has no {_ENTRY}. Remove it and run the command again")
        return True

    def _files(self, shard: int) -> Mapping[str, Mapping[str, Json]]:
        """The size and the checksum of each file, from the entry."""
        folder = self._path(shard)
        if not fetched(folder / _ENTRY):
            raise ArtefactError(f"{folder} is missing. Run the command that makes it again; it makes only missing shards")
        entry = read_json(folder / _ENTRY)
        if entry.get("shard") != shard or entry.get("fingerprint") != self.fingerprint:
            raise ArtefactError(
                f"{folder} was made from something else than {self.folder}/manifest.json says. {remedy(folder)}"
            )
        files = entry.get("files")
        if not isinstance(files, dict) or not all(map(_is_described, files.values())):
            raise ArtefactError(f"{folder}/{_ENTRY} is damaged. {remedy(folder)}")
        return files

    def _entries(self) -> list[Mapping[str, Json]]:
        """Of the shards that exist."""
        there = sorted(set(range(self.num_shards)) - set(self.missing()))
        self._fetch_entries(there)
        return [read_json(self._path(shard) / _ENTRY) for shard in there]

    def _fetch_entries(self, shards: Iterable[int]) -> None:
        """Those that the mirror lacks, all at once."""
        remote, paths = Remote.of(self.folder), [self._path(shard) / _ENTRY for shard in shards]
        absent = [path for path in paths if remote and not path.exists()]
        for path, content in zip(absent, remote.read(absent), strict=True) if remote and absent else ():
            with replacing_file(path) as partial:
                partial.write_bytes(content)

    def _commit(self, remote: Remote, shard: int, partial: Path, files: Mapping[str, Json]) -> None:
        """The entry is put last. If another machine was faster, its files count, which are fetched when they are asked for."""
        if self._is_there(shard):
            for file in partial.iterdir():
                file.unlink()
            return
        for name, described in files.items():
            remote.put(partial / name, self._path(shard) / name, _suffix(described))
        remote.put(partial / _ENTRY, self._path(shard) / _ENTRY)

    def _path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05d}"

    def _manifest(self) -> dict[str, Json]:
        return {
            "format": LEDGER_FORMAT,
            "kind": self.kind,
            "num_shards": self.num_shards,
            "fingerprint": self.fingerprint,
            "made_by": self.made_by,
        }

    def _refuse_unless_same(self, wanted: "ShardLedger") -> None:
        if self.fingerprint == wanted.fingerprint:
            return
        ours = {"num_shards": self.num_shards, **self.made_by}
        theirs = {"num_shards": wanted.num_shards, **wanted.made_by}
        differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        raise ArtefactError(
            f"the {self.kind} in {self.folder} were made from something else: "
            + "; ".join(f"{key} was {shown(ours.get(key))} and is now {shown(theirs.get(key))}" for key in differing)
            + ". Choose another folder, or remove this one"
        )


def _is_described(file: Json) -> bool:
    return isinstance(file, dict) and isinstance(file.get("bytes"), int) and isinstance(file.get("sha256"), str)


def refusing_damage(file: Path) -> AbstractContextManager[None]:
    """Around code that reads this file of a shard: a library's error becomes one sentence."""
    return in_one_sentence(lambda error: ArtefactError(f"{file} is damaged: {first_line(error)}. {remedy(file.parent)}"))


def _suffix(described: Json) -> str:
    """Of a file's name in a store of objects."""
    assert isinstance(described, Mapping)
    return f".{str(described['sha256'])[:16]}"


def _refuse_unless_whole(file: Path, expected: Mapping[str, Json] | None, checksum: bool) -> None:
    what_to_do = remedy(file.parent)
    if expected is None or not file.is_file():
        raise ArtefactError(f"{file} is missing. {what_to_do}")
    size = file.stat().st_size
    if size != expected.get("bytes"):
        raise ArtefactError(f"{file} must have {expected.get('bytes')} bytes, got {size}. {what_to_do}")
    if checksum and checksum_file(file) != expected.get("sha256"):
        raise ArtefactError(f"{file} is damaged: its SHA-256 differs from the ledger's. {what_to_do}")
