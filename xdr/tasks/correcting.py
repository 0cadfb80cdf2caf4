"""The correction of hubs in an evaluation: its bank is encoded once the vectors are there, measured, and searched with.

B texts of a bank, D dimensions.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xdr.data.passage_store import PassageStore
from xdr.encoders.encoder import Encoder
from xdr.retrieval.hubness import hubness_ledger, measure_shards, read_measures
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.tasks.settings import StageInputs
from xdr.vectors.corrections import Correction
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import Family, Offset
from xdr.vectors.fusing import Fusing
from xdr.vectors.fusion import FUSIONS, Fusion
from xdr.vectors.query_bank import OpenedBank

_BLOCK_ROWS = 1 << 20


@dataclass(frozen=True)
class Correcting:
    """A correction with its bank. `fusion` is the formula of the fused systems, if there are some."""

    correction: Correction
    bank: OpenedBank
    fusion: Fusion | None

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(penalty.label for penalty in self.correction.penalties)

    def systems(self, names: Sequence[str], baseline: str) -> tuple[str, ...]:
        """The names of the corrected systems, those of one system after the other."""
        return tuple(corrected_name(name, label, baseline) for name in names for label in self.labels)

    def measure(
        self,
        store: EmbeddingStore,
        families: Sequence[Family],
        selected: Sequence[int],
        encoder: Encoder,
        device: str,
        shards: Sequence[int],
    ) -> None:
        """Makes the missing ones of `shards`. `selected` are the groups of generated texts that are fused."""
        ledger = self._ledger(store.ledger, families, selected)
        if set(ledger.missing()).intersection(shards):
            vectors_BD, rows_B = self._encoded(store, encoder)
            measure_shards(store, families, vectors_BD, rows_B, self.correction, ledger, shards, device)

    def corrected(
        self, store: EmbeddingStore, families: Sequence[Family], selected: Sequence[int], baseline: str
    ) -> list[Family]:
        """The families, each with its corrected systems. The measures of all shards must be there."""
        measures_AMN = iter(read_measures(self._ledger(store.ledger, families, selected)))
        penalties = self.correction.penalties
        corrected = []
        for family in families:
            measures = [next(measures_AMN) for _ in family.systems]
            offsets = [Offset(each[penalty.measure], -penalty.factor) for each in measures for penalty in penalties]
            corrected.append(
                replace(
                    family,
                    systems=(*family.systems, *self.systems(family.systems, baseline)),
                    weights=(*family.weights, *(weight for weight in family.weights for _ in penalties)),
                    offsets=(*(None for _ in family.systems), *offsets),
                )
            )
        return corrected

    def _ledger(self, embeddings: ShardLedger, families: Sequence[Family], selected: Sequence[int]) -> ShardLedger:
        systems: list[Json] = [
            {"name": name, "weight": weight}
            for family in families
            for name, weight in zip(family.systems, family.weights, strict=True)
        ]
        if self.fusion is not None:
            systems.append({"groups": list(selected), "code": _code_of(self.fusion)})
        return hubness_ledger(embeddings, self.correction, self.bank.fingerprint, systems)

    def _encoded(self, store: EmbeddingStore, encoder: Encoder) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The vectors of the bank, and the row of each text that is a passage, else -1."""
        if not self.bank.of_passages:
            vectors_BD = encoder.encode_queries([text.text for text in self.bank.texts])
            return vectors_BD, np.full(len(vectors_BD), -1)
        rows_B = np.array([text.row for text in self.bank.texts])
        vectors_BD = np.empty((len(rows_B), store.dimension), np.float32)
        for block in store.blocks(_BLOCK_ROWS):
            inside_B = (rows_B >= block.first_row) & (rows_B < block.first_row + block.num_rows)
            vectors_BD[inside_B] = block.passages(rows_B[inside_B] - block.first_row)
        return vectors_BD, rows_B


def corrected_name(system: str, label: str, baseline: str) -> str:
    """`csls-w0.75` of the baseline, `mean-a0.3+csls-w0.75` of a fused system. Without a label, the system itself."""
    return label if label and system == baseline else "+".join(filter(None, (system, label)))


def _code_of(fusion: Fusion) -> str | None:
    """A fingerprint of a formula that is not ours, and so may change."""
    return None if fusion.name in FUSIONS else fingerprint(inspect.getsource(fusion.ends))


def correcting_of(inputs: StageInputs, store: PassageStore, fusing: Fusing | None) -> Correcting | None:
    """What `correction=` names, with its bank opened. `fusing` is that of the passages."""
    correction = inputs.correction
    if correction is None:
        return None
    bank = correction.bank.open(inputs.benchmark, store, fusing.generated if fusing is not None else None)
    return Correcting(correction, bank, fusing.fusion if fusing is not None else None)
