"""Corrections against plain float64 formulas, and their pass over the vectors: in blocks, killed, resumed."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from xdr.errors import UserError
from xdr.retrieval import hubness
from xdr.retrieval.hubness import hubness_ledger, measure, measure_shards, read_measures
from xdr.retrieval.in_memory import ArrayEmbeddings
from xdr.vectors.corrections import Correction, Csls, QueryBankNormalization
from xdr.vectors.embedding_writer import create_embeddings, writing_shard
from xdr.vectors.embeddings import EmbeddingStore
from xdr.vectors.families import baseline_family, fused_family
from xdr.vectors.fusion import FUSIONS
from xdr.vectors.layout import Layout
from xdr.vectors.query_bank import QueryBank

BANK = QueryBank(None, 0, None, 0)
Array = NDArray[np.floating]


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def csls(k: int, *strengths: float) -> Csls:
    return Csls(k, list(strengths) or [1.0], BANK)


def query_bank(*beta: float) -> QueryBankNormalization:
    return QueryBankNormalization(list(beta), BANK)


def offsets(correction: Correction, passages_PD: Array, bank_BD: Array, rows: Sequence[int] | None = None) -> Array:
    """(S, P), by the pass over a collection in memory."""
    embeddings = ArrayEmbeddings(passages_PD.astype(np.float32), [str(row) for row in range(len(passages_PD))])
    bank_rows_B = np.array([-1] * len(bank_BD) if rows is None else rows)
    measures_AMN = measure(embeddings, [baseline_family()], bank_BD, bank_rows_B, correction)
    return np.stack([-penalty.factor * measures_AMN[0, penalty.measure] for penalty in correction.penalties])


def csls_by_its_formula(queries_QD: Array, passages_PD: Array, bank_BD: Array, k: int) -> Array:
    """Equation 3 of arXiv 1710.04087 without the query's term, which is the same for all passages: 2 cos(q, p) - r(p)."""
    scores_QP = np.empty((len(queries_QD), len(passages_PD)))
    for p, passage_D in enumerate(passages_PD):
        nearest = sorted((float(np.dot(query_D, passage_D)) for query_D in bank_BD), reverse=True)[:k]
        for q, query_D in enumerate(queries_QD):
            scores_QP[q, p] = 2 * np.dot(query_D, passage_D) - np.mean(nearest)
    return scores_QP


@pytest.mark.parametrize("k", [1, 7, 40, 1000])
def test_csls_is_its_formula_also_where_k_is_more_than_the_bank(generator: np.random.Generator, k: int) -> None:
    queries_QD, passages_PD, bank_BD = (generator.standard_normal((n, 8)).astype(np.float32) for n in (5, 30, 40))
    found_QP = queries_QD.astype(np.float64) @ passages_PD.T.astype(np.float64) + offsets(csls(k, 0.5), passages_PD, bank_BD)[0]
    expected_QP = csls_by_its_formula(*(a.astype(np.float64) for a in (queries_QD, passages_PD, bank_BD)), k) / 2
    assert found_QP == pytest.approx(expected_QP, abs=1e-6)
    assert (found_QP.argsort(axis=1) == expected_QP.argsort(axis=1)).all()
    assert bool(csls(k).remarks(40)) == (k > 40)


def test_csls_by_hand_with_ties() -> None:
    """p = (1, 0) has the similarities 3, 3, 1 and 0 to the bank: the mean of the first two is 3, of three 7/3."""
    bank_BD = np.array([[3.0, 0], [1, 5], [3, 9], [0, 1]])
    assert offsets(csls(2, 0.5, 1), np.array([[1.0, 0]]), bank_BD) == pytest.approx(np.array([[-1.5], [-3]]))
    assert offsets(csls(3), np.array([[1.0, 0]]), bank_BD) == pytest.approx(np.array([[-7 / 3]]))


def test_query_bank_normalization_ranks_as_its_formula(generator: np.random.Generator) -> None:
    """Bogolin et al. normalize exp(beta q.p) by the sum of exp(beta b.p) over the bank."""
    queries_QD, passages_PD, bank_BD = (generator.standard_normal((n, 8)) for n in (5, 30, 40))
    for place, beta in enumerate((0.5, 20.0)):
        normalized_QP = np.exp(beta * queries_QD @ passages_PD.T) / np.exp(beta * bank_BD @ passages_PD.T).sum(axis=0)
        offsets_P = offsets(query_bank(0.5, 20), passages_PD, bank_BD)[place]
        assert offsets_P == pytest.approx(-logsumexp(beta * bank_BD @ passages_PD.T, axis=0) / beta, abs=1e-5)
        corrected_QP = queries_QD @ passages_PD.T + offsets_P
        assert (corrected_QP.argsort(axis=1) == normalized_QP.argsort(axis=1)).all()


