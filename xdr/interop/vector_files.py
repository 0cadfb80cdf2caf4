"""Vectors as files: NumPy, Parquet, faiss.

N rows, D dimensions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xdr.errors import UserError
from xdr.interop.vector_set import Batch, VectorSet
from xdr.retrieval.faiss_import import load_faiss
from xdr.retrieval.indexes import Flat
from xdr.storage.files import write_json

ABOUT = "about.json"
_IDS = "ids.txt"


@dataclass(frozen=True)
class NumpyFiles:
    """`vectors-00000.npy` and `ids-00000.txt`, with an id a line, and so on."""

    rows_per_file: int
    half: bool
    """float16."""

    def __post_init__(self) -> None:
        _require_rows(self.rows_per_file)

    def write(self, vectors: VectorSet, folder: Path) -> str:
        for number, batch in enumerate(vectors.batches(texts=False, least=self.rows_per_file)):
            np.save(folder / f"vectors-{number:05d}.npy", batch.vectors_ND.astype(np.float16 if self.half else np.float32))
            _write_ids(folder / f"ids-{number:05d}.txt", batch)
        write_json(folder / ABOUT, dict(vectors.about))
        return str(folder)


@dataclass(frozen=True)
class ParquetFiles:
    """`vectors-00000.parquet` and so on: `id`, `vector` and, with `texts`, `title`, `text`, `language`. What made the vectors
    is in the metadata of each file's schema, under `xdr`."""

    rows_per_file: int
    texts: bool

    def __post_init__(self) -> None:
        _require_rows(self.rows_per_file)

    def write(self, vectors: VectorSet, folder: Path) -> str:
        for number, batch in enumerate(vectors.batches(self.texts, self.rows_per_file)):
            table = as_table(batch).replace_schema_metadata({"xdr": vectors.about_as_text()})
            pq.write_table(table, folder / f"vectors-{number:05d}.parquet")
        return str(folder)


@dataclass(frozen=True)
class FaissFile:
    """`index.faiss`, the index that `search=` names (flat if it is exact), and `ids.txt`: the id of each row, a line each."""

    def write(self, vectors: VectorSet, folder: Path) -> str:
        index = vectors.index or Flat()
        index.require_buildable(len(vectors))
        built: Any = index.build(vectors.of_system(), "cpu")
        load_faiss().write_index(built.faiss_index, str(folder / "index.faiss"))
        with (folder / _IDS).open("w", encoding="utf-8", newline="\n") as file:
            for batch in vectors.ids():
                file.writelines(f"{name}\n" for name in batch)
        write_json(folder / ABOUT, dict(vectors.about))
        return str(folder)


def as_table(batch: Batch) -> pa.Table:
    dimension = batch.vectors_ND.shape[1]
    flat = pa.array(batch.vectors_ND.reshape(-1))
    columns = {"id": pa.array(batch.ids, pa.string()), "vector": pa.FixedSizeListArray.from_arrays(flat, dimension)}
    if batch.passages:
        for name in ("title", "text", "language"):
            columns[name] = pa.array([getattr(passage, name) for passage in batch.passages], pa.string())
    return pa.table(columns)


def _write_ids(path: Path, batch: Batch) -> None:
    path.write_text("".join(f"{name}\n" for name in batch.ids), encoding="utf-8", newline="\n")


def _require_rows(number: int) -> None:
    if number < 1:
        raise UserError(f"vectors.rows_per_file must be at least 1, got {number}")
