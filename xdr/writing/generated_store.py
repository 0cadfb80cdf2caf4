"""Generated texts on disk, in the order of the collection they were written for. Shard i holds the texts of rows
`i * shard_size` to `(i + 1) * shard_size`.

FOLDER/shard-00007/texts.arrow    id, and a list of texts for each language; compressed
FOLDER/shard-00007/counts.json    how many texts were drawn, refused and kept, by language
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from xdr.errors import ArtefactError
from xdr.storage.files import read_json, write_json
from xdr.storage.fingerprint import Json
from xdr.storage.ledger import ShardLedger, refusing_damage
from xdr.text.records import GeneratedTexts
from xdr.writing.quality import QualityCounts

KIND = "generated texts"
_TEXTS, _COUNTS = "texts.arrow", "counts.json"


def write_texts(texts: Sequence[GeneratedTexts], languages: Sequence[str], folder: Path) -> None:
    columns = {"id": pa.array([text.source_id for text in texts], pa.string())}
    for language in languages:
        columns[language] = pa.array([list(text.texts.get(language, ())) for text in texts], pa.list_(pa.string()))
    batch = pa.RecordBatch.from_pydict(columns)
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.OSFile(str(folder / _TEXTS), "wb") as sink, pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def write_counts(counts: Mapping[str, QualityCounts], folder: Path) -> None:
    write_json(folder / _COUNTS, {language: count.to_json() for language, count in counts.items()})


class GeneratedStore:
    """Opens a folder with all its shards; a folder that lacks some is refused with their names."""

    def __init__(self, folder: Path) -> None:
        self._ledger = ShardLedger.open(folder, KIND)
        self._ledger.require_complete()
        self.folder = folder
        self.made_by: Mapping[str, Json] = self._ledger.made_by
        self.fingerprint = self._ledger.fingerprint
        languages, shard_size, num_sources = (self.made_by.get(key) for key in ("languages", "shard_size", "num_sources"))
        if not isinstance(languages, list) or not isinstance(shard_size, int) or not isinstance(num_sources, int):
            raise ArtefactError(f"{folder}/manifest.json must name languages, shard_size and num_sources")
        self.languages = tuple(map(str, languages))
        self._shard_size, self._num_sources = shard_size, num_sources
        self._last: tuple[int, list[GeneratedTexts]] = (-1, [])

    @property
    def most(self) -> int:
        """The largest number of texts that a source can have in one language."""
        settings = self.made_by.get("generation", self.made_by.get("order"))  # its name before format 3
        most = settings.get("number") if isinstance(settings, Mapping) else self.made_by.get("most")
        if not isinstance(most, int):
            raise ArtefactError(f"{self.folder}/manifest.json must say how many texts of a language a source has at most")
        return most

    def __len__(self) -> int:
        return self._num_sources

    def __iter__(self) -> Iterator[GeneratedTexts]:
        return self.slice(0, len(self))

    def slice(self, start: int, stop: int) -> Iterator[GeneratedTexts]:
        """The texts of rows `start` to `stop` of the collection. Each shard is read once, and its checksum verified."""
        while start < min(stop, len(self)):
            shard, first = divmod(start, self._shard_size)
            length = min(stop - start, self._shard_size - first)
            if self._last[0] != shard:  # kept, because the next slice often starts in the same shard
                self._last = shard, self._read(shard)
            yield from self._last[1][first : first + length]
            start += length

    def numbers(self, most: int = 0) -> dict[str, NDArray[np.uint16]]:
        """How many texts each source has, by language. The first `most` of a language count (0: all). In 16 bits, as with the
        vectors: there may be many millions of sources."""
        lengths: dict[str, list[NDArray[np.uint16]]] = {language: [] for language in self.languages}
        for shard in range(self._ledger.num_shards):
            path = self._ledger.file(shard, _TEXTS)
            with refusing_damage(path), pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
                for language, of_shards in lengths.items():
                    of_shards.append(pc.list_value_length(table[language]).to_numpy().astype(np.uint16))
        numbers = {language: np.concatenate(of_shards) for language, of_shards in lengths.items()}
        return {language: np.minimum(each, most) if most else each for language, each in numbers.items()}

    def counts(self) -> dict[str, QualityCounts]:
        """The sums over all shards, by language."""
        total = {language: QualityCounts() for language in self.languages}
        for shard in range(self._ledger.num_shards):
            for language, values in read_json(self._ledger.file(shard, _COUNTS)).items():
                assert isinstance(values, Mapping)
                total[language] = total[language].merge(QualityCounts.from_json(values))
        return total

    def num_bytes(self) -> int:
        return self._ledger.num_bytes()

    def _read(self, shard: int) -> list[GeneratedTexts]:
        path = self._ledger.file(shard, _TEXTS)
        with refusing_damage(path), pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).read_all().to_pylist()
            return [GeneratedTexts(row["id"], {language: tuple(row[language]) for language in self.languages}) for row in rows]
