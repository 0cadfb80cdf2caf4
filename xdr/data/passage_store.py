"""A collection on disk: converted once, then memory-mapped, read by row or by id, shared between processes.

FOLDER/passages.arrow    id, title, text, language, in batches of BATCH_ROWS
FOLDER/id_hashes.npy     the hashes of the ids, in ascending order
FOLDER/id_rows.npy       the row of each hash
FOLDER/store.json        number of passages, fingerprint of their content, sources, sizes of the files
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from xdr.data.id_index import IdIndex, hash_ids, write_id_index
from xdr.errors import ArtefactError, DataError, shown
from xdr.storage.files import creating_folder, read_json, remove_leftovers, write_json
from xdr.storage.fingerprint import Json
from xdr.storage.remote import Remote
from xdr.text.records import Passage

STORE_FORMAT = 1
BATCH_ROWS = 4096
_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "title", "text", "language")])
_FILES = ("passages.arrow", "id_hashes.npy", "id_rows.npy")


class PassageStore:
    """The store that `convert_passages` left in a folder. It can be sent to worker processes."""

    def __init__(self, folder: Path) -> None:
        manifest = read_json(folder / "store.json")
        sizes = {name: (folder / name).stat().st_size if (folder / name).exists() else None for name in _FILES}
        if manifest.get("format") != STORE_FORMAT or manifest.get("files") != sizes:
            problem = f"must be a whole store of format {STORE_FORMAT} with files of {manifest.get('files')} bytes, got {sizes}"
            raise ArtefactError(f"{folder} {problem}. Remove it, and it is made again")
        self.folder = folder
        self.manifest = manifest
        self.fingerprint = str(manifest["fingerprint"])
        """Of the content: ids, titles, texts, languages, in order."""
        self._num_passages = int(str(manifest["num_passages"]))
        self._file = pa.ipc.open_file(pa.memory_map(str(folder / "passages.arrow")))
        self._ids = IdIndex(folder)
        self._batches: dict[int, tuple[Any, ...]] = {}

    def __reduce__(self) -> tuple[type["PassageStore"], tuple[Path]]:
        return PassageStore, (self.folder,)

    @property
    def notes(self) -> list[str]:
        """What was skipped or omitted when the collection was read."""
        notes: Any = self.manifest["notes"]
        return [str(note) for note in notes]

    def __len__(self) -> int:
        return self._num_passages

    def __getitem__(self, row: int) -> Passage:
        if not 0 <= row < self._num_passages:
            raise IndexError(f"row {row} of {self._num_passages} passages")
        columns = self._columns(row // BATCH_ROWS)
        return Passage(*(column[row % BATCH_ROWS].as_py() for column in columns))

    def __iter__(self) -> Iterator[Passage]:
        return self.slice(0, len(self))

    def slice(self, start: int, stop: int) -> Iterator[Passage]:
        """Rows `start` to `stop` - 1, much faster than one by one. They are read, not mapped: the mapped pages of a whole
        collection would count as this process's memory."""
        with pa.OSFile(str(self.folder / "passages.arrow")) as source:
            file = pa.ipc.open_file(source)
            while start < stop:
                batch, first = divmod(start, BATCH_ROWS)
                length = min(stop - start, BATCH_ROWS - first)
                columns = [column.slice(first, length).to_pylist() for column in file.get_batch(batch).columns]
                yield from map(Passage, *columns)
                start += length

    def rows(self, passage_ids: Sequence[str]) -> list[int | None]:
        """The row of each id, None for one that is not in the collection."""
        return self._ids.find(passage_ids, lambda row: str(self._columns(row // BATCH_ROWS)[0][row % BATCH_ROWS]))

    def require_rows(self, passage_ids: Sequence[str], wanted_by: str) -> list[int]:
        """Like `rows`; all ids must be in the collection. `wanted_by` is the file that names them."""
        rows = self.rows(passage_ids)
        if missing := [passage_id for passage_id, row in zip(passage_ids, rows, strict=True) if row is None]:
            names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            problem = f"{len(missing):,} passage ids are not in the collection: {names}"
            raise DataError(problem, file=wanted_by, remedy=f"Is {self.folder} the collection of the same release?")
        return [row for row in rows if row is not None]

    def languages(self) -> tuple[tuple[str, ...], NDArray[np.integer]]:
        """The languages of the passages, and the index of its language for each row."""
        batches = [self._columns(batch)[_SCHEMA.get_field_index("language")] for batch in range(self._file.num_record_batches)]
        column = pa.chunked_array(batches).combine_chunks().dictionary_encode()
        return tuple(column.dictionary.to_pylist()), column.indices.to_numpy()

    def _columns(self, batch: int) -> tuple[Any, ...]:
        """Views into the mapped file. They are kept, since they take nearly no memory."""
        columns = self._batches.get(batch)
        if columns is None:
            columns = self._batches[batch] = tuple(self._file.get_batch(batch).columns)
        return columns


def convert_passages(
    passages: Iterable[Passage],
    folder: Path,
    made_from: Mapping[str, Json],
    progress: Callable[[int], None] = lambda num_passages: None,
    notes: Callable[[], list[str]] = list,
) -> PassageStore:
    """Writes the whole store, or nothing. An existing folder is opened if it was made from the same; processes that want the
    same store wait for the first of them. `progress` is called with the number of passages so far, `notes` at the end: it
    returns what the store shall remember of the reading, such as skipped lines."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        remove_leftovers(folder.parent)
        if not folder.exists():
            with creating_folder(folder) as partial:
                remote = Remote.of(folder)
                if remote and remote.has(folder / "store.json"):
                    remote.get_all((*_FILES, "store.json"), folder, partial)
                else:
                    written = _write_passages(passages, partial, made_from, progress)
                    files: dict[str, Json] = {name: (partial / name).stat().st_size for name in _FILES}
                    made: dict[str, Json] = {"made_from": dict(made_from), "notes": list(notes()), "files": files}
                    write_json(partial / "store.json", {"format": STORE_FORMAT, **written, **made})
                    if remote:
                        remote.put_all((*_FILES, "store.json"), partial, folder)
    store = PassageStore(folder)
    if store.manifest.get("made_from") != dict(made_from):
        stored, asked = shown(store.manifest.get("made_from"), 300), shown(dict(made_from), 300)
        raise ArtefactError(f"{folder} was made from {stored}, not from {asked}. Remove it, or choose another folder")
    return store


def _write_passages(
    passages: Iterable[Passage], folder: Path, made_from: Mapping[str, Json], progress: Callable[[int], None]
) -> dict[str, Json]:
    """Writes passages and index; returns their number and a fingerprint of the content."""
    content, num_passages, hashes_file = hashlib.sha256(), 0, folder / "hashes.partial"
    with (
        pa.OSFile(str(folder / "passages.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, _SCHEMA) as writer,
        hashes_file.open("wb") as hashes,
    ):
        remaining = iter(passages)
        while chunk := list(islice(remaining, BATCH_ROWS)):
            values = zip(*((p.passage_id, p.title, p.text, p.language) for p in chunk), strict=True)
            columns = [pa.array(column, pa.string()) for column in values]
            writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
            _update(content, columns)
            hash_ids([passage.passage_id for passage in chunk]).tofile(hashes)
            num_passages += len(chunk)
            progress(num_passages)
    if not num_passages:
        raise DataError("a collection must have at least one passage, got none", file=_sources(made_from))
    if twin := write_id_index(folder, hashes_file, _id_reader(folder / "passages.arrow")):
        problem = f"ids must be unique, got '{twin.passage_id}' for passages {twin.first_row + 1:,} and {twin.second_row + 1:,}"
        raise DataError(problem, file=_sources(made_from), field="docid")
    hashes_file.unlink()
    return {"num_passages": num_passages, "fingerprint": content.hexdigest()[:32]}


def _sources(made_from: Mapping[str, Json]) -> str:
    sources = made_from.get("sources", made_from)
    return ", ".join(sources) if isinstance(sources, dict) else shown(sources, 200)


def _update(content: "hashlib._Hash", columns: Sequence[Any]) -> None:
    """With the columns' values, which do not depend on the version of Arrow's file format."""
    for column in columns:
        _, offsets, values = column.buffers()
        ends = memoryview(offsets)[: 4 * (len(column) + 1)]
        content.update(ends)
        content.update(memoryview(values)[: int.from_bytes(ends[-4:], "little")] if values else b"")


def _id_reader(path: Path) -> Callable[[int], str]:
    file = pa.ipc.open_file(pa.memory_map(str(path)))
    return lambda row: str(file.get_batch(row // BATCH_ROWS).column(0)[row % BATCH_ROWS])
