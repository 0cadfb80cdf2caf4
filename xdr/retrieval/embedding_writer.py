"""Vectors on their way to disk: a shard is written in any order of rows, and joins the ledger when it is whole."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xdr.errors import DataError
from xdr.retrieval.embeddings import KIND, Rows
from xdr.retrieval.layout import Layout, layout_of
from xdr.storage.fingerprint import Json
from xdr.storage.ledger import ShardLedger


def create_embeddings(folder: Path, num_shards: int, layout: Layout, made_by: Mapping[str, Json]) -> ShardLedger:
    """The ledger to write shards into. `made_by` says what decides the vectors: the fingerprints of encoder, collection and
    generated queries, and lengths; the layout joins it."""
    layout_json: dict[str, Json] = {
        "dimension": layout.dimension,
        "keep": layout.keep,
        "languages": list(layout.languages),
        "count": layout.count,
    }
    return ShardLedger.create(folder, KIND, num_shards, {**made_by, "layout": layout_json})


class ShardWriter:
    """Takes a shard's vectors in any order of rows. Get one from `writing_shard`."""

    def __init__(self, folder: Path, layout: Layout, passage_ids: Sequence[str]) -> None:
        num_rows, groups = len(passage_ids), len(layout.groups)
        assert num_rows, "a shard has at least one row"
        self._ids = passage_ids
        self._written = np.zeros(num_rows, bool)
        self._passages_ND = _new_array(folder / "passages.npy", np.float16, (num_rows, layout.dimension))
        self._has_companions = groups > 0
        if groups:
            self._companions_GND = _new_array(folder / "companions.npy", np.float16, (groups, num_rows, layout.dimension))
            self._counts_GN = _new_array(folder / "counts.npy", np.uint16, (groups, num_rows))
        ids = pa.record_batch([pa.array(passage_ids, pa.string())], names=["id"])
        with pa.OSFile(str(folder / "ids.arrow"), "wb") as sink, pa.ipc.new_file(sink, ids.schema) as writer:
            writer.write_batch(ids)

    def put(
        self,
        rows: Rows,
        passages_ND: NDArray[np.floating],
        companions_GND: NDArray[np.floating] | None = None,
        counts_GN: NDArray[np.integer] | None = None,
    ) -> None:
        """Rows of the shard, from 0. A value that is no number, or too large for float16, is refused with its passage's id."""
        assert not self._written[rows].any(), "a row is written once"
        assert (companions_GND is None) == (counts_GN is None) != self._has_companions
        self._passages_ND[rows] = self._halved(passages_ND, rows, "the passage")
        if companions_GND is not None and counts_GN is not None:
            for group, companions_ND in enumerate(companions_GND):
                self._companions_GND[group, rows] = self._halved(companions_ND, rows, "the companions of")
            self._counts_GN[:, rows] = counts_GN
        self._written[rows] = True

    def _halved(self, vectors_ND: NDArray[np.floating], rows: Rows, of: str) -> NDArray[np.float16]:
        with np.errstate(over="ignore"):
            halved_ND = vectors_ND.astype(np.float16)
        fine_N = np.isfinite(halved_ND).all(axis=1)
        if not fine_N.all():
            bad = np.arange(len(self._ids))[rows][~fine_N]
            values = vectors_ND[int(np.argmin(fine_N))]
            found = "NaN or infinity" if not np.isfinite(values).all() else f"{np.abs(values).max():g}, too large for float16"
            raise DataError(
                f"the vector of {of} '{self._ids[bad[0]]}' holds {found} ({len(bad):,} such in this batch)",
                remedy="Is the encoder sound in the precision it runs in? Try fp32",
            )
        return halved_ND

    def finish(self) -> None:
        assert self._written.all(), f"{int((~self._written).sum()):,} rows were never written"
        self._passages_ND.flush()
        if self._has_companions:
            self._companions_GND.flush()
            self._counts_GN.flush()


@contextmanager
def writing_shard(ledger: ShardLedger, shard: int, passage_ids: Sequence[str]) -> Iterator[ShardWriter]:
    """A shard that joins the ledger when the block ends with every row written, and not at all if it fails."""
    with ledger.writing(shard) as folder:
        writer = ShardWriter(folder, layout_of(ledger), passage_ids)
        yield writer
        writer.finish()


def _new_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """A mapped file whose space is taken at once: a full disk is then an error here, not a crash at some later write."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
