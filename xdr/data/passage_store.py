"""A collection on disk: converted once, then memory-mapped, read by row or by id, shared between processes.

FOLDER/passages.arrow    id, title, text, language, in batches of BATCH_ROWS
FOLDER/id_hashes.npy     the hashes of the ids, in ascending order
FOLDER/id_rows.npy       the row of each hash
FOLDER/store.json        number of passages, fingerprint of their content, sources, sizes and checksums of the files
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xdr.data.id_index import IdIndex, hash_ids, write_id_index
from xdr.data.passage_batches import BATCH_ROWS, SCHEMA, PassageBatches, checksums_of, update_with_values
from xdr.errors import ArtefactError, DataError, shown
from xdr.storage.files import creating_folder, read_sealed, remove_leftovers, write_sealed
from xdr.storage.fingerprint import Json, checksum_file
from xdr.storage.locks import locked
from xdr.storage.remote import Remote, remedy
from xdr.text.records import Passage

STORE_FORMAT = 2
_PASSAGES, _INDEX = "passages.arrow", ("id_hashes.npy", "id_rows.npy")
_FILES = (_PASSAGES, *_INDEX)


class PassageStore:
    """The store that `convert_passages` left in a folder. It can be sent to worker processes. What is read of its files is
    compared with checksums, once in each process."""

    def __init__(self, folder: Path) -> None:
        manifest = read_sealed(folder / "store.json")
        sizes = {name: (folder / name).stat().st_size if (folder / name).exists() else None for name in _FILES}
        if manifest.get("format") != STORE_FORMAT or manifest.get("files") != sizes:
            problem = f"must be a whole store of format {STORE_FORMAT} with files of {manifest.get('files')} bytes, got {sizes}"
            raise ArtefactError(f"{folder} {problem}. {remedy(folder)}")
        self.folder = folder
        self.manifest = manifest
        self.fingerprint = str(manifest["fingerprint"])
        """Of the content: ids, titles, texts, languages, in order."""
        self._num_passages = int(str(manifest["num_passages"]))
        checksums: Any = manifest["checksums"]
        self._batches = PassageBatches(folder / _PASSAGES, checksums[_PASSAGES])
        self._ids = IdIndex(folder, {name: checksums[name] for name in _INDEX})

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
        return Passage(*(column[row % BATCH_ROWS].as_py() for column in self._batches.views(row // BATCH_ROWS)))

    def __iter__(self) -> Iterator[Passage]:
        return self.slice(0, len(self))

    def slice(self, start: int, stop: int) -> Iterator[Passage]:
        """Rows `start` to `stop` - 1, much faster than one by one."""
        while start < stop:
            batch, first = divmod(start, BATCH_ROWS)
            length = min(stop - start, BATCH_ROWS - first)
            columns = [column.slice(first, length).to_pylist() for column in self._batches.read(batch)]
            yield from map(Passage, *columns)
            start += length

    def rows(self, passage_ids: Sequence[str]) -> list[int | None]:
        """The row of each id, None for one that is not in the collection."""
        return self._ids.find(passage_ids, lambda row: str(self._batches.view(row // BATCH_ROWS, "id")[row % BATCH_ROWS]))

    def require_rows(self, passage_ids: Sequence[str], wanted_by: str) -> list[int]:
        """Like `rows`; all ids must be in the collection. `wanted_by` is the file that names them."""
        rows = self.rows(passage_ids)
        if missing := [passage_id for passage_id, row in zip(passage_ids, rows, strict=True) if row is None]:
            names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            problem = f"{len(missing):,} passage ids are not in the collection: {names}"
            raise DataError(problem, file=wanted_by, remedy=f"Is {self.folder} the collection of the same release?")
        return [row for row in rows if row is not None]

    def verify(self) -> None:
        """Compares all of it with its checksums."""
        for batch in range(len(self._batches)):
            self._batches.read(batch)
        self._ids.verify()

    def languages(self) -> tuple[tuple[str, ...], NDArray[np.integer]]:
        """The languages of the passages, and the index of its language for each row."""
        batches = [self._batches.view(batch, "language") for batch in range(len(self._batches))]
        column = pa.chunked_array(batches).combine_chunks().dictionary_encode()
        return tuple(column.dictionary.to_pylist()), column.indices.to_numpy()


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
    with locked(folder.parent / f".{folder.name}.lock"):
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
                    manifest: dict[str, Json] = {"format": STORE_FORMAT, **written, **made}
                    write_sealed(partial / "store.json", manifest)
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
    """Writes passages and index; returns their number, a fingerprint of the content, and checksums."""
    content, num_passages, hashes_file = hashlib.sha256(), 0, folder / "hashes.partial"
    of_batches: list[Json] = []
    with (
        pa.OSFile(str(folder / _PASSAGES), "wb") as sink,
        pa.ipc.new_file(sink, SCHEMA) as writer,
        hashes_file.open("wb") as hashes,
    ):
        remaining = iter(passages)
        while chunk := list(islice(remaining, BATCH_ROWS)):
            values = zip(*((p.passage_id, p.title, p.text, p.language) for p in chunk), strict=True)
            columns = [pa.array(column, pa.string()) for column in values]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
            update_with_values(content, columns)
            of_batches.append(checksums_of(columns))
            hash_ids([passage.passage_id for passage in chunk]).tofile(hashes)
            num_passages += len(chunk)
            progress(num_passages)
    if not num_passages:
        raise DataError("a collection must have at least one passage, got none", file=_sources(made_from))
    if twin := write_id_index(folder, hashes_file, _id_reader(folder / _PASSAGES)):
        problem = f"ids must be unique, got '{twin.passage_id}' for passages {twin.first_row + 1:,} and {twin.second_row + 1:,}"
        raise DataError(problem, file=_sources(made_from), field="docid")
    hashes_file.unlink()
    checksums: dict[str, Json] = {name: checksum_file(folder / name) for name in _INDEX}
    checksums[_PASSAGES] = of_batches
    return {"num_passages": num_passages, "fingerprint": content.hexdigest()[:32], "checksums": checksums}


def _sources(made_from: Mapping[str, Json]) -> str:
    sources = made_from.get("sources", made_from)
    return ", ".join(sources) if isinstance(sources, dict) else shown(sources, 200)


def _id_reader(path: Path) -> Callable[[int], str]:
    file = pa.ipc.open_file(pa.memory_map(str(path)))
    return lambda row: str(file.get_batch(row // BATCH_ROWS).column(0)[row % BATCH_ROWS])
