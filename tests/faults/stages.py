"""The stages that write and read every kind of file, on a collection of forty passages."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import fsspec.config
from omegaconf import DictConfig, OmegaConf

import evaluate
import train
from conf import entry
from conf.explore import KEPT_SETTINGS, kept_settings
from tests.late_interaction.conftest import colbert
from tests.loopback import Answer, serving
from tests.stand_ins import DEV, PASSAGES, TRAIN, write_collection, write_lines, write_models, write_vectors
from xdr.errors import UserError
from xdr.late_interaction.token_encoder_folder import save_token_encoder

Work = Callable[[], object]
BESIDE = "beside"


@dataclass(frozen=True)
class Stage:
    """`results` are patterns of files in the stage's folder. `made_of` is a file there, and a key in it that names the
    model: where it differs, so may the results."""

    name: str
    work: Work
    results: Sequence[str]
    made_of: tuple[str, str] | None = None
    folder: str = ""
    """The stage's name, if it is not given."""
    again: Work | None = None
    """The command to run after a disk has failed. None: the same one."""
    beside: Work | None = None
    """The same command for a second process, with the same artifacts_dir; of a sweep in the same folder, else in `BESIDE`."""

    def read_results(self, live: Path, within: str = "") -> dict[str, bytes]:
        folder = live / (self.folder or self.name) / within
        files = sorted({file for pattern in self.results for file in folder.glob(pattern) if file.is_file()})
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    def read_maker(self, live: Path) -> object:
        if self.made_of is None:
            return None
        file, key = self.made_of
        return json.loads((live / self.name / file).read_text())[key]


def write_inputs(folder: Path) -> None:
    """What no stage writes."""
    passages = PASSAGES[:40]
    ids = {passage.passage_id for passage in passages}
    dev, trained = ([one for one in of if one.positives[0].passage_id in ids] for of in (DEV[::4], TRAIN[::6]))
    write_collection(folder / "collection", passages, dev[:24], trained[:32])
    queries, qrels = (folder / "collection" / name for name in ("queries.jsonl", "qrels.tsv"))
    with queries.open("a", encoding="utf-8") as of_queries, qrels.open("a", encoding="utf-8") as of_qrels:
        for one in trained[:32]:
            own = {"query_id": one.query.query_id, "query": one.query.text, "lang": one.query.language, "split": "train"}
            of_queries.write(json.dumps(own) + "\n")
            of_qrels.write(f"{one.query.query_id} 0 {one.positives[0].passage_id} 1\n")
    asked = {one.positives[0].passage_id: one.query.text for one in trained}
    rows = [{"docid": key, "generated_queries": {"fi": [asked[key]] if key in asked else []}} for key in sorted(ids)]
    write_lines(folder / "collection" / "generated.jsonl", rows)
    models = folder / "models"
    write_models(models)
    write_vectors(models / "static")
    save_token_encoder(*colbert(models / "bert").build(models, seed=0), models / "colbert")


