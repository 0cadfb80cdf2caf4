"""Vectors in other tools. Each is asked for queries, and must rank as xdr does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import xdr
from conf import entry
from evaluate import main
from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.runs import run
from tests.serving import serving_in_a_thread
from tests.vectors.test_embeddings import store_of
from xdr.benchmarks.sample import Sample
from xdr.data.passage_store import convert_passages
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.interop.databases import LanceDb, Qdrant
from xdr.interop.vector_files import FaissFile, NumpyFiles, ParquetFiles
from xdr.interop.vector_set import VectorSet, VectorTarget
from xdr.retrieval.indexes import Flat, Hnsw
from xdr.retrieval.search import search
from xdr.text.records import Passage
from xdr.vectors.families import fused_family
from xdr.vectors.fusion import fusion_named
from xdr.vectors.layout import Selection

ABOUT = {"system": "unit_mean-a0.3", "encoder": "abc"}
NUM_ROWS, DIMENSION, K = 600, 16, 5


@pytest.fixture
def vectors(tmp_path: Path) -> VectorSet:
    """A fused system whose vectors are scaled to norm 1, in three shards."""
    rng = np.random.default_rng(0)
    passages_ND = rng.normal(size=(NUM_ROWS, DIMENSION)).astype(np.float32)
    sums_GND, counts_GN = rng.normal(size=(1, NUM_ROWS, DIMENSION)).astype(np.float32), np.full((1, NUM_ROWS), 2)
    embeddings = store_of(tmp_path / "e", passages_ND, sums_GND=sums_GND, counts_GN=counts_GN, num_shards=3)
    texts = [Passage(f"p{row:03d}", f"Title {row}", f"Text {row}.", "fi") for row in range(NUM_ROWS)]
    store = convert_passages(texts, tmp_path / "c", {"sources": "x"})
    family = fused_family(fusion_named("unit_mean"), [0.3], Selection((0,)))
    return VectorSet(embeddings, family, store, ABOUT)


@pytest.fixture
def queries_QD() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(10, DIMENSION)).astype(np.float32)


@pytest.fixture
def expected(vectors: VectorSet, queries_QD: NDArray[np.float32]) -> list[list[str]]:
    """The ids that xdr's exact search ranks."""
    (ranked,) = search(vectors.embeddings, queries_QD, [vectors.family], K).values()
    return [vectors.embeddings.ids(rows_K) for rows_K in ranked.rows_QK]


def written(target: VectorTarget, vectors: VectorSet, folder: Path) -> str:
    folder.mkdir()
    return target.write(vectors, folder)


def ranked_by_hand(ids: list[str], vectors_ND: NDArray[np.floating], queries_QD: NDArray[np.float32]) -> list[list[str]]:
    best_QK = np.argsort(-(queries_QD @ vectors_ND.T.astype(np.float32)), axis=1)[:, :K]
    return [[ids[row] for row in best_K] for best_K in best_QK]


