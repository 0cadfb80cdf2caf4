"""`augmentation.keep=count`: what only selects among the sums encodes nothing again, and gives what a fresh encoding gives."""

import json
from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.runs import run
from xdr.benchmarks.sample import Sample
from xdr.data.collection import open_collection
from xdr.data.problems import Problems
from xdr.encoders.input_format import EncoderOptions
from xdr.encoders.open_encoder import open_encoder
from xdr.encoders.small import build_small_bert
from xdr.errors import DataError
from xdr.sharding.encode import EncodingJob, EncodingSettings, shard_job
from xdr.sharding.engine import Local
from xdr.sharding.shard_module import make_shards
from xdr.storage.jobs import read_jobs
from xdr.text.prompts import passage_text
from xdr.vectors.embeddings import EmbeddingStore
from xdr.writing.generated_source import import_generated

LANGUAGES = ("fi", "ja", "te")
TRAINER = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "enable_progress_bar": False}


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People's questions about each passage as if generated: five, four and none to five; none about the last passages."""
    options: dict[str, list[str]] = defaultdict(list)
    for example in Sample().examples("train", Problems()):
        options[example.positives[0].passage_id].append(example.query.text)
    file = tmp_path_factory.mktemp("questions") / "generated.jsonl"
    with file.open("w", encoding="utf-8") as sink:
        for number, (passage_id, texts) in enumerate(list(options.items())[:140]):
            by_language = {"fi": texts[:5], "ja": texts[5:9], "te": texts[9 : 9 + number % 6]}
            sink.write(json.dumps({"docid": passage_id, "title": "", "text": "", "generated_queries": by_language}) + "\n")
    return file


@pytest.fixture(scope="module")
def job(questions: Path, tmp_path_factory: pytest.TempPathFactory) -> EncodingJob:
    folder = tmp_path_factory.mktemp("job")
    store = open_collection(Sample(), folder, Problems(), lambda number: None)
    bert = build_small_bert([passage_text(p) for p in store], folder / "bert", seed=0, hidden=32, layers=1)
    queries, passages, tokenizer = open_encoder(str(bert), EncoderOptions(pooling="mean", query_length=16, passage_length=32))
    generated = import_generated([questions], store, folder, lambda number: None)
    return EncodingJob(queries, passages, tokenizer, store, generated, EncodingSettings("count", LANGUAGES, 0, 50, 4096))


def encoded(job: EncodingJob, folder: Path) -> EmbeddingStore:
    ledger = job.ledger(folder, "32-true")
    make_shards(shard_job(job, ledger), TRAINER, Console(quiet=True), Local())
    return EmbeddingStore.open(ledger.folder)


def written(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(f): (f.stat().st_ino, f.stat().st_mtime_ns) for f in folder.rglob("shard-*/*")}


def generated_sums(store: EmbeddingStore, languages: tuple[str, ...] | None, count: int | None) -> tuple[NDArray, NDArray]:
    parts = [block.generated(store.layout.select(languages, count)) for block in store.blocks(1000)]
    return np.concatenate([sums for sums, _ in parts]), np.concatenate([counts for _, counts in parts])


def test_any_number_in_any_languages_is_read_from_one_encoding(job: EncodingJob, tmp_path: Path) -> None:
    once = tmp_path / "once"
    store = encoded(job, once)
    first = written(once)
    assert len([name for name in first if name.endswith("companions.npy")]) == 3, "144 passages in shards of 50"
    for number in (1, 2, 3, 4, 5):
        for languages in (LANGUAGES, ("fi",), ("te", "ja")):
            wanted = replace(job.settings, number=number, languages=languages)
            store = encoded(replace(job, settings=wanted), once)
            assert written(once) == first
            sums_ND, counts_N = generated_sums(store, languages, number)
            fresh = encoded(replace(job, settings=replace(wanted, keep="total")), tmp_path / "fresh")
            fresh_ND, fresh_N = generated_sums(fresh, None, None)
            assert counts_N.tolist() == fresh_N.tolist()
            assert np.abs(sums_ND - fresh_ND).max() <= 2e-3 * np.abs(fresh_ND).max(), "each sum is rounded to fp16 once"


def test_a_sweep_over_the_number_of_questions_encodes_once(trained_encoder: Path, questions: Path, tmp_path: Path) -> None:
    arguments = ["augmentation=generated_queries", f"augmentation.source={questions}", "augmentation.keep=count"]
    one = ["augmentation.fusion=mean", "augmentation.alpha=0.3", f"checkpoint={trained_encoder}", "search.depth=10"]
    output = run(
        tmp_path / "run",
        *("augmentation.number=1,4", *arguments, *one, "evaluation.metrics=[MRR@10]"),
        quick=["-m", *QUICK_EVALUATION],
        script="evaluate.py",
    )
    folders = [path.parent for path in tmp_path.rglob("passages.npy")]
    assert len({folder.parent for folder in folders}) == 1 and len(folders) == 12
    found = [json.loads((job.folder / "metrics.json").read_text()) for job in read_jobs(tmp_path / "run")]
    assert found[0]["baseline"] == found[1]["baseline"] and found[0]["mean-a0.3"] != found[1]["mean-a0.3"], output


def test_bf16_true_on_a_cpu_gives_nearly_the_vectors_of_fp32(job: EncodingJob, tmp_path: Path) -> None:
    """The trainer converts the encoder, and makes bfloat16 the default type of new tensors while a shard is encoded."""
    vectors = []
    for precision in ("32-true", "bf16-true"):
        plain = replace(job, queries=deepcopy(job.queries), generated=None)
        ledger = plain.ledger(tmp_path, precision)
        make_shards(shard_job(plain, ledger), TRAINER | {"precision": precision}, Console(quiet=True), Local())
        vectors.append(
            np.concatenate([block.passages() for block in EmbeddingStore.open(ledger.folder).blocks(1000)]).astype(np.float32)
        )
    norms = [np.linalg.norm(each, axis=1) for each in vectors]
    assert ((vectors[0] * vectors[1]).sum(1) / (norms[0] * norms[1]) > 0.999).all()
    assert not np.array_equal(*vectors)


def test_vectors_that_are_no_numbers_are_refused_by_the_passages_id(job: EncodingJob, tmp_path: Path) -> None:
    """The vector of one piece is spoilt, and the first passage that has it is named."""
    broken = deepcopy(job.queries)
    embeddings = broken.get_submodule("backbone.embeddings.word_embeddings")
    assert isinstance(embeddings, nn.Embedding)
    texts = [set(job.tokenizer.passages([passage]).ids_T.tolist()) for passage in job.store]
    row = next(row for row in range(60, 144) if texts[row] - set().union(*texts[:row]))
    piece = min(texts[row] - set().union(*texts[:row]))
    with torch.no_grad():
        embeddings.weight[piece] = torch.nan
    with pytest.raises(DataError, match=f"the vector of the passage '{job.store[row].passage_id}' holds NaN or infinity"):
        encoded(replace(job, queries=broken, generated=None), tmp_path)
