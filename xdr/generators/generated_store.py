"""Generated texts on disk, in the order of the collection they were written for: shard i holds the texts of rows
`i * shard_size` to `(i + 1) * shard_size`.

FOLDER/shard-00007/texts.arrow    id, and a list of texts for each language; compressed
FOLDER/shard-00007/counts.json    what was drawn, refused and kept, by language
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from xdr.errors import ArtefactError
from xdr.generators.quality import QualityCounts
from xdr.storage.files import read_json, write_json
from xdr.storage.fingerprint import Json
from xdr.storage.ledger import ShardLedger
from xdr.text.records import GeneratedTexts

KIND = "generated texts"
_TEXTS, _COUNTS = "texts.arrow", "counts.json"


def write_texts(texts: Sequence[GeneratedTexts], languages: Sequence[str], folder: Path) -> None:
    columns = [pa.array([text.source_id for text in texts], pa.string())]
    for language in languages:
        columns.append(pa.array([list(text.texts.get(language, ())) for text in texts], pa.list_(pa.string())))
    schema = pa.schema([("id", pa.string()), *((language, pa.list_(pa.string())) for language in languages)])
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.OSFile(str(folder / _TEXTS), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))


def write_counts(counts: Mapping[str, QualityCounts], folder: Path) -> None:
    write_json(folder / _COUNTS, {language: count.to_json() for language, count in counts.items()})


class GeneratedStore:
    """Whole, or refused with the shards that are missing."""

    def __init__(self, folder: Path) -> None:
        self._ledger = ShardLedger.open(folder, KIND)
        self._ledger.require_complete()
        self.folder = folder
        self.made_by: Mapping[str, Json] = self._ledger.made_by
        self.fingerprint = self._ledger.fingerprint
        languages, shard_size, num_sources = (self.made_by.get(key) for key in ("languages", "shard_size", "num_sources"))
        if not isinstance(languages, list) or not isinstance(shard_size, int) or not isinstance(num_sources, int):
            raise ArtefactError(f"{folder}/manifest.json does not say for which languages and how many sources its texts are")
        self.languages = tuple(map(str, languages))
        self._shard_size, self._num_sources = shard_size, num_sources
        self._last: tuple[int, list[GeneratedTexts]] = (-1, [])

    @property
    def most(self) -> int:
        """Texts of a language that a source has at most."""
        settings = self.made_by.get("generation", self.made_by.get("order"))  # its name before format 3
        most = settings.get("number") if isinstance(settings, Mapping) else self.made_by.get("most")
        if not isinstance(most, int):
            raise ArtefactError(f"{self.folder}/manifest.json does not say how many texts of a language there are at most")
        return most

    def __len__(self) -> int:
        return self._num_sources

    def __iter__(self) -> Iterator[GeneratedTexts]:
        return self.slice(0, len(self))

    def slice(self, start: int, stop: int) -> Iterator[GeneratedTexts]:
        """Of rows `start` to `stop` of the collection; each shard that they stand in is read once, and checked."""
        while start < min(stop, len(self)):
            shard, first = divmod(start, self._shard_size)
            length = min(stop - start, self._shard_size - first)
            yield from self._read(shard)[first : first + length]
            start += length

    def counts(self) -> dict[str, QualityCounts]:
        """Of all shards."""
        total = {language: QualityCounts() for language in self.languages}
        for shard in range(self._ledger.num_shards):
            path = self._ledger.shard(shard, checksum=False) / _COUNTS
            for language, values in read_json(path).items() if path.exists() else ():
                assert isinstance(values, Mapping)
                total[language] = total[language].merge(QualityCounts.from_json(values))
        return total

    def num_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def _read(self, shard: int) -> list[GeneratedTexts]:
        """The last one is kept: neighbours are asked for one after the other."""
        if self._last[0] != shard:
            self._last = shard, self._from_disk(shard)
        return self._last[1]

    def _from_disk(self, shard: int) -> list[GeneratedTexts]:
        with pa.memory_map(str(self._ledger.shard(shard) / _TEXTS)) as source:
            table = pa.ipc.open_file(source).read_all()
        ids = table.column("id").to_pylist()
        columns = {language: table.column(language).to_pylist() for language in self.languages}
        return [
            GeneratedTexts(source_id, {language: tuple(column[row]) for language, column in columns.items()})
            for row, source_id in enumerate(ids)
        ]
