"""Writes the vectors of a shard, in any order of rows. A complete shard joins the ledger.

N rows, D dimensions, G groups of a layout.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xdr.errors import DataError
from xdr.storage.fingerprint import Json
from xdr.storage.ledger import ShardLedger
from xdr.vectors.embeddings import KIND, Rows
from xdr.vectors.layout import Layout, layout_of


def create_embeddings(folder: Path, num_shards: int, layout: Layout, made_by: Mapping[str, Json]) -> ShardLedger:
    """The ledger to write shards into. `made_by` holds what decides the vectors: the fingerprints of encoder, collection and
    generated texts, lengths and so on. The layout is added to it."""
    layout_json: dict[str, Json] = {
        "dimension": layout.dimension,
        "keep": layout.keep,
        "languages": list(layout.languages),
        "count": layout.count,
    }
    if not layout.passages:
        layout_json["passages"] = False
    return ShardLedger.create(folder, KIND, num_shards, {**made_by, "layout": layout_json})


class ShardWriter:
    """Takes the vectors of a shard in any order of rows. Get one from `writing_shard`."""

    def __init__(self, folder: Path, layout: Layout, passage_ids: Sequence[str]) -> None:
        num_rows, groups = len(passage_ids), len(layout.groups)
        assert num_rows, "a shard has at least one row"
        self._ids = passage_ids
        self._written = np.zeros(num_rows, bool)
        self._has_passages = layout.passages
        if layout.passages:
            self._passages_ND = _new_array(folder / "passages.npy", np.float16, (num_rows, layout.dimension))
        self._has_sums = groups > 0
        if groups:
            self._sums_GND = _new_array(folder / "companions.npy", np.float16, (groups, num_rows, layout.dimension))
            self._counts_GN = _new_array(folder / "counts.npy", np.uint16, (groups, num_rows))
        ids = pa.record_batch([pa.array(passage_ids, pa.string())], names=["id"])
        with pa.OSFile(str(folder / "ids.arrow"), "wb") as sink, pa.ipc.new_file(sink, ids.schema) as writer:
            writer.write_batch(ids)

    def put(
        self,
        rows: Rows,
        passages_ND: NDArray[np.floating] | None,
        sums_GND: NDArray[np.floating] | None = None,
        counts_GN: NDArray[np.integer] | None = None,
    ) -> None:
        """`rows` count from the first of the shard. A vector that float16 cannot hold is refused with the id of its passage."""
        assert not self._written[rows].any(), "a row is written once"
        assert (sums_GND is None) == (counts_GN is None) != self._has_sums
        assert (passages_ND is not None) == self._has_passages
        if passages_ND is not None:
            self._passages_ND[rows] = self._halved(passages_ND, rows, "the passage")
        if sums_GND is not None and counts_GN is not None:
            for group, sums_ND in enumerate(sums_GND):
                self._sums_GND[group, rows] = self._halved(sums_ND, rows, "the generated texts of")
            self._counts_GN[:, rows] = counts_GN
        self._written[rows] = True

    def _halved(self, vectors_ND: NDArray[np.floating], rows: Rows, of: str) -> NDArray[np.float16]:
        with np.errstate(over="ignore"):
            halved_ND = vectors_ND.astype(np.float16)
        valid_N = np.isfinite(halved_ND).all(axis=1)
        if not valid_N.all():
            invalid = np.arange(len(self._ids))[rows][~valid_N]
            values = vectors_ND[int(np.argmin(valid_N))]
            problem = "NaN or infinity" if not np.isfinite(values).all() else f"{np.abs(values).max():g}, too large for float16"
            raise DataError(
                f"the vector of {of} '{self._ids[invalid[0]]}' holds {problem} ({len(invalid):,} such vectors in this batch)",
                remedy="Try trainer.precision=32-true, and check the encoder",
            )
        return halved_ND

    def finish(self) -> None:
        assert self._written.all(), f"{int((~self._written).sum()):,} rows were never written"
        if self._has_passages:
            self._passages_ND.flush()
        if self._has_sums:
            self._sums_GND.flush()
            self._counts_GN.flush()


@contextmanager
def writing_shard(
    ledger: ShardLedger, shard: int, passage_ids: Sequence[str], emptied: Sequence[str] = ()
) -> Iterator[ShardWriter]:
    """The shard joins the ledger when the block ends and every row is written. It does not if the block raises."""
    with ledger.writing(shard, emptied) as folder:
        writer = ShardWriter(folder, layout_of(ledger), passage_ids)
        yield writer
        writer.finish()


def _new_array(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    """A mapped file. Its space is allocated at once, so a full disk is an error here and not a crash at a later write."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
