"""A collection on disk: converted once, memory-mapped ever after, read by row or by id, shared between processes.

FOLDER/passages.arrow    id, title, text, language, in batches of BATCH_ROWS
FOLDER/id_hashes.npy     the ids' hashes in ascending order
FOLDER/id_rows.npy       the row of each of them
FOLDER/store.json        the number of passages, a fingerprint of their content, what they were made from, file sizes
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from xdr.text.records import Passage

STORE_FORMAT = 1
BATCH_ROWS = 4096
_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "title", "text", "language")])
_FILES = ("passages.arrow", "id_hashes.npy", "id_rows.npy")


class PassageStore:
    """Open one with `open_store` or make one with `convert_passages`. Safe to hand to worker processes."""

    def __init__(self, folder: Path) -> None:
        manifest = read_json(folder / "store.json")
        sizes = {name: (folder / name).stat().st_size if (folder / name).exists() else None for name in _FILES}
        if manifest.get("format") != STORE_FORMAT or manifest.get("files") != sizes:
            raise ArtefactError(
                f"{folder} is not whole, or not of format {STORE_FORMAT}: its files have {sizes} bytes and should have "
                f"{manifest.get('files')}. Remove it, and it is made again"
            )
        self.folder = folder
        self.manifest = manifest
        self.fingerprint = str(manifest["fingerprint"])
        """Of the content alone: ids, titles, texts, languages, in order."""
        self._num_passages = int(str(manifest["num_passages"]))
        self._file = pa.ipc.open_file(pa.memory_map(str(folder / "passages.arrow")))
        self._ids = IdIndex(folder)
        self._batches: dict[int, tuple[Any, ...]] = {}

    def __reduce__(self) -> tuple[type["PassageStore"], tuple[Path]]:
        return PassageStore, (self.folder,)

    @property
    def notes(self) -> list[str]:
        """What was skipped or left out when the collection was read."""
        notes = self.manifest["notes"]
        assert isinstance(notes, list)
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
        """Rows `start` to `stop`, much faster than one by one."""
        while start < stop:
            batch, first = divmod(start, BATCH_ROWS)
            length = min(stop - start, BATCH_ROWS - first)
            columns = [column.slice(first, length).to_pylist() for column in self._columns(batch)]
            yield from map(Passage, *columns)
            start += length

    def rows(self, passage_ids: Sequence[str]) -> list[int | None]:
        """The row of each id, None where the collection lacks it."""
        return self._ids.find(passage_ids, lambda row: str(self._columns(row // BATCH_ROWS)[0][row % BATCH_ROWS]))

    def require_rows(self, passage_ids: Sequence[str], wanted_by: str) -> list[int]:
        """As `rows`, where every id must be there."""
        rows = self.rows(passage_ids)
        if missing := [passage_id for passage_id, row in zip(passage_ids, rows, strict=True) if row is None]:
            raise DataError(
                f"{len(missing):,} passage ids are not in the collection: {', '.join(missing[:3])}"
                + (", ..." if len(missing) > 3 else ""),
                file=wanted_by,
                remedy=f"The collection is {self.folder}; are the two of one release?",
            )
        return [row for row in rows if row is not None]

    def languages(self) -> tuple[tuple[str, ...], NDArray[np.integer]]:
        """The languages that there are, and which of them each passage is in, by row."""
        batches = [self._columns(batch)[_SCHEMA.get_field_index("language")] for batch in range(self._file.num_record_batches)]
        column = pa.chunked_array(batches).combine_chunks().dictionary_encode()
        return tuple(column.dictionary.to_pylist()), column.indices.to_numpy()

    def passage(self, passage_id: str) -> Passage:
        return self[self.require_rows([passage_id], "the look-up")[0]]

    def _columns(self, batch: int) -> tuple[Any, ...]:
        """Views into the mapped file; kept, they weigh next to nothing."""
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
    """Writes the store whole, or nothing. A folder that is there is opened, if it was made from the same; processes that
    want the same store wait for the first. `progress` is called with the number of passages so far; `notes`, at the end,
    for what is to be remembered of the reading: lines that were skipped."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        remove_leftovers(folder.parent)
        if not folder.exists():
            with creating_folder(folder) as partial:
                _write(passages, partial, made_from, progress, notes)
    store = PassageStore(folder)
    if store.manifest.get("made_from") != dict(made_from):
        came, wanted = shown(store.manifest.get("made_from"), 300), shown(dict(made_from), 300)
        raise ArtefactError(f"{folder} was made from {came}, not from {wanted}. Remove it, or choose another folder")
    return store


def _sources(made_from: Mapping[str, Json]) -> str:
    sources = made_from.get("sources", made_from)
    return ", ".join(sources) if isinstance(sources, dict) else shown(sources, 200)


def _write(
    passages: Iterable[Passage],
    folder: Path,
    made_from: Mapping[str, Json],
    progress: Callable[[int], None],
    notes: Callable[[], list[str]],
) -> None:
    content = _ContentHash()
    num_passages = 0
    hashes_file = folder / "hashes.partial"
    with (
        pa.OSFile(str(folder / "passages.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, _SCHEMA) as writer,
        hashes_file.open("wb") as hashes,
    ):
        for rows in _chunks(passages, BATCH_ROWS):
            ids = [passage.passage_id for passage in rows]
            columns = [
                pa.array(values, pa.string())
                for values in (
                    ids,
                    [passage.title for passage in rows],
                    [passage.text for passage in rows],
                    [passage.language for passage in rows],
                )
            ]
            writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
            content.update(columns)
            hash_ids(ids).tofile(hashes)
            num_passages += len(rows)
            progress(num_passages)
    if not num_passages:
        raise DataError("a collection has at least one passage", file=str(folder))
    twin = write_id_index(folder, hashes_file, _id_reader(folder / "passages.arrow"))
    hashes_file.unlink()
    if twin is not None:
        raise DataError(
            f"the id '{twin.passage_id}' is that of passages {twin.first_row + 1:,} and {twin.second_row + 1:,}",
            file=_sources(made_from),
            field="docid",
            remedy="Ids are unique in a collection",
        )
    sizes: dict[str, Json] = {name: (folder / name).stat().st_size for name in _FILES}
    manifest: dict[str, Json] = {
        "format": STORE_FORMAT,
        "num_passages": num_passages,
        "fingerprint": content.hexdigest(),
        "made_from": dict(made_from),
        "notes": list(notes()),
        "files": sizes,
    }
    write_json(folder / "store.json", manifest)


class _ContentHash:
    """Of the columns' values, whatever the version of Arrow's file format."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def update(self, columns: Sequence[Any]) -> None:
        for column in columns:
            _, offsets, values = column.buffers()
            ends = memoryview(offsets)[: 4 * (len(column) + 1)]
            self._sha256.update(ends)
            self._sha256.update(memoryview(values)[: int.from_bytes(ends[-4:], "little")] if values else b"")

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()[:32]


def _chunks(passages: Iterable[Passage], size: int) -> Iterator[list[Passage]]:
    chunk: list[Passage] = []
    for passage in passages:
        chunk.append(passage)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _id_reader(path: Path) -> Callable[[int], str]:
    file = pa.ipc.open_file(pa.memory_map(str(path)))
    return lambda row: str(file.get_batch(row // BATCH_ROWS).column(0)[row % BATCH_ROWS])