def test_numpy_files_rank_as_xdr_does(
    vectors: VectorSet, queries_QD: NDArray[np.float32], expected: list[list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert written(NumpyFiles(rows_per_file=300, half=False), vectors, folder) == str(folder)
    assert sorted(file.name for file in folder.glob("*.npy")) == ["vectors-00000.npy", "vectors-00001.npy"]
    parts = [np.load(folder / f"vectors-{number:05d}.npy") for number in range(2)]
    ids = [name for number in range(2) for name in (folder / f"ids-{number:05d}.txt").read_text().splitlines()]
    assert ranked_by_hand(ids, np.concatenate(parts), queries_QD) == expected
    assert json.loads((folder / "about.json").read_text()) == ABOUT


def test_numpy_files_in_half_precision(vectors: VectorSet, tmp_path: Path) -> None:
    written(NumpyFiles(rows_per_file=10_000, half=True), vectors, tmp_path / "out")
    half_ND = np.load(tmp_path / "out" / "vectors-00000.npy")
    assert (half_ND.dtype, half_ND.shape) == (np.float16, (NUM_ROWS, DIMENSION))


def test_parquet_files_rank_as_xdr_does_and_have_texts(
    vectors: VectorSet, queries_QD: NDArray[np.float32], expected: list[list[str]], tmp_path: Path
) -> None:
    written(ParquetFiles(rows_per_file=300, texts=True), vectors, tmp_path / "out")
    table = pq.read_table(tmp_path / "out")
    vectors_ND = np.array(table["vector"].to_pylist(), np.float32)
    assert ranked_by_hand(table["id"].to_pylist(), vectors_ND, queries_QD) == expected
    assert table.slice(7, 1).drop_columns("vector").to_pylist() == [
        {"id": "p007", "title": "Title 7", "text": "Text 7.", "language": "fi"}
    ]
    assert json.loads(pq.read_schema(tmp_path / "out" / "vectors-00001.parquet").metadata[b"xdr"]) == ABOUT


@pytest.mark.parametrize("index", [Flat(), Hnsw(16, 200, 200)])
def test_a_faiss_file_ranks_as_xdr_does(
    vectors: VectorSet, index: Flat | Hnsw, queries_QD: NDArray[np.float32], expected: list[list[str]], tmp_path: Path
) -> None:
    written(FaissFile(), replace(vectors, index=index), tmp_path / "out")
    read = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    ids = (tmp_path / "out" / "ids.txt").read_text().splitlines()
    assert [[ids[row] for row in rows_K] for rows_K in read.search(queries_QD, K)[1]] == expected


def test_lancedb_ranks_as_xdr_does(
    vectors: VectorSet, queries_QD: NDArray[np.float32], expected: list[list[str]], tmp_path: Path
) -> None:
    lancedb = pytest.importorskip("lancedb", reason="vectors=lancedb needs lancedb: pip install 'xdr[lancedb]'")
    written(LanceDb("passages", texts=True), vectors, tmp_path / "out")
    table = lancedb.connect(tmp_path / "out").open_table("passages")
    found = [table.search(query_D).distance_type("dot").limit(K).to_list() for query_D in queries_QD]
    assert [[row["id"] for row in rows] for rows in found] == expected
    assert found[0][0]["text"] == f"Text {int(found[0][0]['id'][1:])}."
    assert json.loads(table.schema.metadata[b"xdr"]) == ABOUT


def assert_qdrant_ranks(client: Any, queries_QD: NDArray[np.float32], expected: list[list[str]]) -> None:
    found = [client.query_points("passages", query_D.tolist(), limit=K).points for query_D in queries_QD]
    assert [[point.payload["id"] for point in points] for points in found] == expected
    assert found[0][0].payload["title"] == f"Title {found[0][0].id}"
    assert client.get_collection("passages").config.metadata == ABOUT
    client.close()


def test_qdrant_ranks_as_xdr_does(
    vectors: VectorSet, queries_QD: NDArray[np.float32], expected: list[list[str]], tmp_path: Path
) -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="vectors=qdrant needs qdrant-client: pip install 'xdr[qdrant]'")
    written(Qdrant("passages", texts=True, url=None), vectors, tmp_path / "out")
    assert_qdrant_ranks(qdrant.QdrantClient(path=str(tmp_path / "out")), queries_QD, expected)
    with pytest.raises(UserError, match=f"vectors.collection must be a new one, but {tmp_path / 'out'} has passages"):
        Qdrant("passages", texts=False, url=None).write(vectors, tmp_path / "out")


def test_a_qdrant_server_ranks_as_xdr_does(
    vectors: VectorSet, queries_QD: NDArray[np.float32], expected: list[list[str]], tmp_path: Path
) -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="vectors=qdrant needs qdrant-client: pip install 'xdr[qdrant]'")
    from tests.interop.qdrant_server import QdrantServer

    with serving_in_a_thread(QdrantServer()) as server:
        target = Qdrant("passages", texts=True, url=server.url)
        assert written(target, vectors, tmp_path / "out") == f"{server.url}, collection passages"
        assert_qdrant_ranks(qdrant.QdrantClient(url=server.url), queries_QD, expected)
        with pytest.raises(UserError, match=f"must be a new one, but {server.url} has passages"):
            target.write(vectors, tmp_path / "out")


def test_a_server_that_is_not_there_is_one_sentence(vectors: VectorSet, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client", reason="vectors=qdrant needs qdrant-client: pip install 'xdr[qdrant]'")
    with pytest.raises(UserError, match="Qdrant at http://127.0.0.1:9 failed: .*refused"):
        written(Qdrant("passages", texts=False, url="http://127.0.0.1:9"), vectors, tmp_path / "out")


def test_a_finished_evaluation_s_vectors_rank_as_its_run(trained_encoder: Path, tmp_path: Path) -> None:
    """The queries are encoded as about.json says."""
    settings = [f"checkpoint={trained_encoder}", "augmentation=generated_queries", "augmentation.source=questions:train"]
    settings += ["augmentation.fusion=unit_mean", "augmentation.alpha=0.3", f"artifacts_dir={tmp_path / 'artifacts'}"]
    run(tmp_path / "run", *settings, quick=QUICK_EVALUATION, script="evaluate.py")
    export = [*settings, "stage=export", "vectors=faiss", "search=faiss_flat"]
    quick = [setting for setting in QUICK_EVALUATION if not setting.startswith("evaluation")]
    printed = run(tmp_path / "out", *export, quick=quick, script="evaluate.py")
    assert f"Vectors of unit_mean-a0.3: {tmp_path / 'out' / 'vectors'}" in printed
    about = json.loads((tmp_path / "out" / "vectors" / "about.json").read_text())
    lengths = {name: about[name] for name in ("query_length", "query_prefix")}
    encoder = xdr.load_encoder(str(trained_encoder), **lengths)
    queries = list(Sample().queries("dev", Problems()))[:10]
    read = faiss.read_index(str(tmp_path / "out" / "vectors" / "index.faiss"))
    ids = (tmp_path / "out" / "vectors" / "ids.txt").read_text().splitlines()
    ranked = xdr.read_run(tmp_path / "run" / "runs" / "unit_mean-a0.3.trec")
    vectors_QD = encoder.encode_queries([query.text for query in queries])
    for query, rows_K in zip(queries, read.search(vectors_QD, K)[1], strict=True):
        assert [ids[row] for row in rows_K] == list(ranked[query.query_id])[:K]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["vectors=numpy"], "vectors must be none with stage=score"),
        (["stage=export", "vectors=parquet", "vectors.rows_per_file=0"], "vectors.rows_per_file must be at least 1, got 0"),
        (["stage=export", "vectors=numpy", "correction=csls", "correction.strengths=[0.5]"], "leave out correction"),
    ],
)
def test_what_cannot_be_exported_is_refused(settings: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        main(entry.compose("evaluate", ["data=sample", *settings, f"output_dir={tmp_path}", f"artifacts_dir={tmp_path}"]))