_QUICK = ["trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]
_TRAINED = ["trainer.max_steps=4", "callbacks.checkpoints.every_num_steps=2", "callbacks.checkpoints.keep=2", "model.hidden=32"]
_RETRIEVER = [*_TRAINED, "model.layers=1", "model.passage_length=16", "model.query_length=8", "data.batches.size=8"]
_GENERATOR = ["model=small_query_generator", *_TRAINED, "model.input_length=16", "model.output_length=8", "data.batches.size=8"]
_GENERATOR += ["callbacks.validation.num_sampled=0"]
_SCORED = ["evaluation.num_samples=20", "search.shard_size=15", "search.depth=10", "trainer.devices=1"]
_SCORED += ["evaluation.metrics=[MRR@10,recall@1]", "evaluation.headline=MRR@10"]
_GENERATED = ["augmentation=generated_queries", "augmentation.fusion=unit_mean", "augmentation.alpha=[0.1,0.3]"]
_RESULTS = ("metrics.json", "significance.json", "runs/*.trec")


def stages(live: Path) -> dict[str, Stage]:
    """In an order in which each finds what it reads."""
    data = ["data=collection", f"data.path={live / 'inputs' / 'collection'}"]
    models, retriever = live / "inputs" / "models", live / "train"

    def stage(
        name: str,
        script: str,
        overrides: Sequence[str],
        results: Sequence[str],
        made_of: tuple[str, str] | None,
        do: Callable[[str, DictConfig], None] = _command,
    ) -> Stage:
        def command(output_dir: Path) -> Work:
            own = [*data, *_QUICK, *overrides, f"output_dir={output_dir}"]
            if script == "evaluate":
                own.insert(0, f"artifacts_dir={live / name / 'artifacts'}")
            return partial(do, script, entry.compose(script, own))

        beside = command(live / name / BESIDE) if script == "evaluate" else None
        return Stage(name, command(live / name), results, made_of, beside=beside)

    def training(name: str, *overrides: str, quick: Sequence[str] = _RETRIEVER, result: str = "encoder") -> Stage:
        return stage(name, "train", [*quick, *overrides], [f"{result}/model.safetensors", f"{result}/tokenizer.json"], None)

    def scoring(name: str, *overrides: str, checkpoint: Path = retriever, maker: str = "encoder") -> Stage:
        return stage(
            name, "evaluate", [f"checkpoint={checkpoint}", *_SCORED, *overrides], _RESULTS, ("environment.json", maker)
        )

    def generating(name: str, backend: str, result: str) -> Stage:
        prefix = "augmentation.generation"
        wanted = {"languages": "[ar,fi]", "number": 1, "output_length": 4, "input_length": 16, "shard_size": 15, "probe": 0}
        own = [f"{prefix}.{key}={value}" for key, value in wanted.items()] + [f"augmentation/generation/backend={backend}"]
        own += [
            "stage=generate",
            "augmentation=generated_queries",
            f"checkpoint={live / 'train_generator'}",
            f"{prefix}.refuse=[]",
        ]
        return stage(name, "evaluate", own, [result], ("generated.json", "made_by"))

    def asking(name: str) -> Stage:
        prefix = "augmentation.generation"
        wanted = {"languages": "[fi]", "number": 1, "shard_size": 15, "refuse": "[empty]", "probe": 0}
        wanted |= {"backend.model": "m", "backend.concurrency": 1, "backend.retries": 0}
        own = [f"{prefix}.{key}={value}" for key, value in wanted.items()]
        own += ["augmentation/generation/backend=openai", "augmentation/generation/prompt=zero_shot"]
        own += ["stage=generate", "augmentation=generated_queries", "checkpoint=null"]
        return stage(name, "evaluate", own, ["artifacts/generated/*/shard-*/texts.arrow"], None, _ask)

    teacher = ["teacher=encoder", f"teacher.path={models / 'bert'}", "teacher.pooling=mean", "teacher.shard_size=10"]
    late = ["stage=teach", "teacher=late_interaction", f"teacher.path={models / 'colbert'}", "teacher.shard_size=10"]
    taught = [f"data.teacher_scores={live / 'teach'}", "objective=distillation", "data.batches.passages_per_query=4"]
    unmonitored = ["callbacks.validation=null", "callbacks.checkpoints.monitor=null"]
    bank = ["correction=csls", "correction.bank.source=train", "correction.k=5"]
    texts = [*_GENERATED, f"augmentation.source={live / 'generate'}"]
    exported = ["stage=export", *texts, f"augmentation.export={live / 'export' / 'texts.jsonl'}"]
    mined = ["stage=mine", f"checkpoint={retriever}", *_SCORED, "evaluation.split=train", "mining.margin=null", *teacher]
    reranked = [f"evaluation.rerank={models / 'colbert'}"]
    chosen = ["evaluation.split=train", f"evaluation.choose_from={live / 'score_imported'}"]
    published = ["stage=publish", f"checkpoint={models / 'encoder'}", f"publish.results={live / 'score_imported'}"]
    static = ["model=static", f"model.path={models / 'static'}", "trainer.max_steps=2", "data.batches.size=8"]
    afar = [f"artifacts_dir=local://{live / 'score_remote' / 'store'}"]
    swept = [*data, f"checkpoint={retriever}", *_QUICK, *_SCORED, "-m", "search.depth=5,7", f"output_dir={live / 'sweep'}"]
    sweep = partial(_sweep, swept)
    made = (
        training("train"),
        training("train_generator", quick=_GENERATOR, result="generator"),
        stage("prepare", "evaluate", ["stage=prepare"], ["artifacts/collections/*/*.arrow"], None),
        generating("generate", "huggingface", "generated.json"),
        generating("generate_fast", "ctranslate2", "artifacts/generated/*/shard-*/texts.arrow"),
        stage("export", "evaluate", exported, ["texts.jsonl"], None),
        scoring("score", *texts, *bank, "augmentation.controls=[mean_text,own_sentences]"),
        scoring("score_imported", *_GENERATED, checkpoint=models / "encoder"),
        scoring("score_questions", *_GENERATED, "augmentation.source=questions:train"),
        scoring("score_checkpoint", checkpoint=retriever / "checkpoints" / "best.ckpt"),
        scoring("score_reranked", *reranked, checkpoint=models / "encoder", maker="reranked by"),
        stage("train_static", "train", static, [str(KEPT_SETTINGS)], None),
        scoring("score_remote", *afar, checkpoint=models / "encoder"),
        asking("ask"),
        training("train_logged", "logger=offline"),
        scoring("compare", f"compare_to=[{live / 'score'}]"),
        scoring("choose", *_GENERATED, *chosen, checkpoint=models / "encoder"),
        stage(
            "verify", "evaluate", ["stage=verify", f"artifacts_dir={live / 'score_imported' / 'artifacts'}"], [".hydra/*"], None
        ),
        stage("publish", "evaluate", published, ["published/model/*.*"], None),
        stage(
            "publish_trained", "evaluate", ["stage=publish", f"checkpoint={retriever}"], ["published/model/*.safetensors"], None
        ),
        stage(
            "export_vectors",
            "evaluate",
            ["stage=export", "vectors=numpy", f"checkpoint={retriever}", *_SCORED],
            ["vectors/*"],
            None,
        ),
        stage(
            "teach",
            "evaluate",
            ["stage=teach", *data, *teacher],
            ["artifacts/taught/*/shard-*/scores.jsonl"],
            ("taught.json", "fingerprint"),
        ),
        stage("teach_late", "evaluate", late, ["artifacts/taught/*/shard-*/scores.jsonl"], ("taught.json", "fingerprint")),
        training("train_taught", *taught, *unmonitored),
        stage("mine", "evaluate", mined, ["mined.jsonl", "runs/*.trec"], ("environment.json", "encoder")),
        training("train_mined", f"data.mined={live / 'mine'}", *unmonitored),
        Stage(
            "sweep",
            sweep,
            ["*/metrics.json", "*/runs/*.trec"],
            again=partial(_sweep, [*swept, "retry=true"]),
            beside=sweep,
        ),
        Stage("read_sweep", partial(_sweep, ["stage=sweep", f"output_dir={live / 'sweep'}"]), ["sweep.html"], folder="sweep"),
        Stage("explore", partial(_explore, live / "score", live / "explore" / "scores.json"), ["scores.json"]),
    )
    return {stage.name: stage for stage in made}


def _command(script: str, settings: DictConfig) -> None:
    """Keeps the settings, as Hydra does. An address that begins with local:// is a store of objects, which need no folders."""
    fsspec.config.conf["local"] = {"auto_mkdir": True}
    kept = Path(settings.output_dir) / KEPT_SETTINGS
    kept.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(settings, kept)
    {"train": train.main, "evaluate": evaluate.main}[script](settings)


def _ask(script: str, settings: DictConfig) -> None:
    """Generates with a server that dies in the middle of the second shard, if nothing is there yet."""
    is_first = not Path(settings.output_dir).exists()
    with serving(lambda _, number: Answer(500) if is_first and number >= 20 else Answer()) as server:
        settings.augmentation.generation.backend.base_url = server.url
        with suppress(UserError) if is_first else nullcontext():
            _command(script, settings)


def _sweep(words: Sequence[str]) -> None:
    """The whole command: what a sweep writes, its entry point reads."""
    sys.argv[1:] = words
    entry.run("evaluate", evaluate.main)


def _explore(folder: Path, result: Path) -> None:
    """Opens a finished evaluation, and asks it one question."""
    from xdr.explorer.finished import open_finished

    finished = open_finished(folder, kept_settings(folder))
    query_D = finished.load_encoder().encode_queries(["lake"])[0]
    products = finished.scores.products(query_D)
    found = [finished.scores.baseline(products).tolist(), finished.scores.fused(products, 0.3).tolist()]
    found += [{system: values.macro for system, values in finished.values.items()}]
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(found))


QUICK = ("prepare", "score_imported", "score_reranked", "score_remote", "ask", "teach")
"""Stages that read nothing of other stages."""
