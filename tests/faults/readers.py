"""Every kind of file that xdr writes and reads again, and the stages that read it."""

from collections.abc import Sequence
from typing import NamedTuple


class Reader(NamedTuple):
    """A stage that reads files of a kind: those that the patterns name, in the folder of all stages. Files of a kind that is
    `editable` are a user's to change, such as the configuration of a model: a change that makes another model, by another
    fingerprint, is not damage."""

    kind: str
    stage: str
    patterns: Sequence[str]
    editable: bool = False
    without: Sequence[str] = ()
    """What is removed first, as if a kill had come before it."""

    @property
    def name(self) -> str:
        return f"{self.kind}, read by {self.stage}"


READERS = (
    Reader("passage store", "prepare", ["prepare/artifacts/collections/*"]),
    Reader("passage store", "score", ["score/artifacts/collections/*"]),
    Reader("vectors and their ledger", "score", ["score/artifacts/embeddings/*"]),
    Reader(
        "vectors and their ledger",
        "export_vectors",
        ["export_vectors/artifacts/embeddings/*"],
        without=["export_vectors/vectors"],
    ),
    Reader("vectors and their ledger", "explore", ["score/artifacts/embeddings/*"]),
    Reader("vectors and their ledger", "score_imported", ["score_imported/artifacts/embeddings/*"]),
    Reader("measures of a correction", "score", ["score/artifacts/embeddings/*/corrections"]),
    Reader("mean texts of a control", "score", ["score/artifacts/embeddings/*/controls"]),
    Reader("generated texts", "score", ["generate/artifacts/generated", "generate/generated.json"]),
    Reader("generated texts", "export", ["generate/artifacts/generated", "generate/generated.json"]),
    Reader("generated texts", "generate", ["generate/artifacts/generated"]),
    Reader("imported texts", "score_imported", ["score_imported/artifacts/generated"]),
    Reader(
        "people's questions", "score_questions", ["score_questions/artifacts/questions", "score_questions/artifacts/generated"]
    ),
    Reader(
        "converted generators",
        "generate_fast",
        ["generate_fast/artifacts/.ctranslate2"],
        without=["generate_fast/artifacts/generated", "generate_fast/generated.json"],
    ),
    Reader("teacher's scores", "teach", ["teach/artifacts/taught"]),
    Reader("teacher's scores", "train_taught", ["teach/artifacts/taught", "teach/taught.json"]),
    Reader("mined examples", "train_mined", ["mine/mined.jsonl", "mine/mined.json"]),
    Reader("files of a round of mining", "mine", ["mine/runs", "mine/taught", "mine/artifacts"]),
    Reader("listing and jobs of a sweep", "sweep", ["sweep/sweep.json", "sweep/*/job.json", "sweep/*/.claim"]),
    Reader("listing and jobs of a sweep", "read_sweep", ["sweep/sweep.json"]),
    Reader("files of an evaluation", "score", ["score/*.*"]),
    Reader("files of an evaluation", "compare", ["score/per_query.parquet", "score/environment.json"]),
    Reader("files of an evaluation", "choose", ["score_imported/per_query.parquet", "score_imported/environment.json"]),
    Reader("files of an evaluation", "publish", ["score_imported/*.*"]),
    Reader("settings of a training", "publish_trained", ["train/hparams.yaml"]),
    Reader("everything made", "verify", ["score_imported/artifacts"]),
    Reader("files of an evaluation", "explore", ["score/per_query.parquet", "score/environment.json", "score/.hydra"]),
    Reader(
        "checkpoints",
        "train",
        ["train/checkpoints", "train/initial_model"],
        without=["train/encoder", "train/checkpoints/step-00000004.*"],
    ),
    Reader(
        "checkpoints",
        "train_generator",
        ["train_generator/checkpoints", "train_generator/initial_model"],
        without=["train_generator/generator", "train_generator/checkpoints/step-00000004.*"],
    ),
    Reader(
        "a checkpoint",
        "score_checkpoint",
        ["train/checkpoints/best.ckpt", "train/checkpoints/best.json", "train/checkpoints/model"],
        True,
    ),
    Reader("an encoder's folder", "score", ["train/encoder"], True),
    Reader("an encoder's folder", "score_imported", ["inputs/models/encoder"], True),
    Reader("a late-interaction encoder's folder", "score_reranked", ["inputs/models/colbert"], True),
    Reader("a late-interaction encoder's folder", "teach_late", ["inputs/models/colbert"], True),
    Reader(
        "static vectors", "train_static", ["inputs/models/static"], without=["train_static/encoder", "train_static/checkpoints"]
    ),
    Reader("a store of objects", "score_remote", ["score_remote/store"], without=["score_remote/mirror"]),
    Reader("the mirror of a store", "score_remote", ["score_remote/mirror"]),
    Reader("answers of a server", "ask", ["ask/artifacts/generated/*/.answers"]),
    Reader(
        "rows for W&B",
        "train_logged",
        ["train_logged/wandb_r*"],
        without=["train_logged/encoder", "train_logged/checkpoints/step-00000004.*"],
    ),
    Reader("an encoder's folder", "teach", ["inputs/models/bert"], True),
    Reader("a generator's folder", "generate", ["train_generator/generator"], True),
)
