"""Everything after training, one stage at a time. See `python evaluate.py --help`."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from conf import entry, targets
from conf.schema import BESIDE
from conf.sweep import as_kept
from xdr.data.first_lines import read_first_passages, read_first_queries
from xdr.errors import UserError
from xdr.sharding.engine import Local
from xdr.storage.remote import mirror_of
from xdr.tasks.settings import PLANNED_STAGES, SHARED_STAGES, StageInputs
from xdr.teaching.settings import ListSettings

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from xdr.retrieval.trec_runs import Run
    from xdr.sharding.encode import EncodingJob
    from xdr.sharding.engine import Engine
    from xdr.tasks.retrieval_task import RetrievalTask

    Logging = Callable[[str], AbstractContextManager[Any]]


def main(settings: "DictConfig") -> float | None:
    """Runs one stage. Returns the headline metric of the best system after stage=score."""
    engine = entry.build(settings, "engine")
    if not isinstance(engine, Local):
        settings = _for_cluster(settings)
    with engine.running(partial(entry.plain, settings)):
        return _run(settings, engine, partial(entry.logging, settings))


def _for_cluster(settings: "DictConfig") -> "DictConfig":
    """The settings with one device, so that Lightning starts no processes beside the command and its workers. Refuses what a
    cluster cannot do."""
    from omegaconf import OmegaConf

    if settings.stage not in SHARED_STAGES or settings.plan:
        raise UserError(
            f"engine must be local with {'plan=true' if settings.plan else f'stage={settings.stage}'}: there is no work for a "
            "cluster. Leave it out"
        )
    devices = settings.trainer.devices
    if devices not in ("auto", 1):
        raise UserError(f"trainer.devices must be auto or 1 with this engine, got {devices}. Set engine.workers")
    settings = settings.copy()
    OmegaConf.update(settings, "trainer", {"devices": 1, "num_nodes": 1, "strategy": "auto"})
    return settings


def work(settings: dict[str, Any], engine: "Engine") -> None:
    """Runs the stage in a worker of a cluster, which shows and logs nothing."""
    from lightning.pytorch.loggers.logger import DummyLogger
    from omegaconf import OmegaConf

    _run(OmegaConf.create(settings), engine, lambda kind: nullcontext(DummyLogger()), quiet=True)


def _run(settings: "DictConfig", engine: "Engine", logging: "Logging", *, quiet: bool = False) -> float | None:
    from rich.console import Console

    stage = settings.stage
    if settings.plan and stage not in PLANNED_STAGES:
        raise UserError(f"plan=true must be used with stage={', '.join(PLANNED_STAGES)}, got stage={stage}")
    if settings.noise and stage != "score":
        raise UserError(f"noise must be none with stage={stage}, which asks no noisy queries. Leave it out")
    if settings.vectors and stage != "export":
        raise UserError(f"vectors must be none with stage={stage}: stage=export writes them. Leave it out")
    if stage == "sweep":
        settings = as_kept(settings, list(HydraConfig.get().overrides.task))
    inputs = StageInputs(
        benchmark=entry.build_benchmark(settings) if stage not in ("sweep", "verify") else None,
        strict=settings.data.strict,
        verify=settings.data.verify,
        checkpoint=settings.checkpoint,
        augmentation=entry.build(settings, "augmentation"),
        search=entry.build(settings, "search"),
        correction=entry.build(settings, "correction"),
        hybrid=entry.build(settings, "hybrid"),
        noise=entry.build(settings, "noise"),
        vectors=entry.build(settings, "vectors"),
        teacher=entry.build(settings, "teacher", *BESIDE["teacher"]),
        lists=ListSettings(**{name: settings.teacher[name] for name in BESIDE["teacher"]}) if settings.teacher else None,
        evaluation=entry.build(settings, "evaluation"),
        compare_to=list(settings.compare_to),
        trainer=entry.plain(settings.trainer),
        engine=engine,
        plan=settings.plan,
        output_dir=Path(settings.output_dir),
        artifacts_dir=mirror_of(settings.artifacts_dir, Path(settings.artifacts_mirror)),
        console=Console(quiet=quiet or int(os.environ.get("LOCAL_RANK", 0)) > 0),
        logging=logging,
        locate=partial(targets.locate, plugins=tuple(settings.plugins)),
    )
    if stage in ("encode", "score", "mine"):
        inputs.require_checkpoint(stage, "an encoder")
    if inputs.benchmark is not None and stage != "prepare":
        read_first_passages(inputs.benchmark, inputs.problems())
    if stage in ("score", "mine"):
        read_first_queries(inputs.benchmark, inputs.evaluation.split, inputs.problems())
    if stage == "sweep":
        from callbacks.report_sweep import log_sweep
        from xdr.pipelines.sweep import read_sweep

        read_sweep(inputs, entry.build(settings, "sweep"), log_sweep)
    elif stage == "score":
        return _score(inputs)
    elif stage == "publish":
        from xdr.pipelines.publish import publish

        publish(inputs, entry.build(settings, "publish"))
    elif stage == "verify":
        from xdr.pipelines.verify import verify

        verify(inputs)
    elif stage == "prepare":
        from xdr.pipelines.prepare import prepare

        prepare(inputs)
    elif stage == "teach":
        from xdr.pipelines.teach import teach

        teach(inputs)
    elif stage == "mine":
        _mine(inputs, settings)
    elif stage == "encode":
        from xdr.pipelines.evaluate import encode

        encode(inputs)
    elif stage == "export" and inputs.vectors is not None:
        from xdr.pipelines.evaluate import export_vectors

        export_vectors(inputs)
    else:
        from xdr.pipelines import write_generated

        {"generate": write_generated.generate, "export": write_generated.export}[stage](inputs)
    return None


def _score(inputs: StageInputs) -> float | None:
    from callbacks.report_evaluation import ReportEvaluation
    from callbacks.retrieval_evaluation import RetrievalEvaluation
    from xdr.pipelines.evaluate import score
    from xdr.sharding.progress import took

    callbacks: list[RetrievalEvaluation] = []
    reports: list[ReportEvaluation] = []

    def evaluation_callbacks(task: "RetrievalTask", job: "EncodingJob") -> list[RetrievalEvaluation]:
        wanted, folder = inputs.evaluation, inputs.output_dir
        # stage=sweep shows all jobs in one table
        brief = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
        reports.append(ReportEvaluation(task, wanted.headline, wanted.runs, job, folder, inputs.console, brief=brief))
        callbacks.append(RetrievalEvaluation(task, reports[-1], inputs.engine))
        return callbacks

    score(inputs, evaluation_callbacks)
    if inputs.evaluation.runs and reports and reports[-1].best is not None:  # the first process has reported
        inputs.benchmark.write_results(inputs.evaluation.split, partial(_read_runs, inputs.output_dir), inputs.output_dir)
    for callback in callbacks:
        inputs.console.print(took(callback.seconds), markup=False)
    return reports[-1].best if reports else None


def _read_runs(folder: Path) -> "dict[str, Run]":
    from xdr.retrieval.trec_runs import read_run

    return {path.stem: read_run(path) for path in sorted((folder / "runs").glob("*.trec"))}


def _mine(inputs: StageInputs, settings: "DictConfig") -> None:
    """A round of mining: retrieves, lets the teacher score what was found, and labels it."""
    from xdr.pipelines.teach import teach
    from xdr.teaching.mining import MiningJob, mine

    rules, wanted = entry.build(settings, "mining", *BESIDE["mining"]), inputs.evaluation
    if wanted.split != "train" or not wanted.runs:
        raise UserError(
            "stage=mine must have evaluation.split=train and evaluation.runs=true, got "
            f"evaluation.split={wanted.split} and evaluation.runs={str(wanted.runs).lower()}"
        )
    if inputs.lists is not None and inputs.lists.candidates is not None:
        raise UserError(f"teacher.candidates must be null with stage=mine, which makes them, got {inputs.lists.candidates}")
    _score(inputs)
    run, scores = inputs.output_dir / "runs" / f"{settings.mining.system}.trec", None
    if not run.is_file():
        systems = ", ".join(sorted(path.stem for path in run.parent.glob("*.trec")))
        raise UserError(f"mining.system must be a system of this evaluation ({systems}), got {settings.mining.system}")
    if inputs.lists is not None:
        scores, of_teacher = inputs.output_dir / "taught", settings.copy()
        of_teacher.output_dir = str(scores)
        lists, logging = replace(inputs.lists, candidates=str(run)), partial(entry.logging, of_teacher)
        teach(replace(inputs, lists=lists, output_dir=scores, logging=logging))
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        job = MiningJob(inputs.benchmark, run, scores, rules, inputs.artifacts_dir, inputs.output_dir)
        mine(job, inputs.problems(), inputs.console)


if __name__ == "__main__":
    entry.run("evaluate", main)
