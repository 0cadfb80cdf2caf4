"""Encodes a whole collection in shards, through `Trainer.test`. Callbacks search once all shards exist."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from xdr.data.passage_store import PassageStore
from xdr.encoders.encoder import Encoder
from xdr.encoders.fingerprints import fingerprint_encoder
from xdr.encoders.inference import prepared_for_inference
from xdr.encoders.tokenization import TextTokenizer
from xdr.sharding.disk_space import require_room
from xdr.sharding.memory import TO_ENCODE
from xdr.sharding.shard_module import ShardJob
from xdr.sharding.shard_run import ShardProgress
from xdr.sharding.shards import Shards, emptied
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.text.records import GeneratedTexts, Passage
from xdr.vectors.embedding_writer import ShardWriter, create_embeddings, writing_shard
from xdr.vectors.generated_sums import ROWS_AT_ONCE, sum_generated_queries
from xdr.vectors.layout import Keep, Layout
from xdr.writing.generated_store import GeneratedStore
from xdr.writing.own_sentences import SENTENCES, OwnSentences

EMBEDDINGS_FORMAT = 1


@dataclass(frozen=True)
class EncodingSettings:
    """`keep` says which sums of the generated queries' vectors are stored: one `total` over `languages`; one per `language`, of
    all languages; one per language and `count`. The first two sum the first `number` queries of a language (0: all)."""

    keep: Keep
    languages: tuple[str, ...]
    number: int
    shard_size: int
    tokens_per_batch: int


@dataclass(frozen=True)
class EncodingJob:
    """Which vectors to make, with what, and where they are stored."""

    queries: nn.Module
    passages: nn.Module | None
    tokenizer: TextTokenizer
    store: PassageStore
    generated: GeneratedStore | OwnSentences | None
    settings: EncodingSettings
    sums_only: bool = False
    """Leaves out the passages: another job has their vectors."""

    def layout(self) -> Layout:
        dimension = self.queries.dimension
        assert isinstance(dimension, int)
        if self.generated is None:
            return Layout(dimension)
        if self.settings.keep == "total":
            return Layout(dimension, "total", self.settings.languages, passages=not self.sums_only)
        assert isinstance(self.generated, GeneratedStore)
        most = self.generated.most if self.settings.keep == "count" else 0
        return Layout(dimension, self.settings.keep, self.generated.languages, most)

    def made_by(self, precision: str) -> dict[str, Json]:
        """What the vectors depend on. Settings that only select among the stored sums are left out, so that a sweep over them
        encodes once."""
        settings = self.settings
        return {
            "encoder": fingerprint_encoder(self.queries, self.passages, self.tokenizer),
            "collection": self.store.fingerprint,
            "generated": self.generated.fingerprint if self.generated else None,
            "number": settings.number if self.generated and settings.keep != "count" else 0,
            "shard_size": settings.shard_size,
            "tokens_per_batch": settings.tokens_per_batch,
            "precision": precision,
            "format": EMBEDDINGS_FORMAT,
        }

    def ledger(self, artifacts_dir: Path, precision: str) -> ShardLedger:
        made_by, layout = self.made_by(precision), self.layout()
        folder = artifacts_dir / "embeddings" / fingerprint([made_by, layout.keep, list(layout.languages), layout.count])
        return create_embeddings(folder, -(-len(self.store) // self.settings.shard_size), layout, made_by)


def sentences_job(job: EncodingJob) -> EncodingJob:
    """Of the sums of passages' own sentences. They are encoded as generated queries are: same encoder, prefix and length."""
    settings = replace(job.settings, keep="total", languages=(SENTENCES,), number=0)
    return replace(job, generated=OwnSentences(job.store), settings=settings, sums_only=True)


def shard_job(job: EncodingJob, ledger: ShardLedger) -> ShardJob:
    """Refuses vectors that do not fit on the disk."""
    shards = Shards(job.store, ledger, job.settings.shard_size)
    missing = shards.num_missing()
    require_room(ledger.folder, missing * job.layout().bytes_per_row, f"the vectors of {missing:,} passages")
    towers = nn.ModuleList([job.queries] if job.passages is None else [job.queries, job.passages])

    def work_on(device: torch.device, progress: ShardProgress) -> Encoding:
        return Encoding(prepared(job), job, shards, progress)

    return ShardJob(towers, work_on, shards, "passages encoded", TO_ENCODE)


def prepared(job: EncodingJob) -> Encoder:
    """On a CPU with weights in the order that its library likes."""
    queries = prepared_for_inference(job.queries)
    passages = queries if job.passages is None else prepared_for_inference(job.passages)
    return Encoder(queries, passages, job.tokenizer, job.settings.tokens_per_batch)


@dataclass(frozen=True)
class Encoding:
    encoder: Encoder
    job: EncodingJob
    shards: Shards
    progress: ShardProgress

    def begin(self, num_processes: int) -> None:
        pass

    def attempt(self, first: int, stop: int) -> None:
        passages, generated = self._sources(first, stop, ())
        encode_into(_Nowhere(), passages, generated, self.encoder, self.job, lambda number: None)

    def make(self, shard: int, without: tuple[int, ...]) -> None:
        passages, generated = self._sources(*self.shards.rows(shard), without)
        ids, ids_emptied = [passage.passage_id for passage in passages], self.shards.ids(without)
        with writing_shard(self.shards.ledger, shard, ids, ids_emptied) as writer:
            encode_into(writer, passages, generated, self.encoder, self.job, self.progress.report)

    def _sources(self, first: int, stop: int, without: tuple[int, ...]) -> tuple[list[Passage], list[GeneratedTexts]]:
        generated = self.job.generated.slice(first, stop) if self.job.generated else []
        return emptied(self.job.store.slice(first, stop), first, without), emptied(generated, first, without)


class _Nowhere:
    def put(self, rows: slice, vectors_ND: object, *sums: object) -> None:
        pass


def encode_into(
    writer: ShardWriter | _Nowhere,
    passages: Sequence[Passage],
    generated: Sequence[GeneratedTexts],
    encoder: Encoder,
    job: EncodingJob,
    report: Callable[[int], None],
) -> None:
    layout = job.layout()
    most = layout.count if layout.keep == "count" else job.settings.number
    for start in range(0, len(passages), ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, len(passages)))
        vectors_ND = None if job.sums_only else encoder.encode_passages(passages[rows])
        if job.generated:
            writer.put(rows, vectors_ND, *sum_generated_queries(encoder, generated[rows], layout, most))
        else:
            writer.put(rows, vectors_ND)
        report(rows.stop - rows.start)
