"""How near each passage is to a bank of queries: made once, block by block, and kept beside the vectors.

    EMBEDDINGS/corrections/FINGERPRINT/shard-00007/measures.npy    float32 (A, M, N)

One pass over the vectors measures all systems. Similarities are computed in float64, so that the measures do not depend on
blocks and shards, but for the last digit of one in millions.

A systems, M measures of a row, N rows, B texts of the bank, D dimensions, W weights.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.retrieval.search import worker_threads
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger, refusing_damage
from xdr.vectors.corrections import Correction
from xdr.vectors.embeddings import Block, Embeddings, EmbeddingStore
from xdr.vectors.families import BlockVectors, Family, line_norms

KIND = "measures of a correction"
HUBNESS_FORMAT = 1
_FILE = "measures.npy"
_BLOCK_ROWS = 1024
_BANK_AT_ONCE = 4096


def hubness_ledger(
    embeddings: ShardLedger, correction: Correction, bank_fingerprint: str, systems: Sequence[Json]
) -> ShardLedger:
    """`systems` holds what each system's vectors depend on besides the embeddings: fusion, alpha, selection."""
    made_by: dict[str, Json] = {
        "embeddings": embeddings.fingerprint,
        "bank": bank_fingerprint,
        "correction": correction.made_by(),
        "systems": list(systems),
        "format": HUBNESS_FORMAT,
    }
    folder = embeddings.folder / "corrections" / fingerprint(made_by)
    return ShardLedger.create(folder, KIND, embeddings.num_shards, made_by)


def measure_shards(
    store: EmbeddingStore,
    families: Sequence[Family],
    bank_BD: NDArray[np.floating],
    bank_rows_B: NDArray[np.int64],
    correction: Correction,
    ledger: ShardLedger,
    shards: Sequence[int],
    device: str = "cpu",
    progress: Callable[[int], None] = lambda num_rows: None,
) -> None:
    """Makes those of `shards` that are missing. `progress` is called with the number of rows so far."""
    done = 0
    for shard in sorted(set(ledger.missing()).intersection(shards)):
        blocks = store.blocks(_BLOCK_ROWS, [shard])
        measures = []
        for of_block in _measured(blocks, families, bank_BD, bank_rows_B, correction, device):
            measures.append(of_block)
            done += of_block.shape[2]
            progress(done)
        with ledger.writing(shard) as folder:
            np.save(folder / _FILE, np.concatenate(measures, axis=2), allow_pickle=False)


def measure(
    embeddings: Embeddings,
    families: Sequence[Family],
    bank_BD: NDArray[np.floating],
    bank_rows_B: NDArray[np.int64],
    correction: Correction,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """The measures of a whole collection in memory, (A, M, N). `bank_rows_B` has the row of a passage in the bank, else -1."""
    blocks = embeddings.blocks(_BLOCK_ROWS)
    return np.concatenate(list(_measured(blocks, families, bank_BD, bank_rows_B, correction, device)), axis=2)


def _measured(
    blocks: Iterable[Block],
    families: Sequence[Family],
    bank_BD: NDArray[np.floating],
    bank_rows_B: NDArray[np.int64],
    correction: Correction,
    device: str,
) -> Iterator[NDArray[np.float32]]:
    def measured(block: Block) -> NDArray[np.float32]:
        return measure_block(block, families, bank_BD, bank_rows_B, correction, device)

    with worker_threads(torch.device(device)) as threads:
        yield from threads.map(measured, blocks)


def measure_block(
    block: Block,
    families: Sequence[Family],
    bank_BD: NDArray[np.floating],
    bank_rows_B: NDArray[np.int64],
    correction: Correction,
    device: str,
) -> NDArray[np.float32]:
    """Products are linear in the weight of a family: one or two serve all its systems."""
    vectors = BlockVectors(block, torch.device(device), torch.float64)
    measures = []
    for family in families:
        u_ND, v_ND = family.ends(vectors)
        norms_WN = line_norms(u_ND, v_ND, family.weights) if family.normalized else None
        states: list[Tensor | None] = [None] * len(family.weights)
        for start in range(0, len(bank_BD), _BANK_AT_ONCE):
            part = slice(start, start + _BANK_AT_ONCE)
            part_DB = torch.from_numpy(np.asarray(bank_BD[part], np.float64)).to(device).T
            of_u_NB = u_ND @ part_DB
            of_v_NB = of_u_NB if u_ND is v_ND else v_ND @ part_DB
            own = _itself(block, bank_rows_B[part], device)
            for system, weight in enumerate(family.weights):
                similarities_NB = torch.lerp(of_u_NB, of_v_NB, weight)
                if norms_WN is not None:
                    similarities_NB /= norms_WN[system][:, None]
                similarities_NB[own] = -torch.inf
                states[system] = correction.add(states[system], similarities_NB)
        measures += [correction.measures(state).float().cpu().numpy() for state in states if state is not None]
    return np.stack(measures)


def _itself(block: Block, bank_rows_B: NDArray[np.int64], device: str) -> tuple[Tensor, Tensor]:
    """Where a row of the block meets itself in the bank."""
    rows_B = bank_rows_B - block.first_row
    (inside,) = np.nonzero((bank_rows_B >= 0) & (rows_B >= 0) & (rows_B < block.num_rows))
    return torch.from_numpy(rows_B[inside]).to(device), torch.from_numpy(inside).to(device)


def read_measures(ledger: ShardLedger) -> NDArray[np.float32]:
    """(A, M, N) over all shards, which must be complete."""
    ledger.require_complete()
    measures = []
    for shard in range(ledger.num_shards):
        path = ledger.file(shard, _FILE)
        with refusing_damage(path):
            measures.append(np.load(path, allow_pickle=False))
    return np.concatenate(measures, axis=2)