@pytest.mark.parametrize("correction", [csls(50, 0.7), query_bank(3, 30)])
def test_parts_of_the_bank_and_blocks_of_passages_change_nothing(
    correction: Correction, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages_PD, bank_BD = generator.standard_normal((70, 16)), generator.standard_normal((200, 16))
    whole = offsets(correction, passages_PD, bank_BD)
    monkeypatch.setattr(hubness, "_BANK_AT_ONCE", 33)
    monkeypatch.setattr(hubness, "_BLOCK_ROWS", 9)
    assert np.array_equal(whole, offsets(correction, passages_PD, bank_BD))


@pytest.mark.parametrize("correction", [csls(2), query_bank(4)])
def test_a_passage_of_the_bank_is_not_compared_with_itself(correction: Correction, generator: np.random.Generator) -> None:
    passages_PD = generator.standard_normal((12, 4))
    found_N = offsets(correction, passages_PD, passages_PD[[3, 5, 11]], [3, 5, 11])[0]
    for row in range(12):
        others_BD = passages_PD[[other for other in (3, 5, 11) if other != row]]
        assert found_N[row] == offsets(correction, passages_PD[[row]], others_BD)[0, 0]
    assert offsets(correction, passages_PD[:1], passages_PD[:1], [0]).tolist() == [[0]], "nothing to compare with"


@pytest.fixture
def store(generator: np.random.Generator, tmp_path: Path) -> EmbeddingStore:
    """Thirty passages in three shards, with zero to three generated texts in two languages."""
    layout = Layout(8, "language", ("fi", "te"))
    ledger = create_embeddings(tmp_path / "embeddings", 3, layout, {"encoder": "x"})
    for shard in range(3):
        with writing_shard(ledger, shard, [f"p{10 * shard + row}" for row in range(10)]) as writer:
            counts_GN = generator.integers(0, 4, (2, 10))
            sums_GND = generator.standard_normal((2, 10, 8)) * np.sqrt(counts_GN)[:, :, None]
            writer.put(slice(0, 10), generator.standard_normal((10, 8)), sums_GND, counts_GN)
    return EmbeddingStore.open(tmp_path / "embeddings")


def test_all_alphas_of_one_pass_are_measured_as_their_fused_vectors(
    store: EmbeddingStore, generator: np.random.Generator
) -> None:
    bank_BD, selection = generator.standard_normal((20, 8)), store.layout.select(["te"])
    families = [baseline_family(), fused_family(FUSIONS["mean"], (0.2, 0.7), selection)]
    families.append(fused_family(FUSIONS["unit_mean"], (0.4,), selection))
    found_AMN = measure(store, families, bank_BD, np.full(20, -1), csls(3))
    passages_PD = np.concatenate([block.passages() for block in store.blocks(100)]).astype(np.float64)
    parts = [block.generated(selection) for block in store.blocks(100)]
    sums_PD, counts_P = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    means_PD = np.where(counts_P[:, None] > 0, sums_PD / np.maximum(counts_P, 1)[:, None], passages_PD)

    def unit(vectors_PD: Array) -> Array:
        return vectors_PD / np.linalg.norm(vectors_PD, axis=1, keepdims=True)

    fused = [passages_PD, 0.8 * passages_PD + 0.2 * means_PD, 0.3 * passages_PD + 0.7 * means_PD]
    fused.append(unit(0.6 * unit(passages_PD) + 0.4 * unit(means_PD)))
    for vectors_PD, measures_MN in zip(fused, found_AMN, strict=True):
        expected_P = np.sort(vectors_PD @ bank_BD.T, axis=1)[:, -3:].mean(axis=1)
        assert measures_MN[0] == pytest.approx(expected_P, abs=1e-5)


def test_a_killed_pass_is_resumed_to_equal_bytes(store: EmbeddingStore, generator: np.random.Generator) -> None:
    bank_BD, none_B = generator.standard_normal((20, 8)), np.full(20, -1)
    families, correction = [baseline_family()], csls(4)

    def run(bank: str, progress: object = lambda num_rows: None) -> hubness.ShardLedger:
        ledger = hubness_ledger(store.ledger, correction, bank, ["baseline"])
        measure_shards(store, families, bank_BD, none_B, correction, ledger, range(3), progress=progress)  # type: ignore[arg-type]
        return ledger

    def kill(num_rows: int) -> None:
        if num_rows == 20:
            raise KeyboardInterrupt

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("killed", kill)
    killed = hubness_ledger(store.ledger, correction, "killed", ["baseline"])
    assert killed.missing() == [1, 2]
    kept = killed.file(0, "measures.npy").stat()
    seen: list[int] = []
    run("killed", seen.append)
    assert seen == [10, 20], "the first shard is not measured again"
    assert killed.file(0, "measures.npy").stat().st_mtime_ns == kept.st_mtime_ns
    for shard in range(3):
        assert whole.file(shard, "measures.npy").read_bytes() == killed.file(shard, "measures.npy").read_bytes()
    assert np.array_equal(read_measures(killed), measure(store, families, bank_BD, none_B, correction))


def test_strengths_share_measures_and_everything_else_has_its_own(store: EmbeddingStore) -> None:
    def folder(correction: Correction, bank: str = "b", system: str = "baseline") -> Path:
        return hubness_ledger(store.ledger, correction, bank, [system]).folder

    first = folder(csls(5, 0.5))
    assert folder(csls(5, 0.75, 1)) == first
    others = [
        folder(csls(6)),
        folder(csls(5), "other"),
        folder(csls(5), system="a0.5"),
        folder(query_bank(1)),
        folder(query_bank(2)),
    ]
    assert len({first, *others}) == 6


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: csls(0), "correction.k must be at least 1, got 0"),
        (lambda: Csls(5, [], BANK), "correction.strengths must have at least one number, got none"),
        (lambda: csls(5, 0.5, 0), "correction.strengths must be above 0, got 0"),
        (lambda: query_bank(2, 2.0), r"correction.beta must not repeat a value \(to six digits\), got"),
        (lambda: query_bank(float("inf")), "correction.beta must be above 0, got inf"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()  # type: ignore[operator]


def test_the_settings_of_corrections_load_no_torch() -> None:
    program = "import sys, xdr.vectors.corrections; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"
