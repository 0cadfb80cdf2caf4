"""One run from its parts: where it goes on, and the encoder it leaves."""

import errno
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from rich.console import Console

from xdr.data.batches import epoch_batches
from xdr.data.training_set import TrainingSet
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import Unfinished, UserError
from xdr.generators.generator_folder import save_generator, save_skeleton
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.pipelines.plan_training import plan_training
from xdr.pipelines.training_length import Length
from xdr.storage.model_folders import ENCODER, GENERATOR, MODEL, PASSAGE_ENCODER
from xdr.text.identification import LanguageIdentifier
from xdr.training.bi_encoder_data import BatchSettings, BiEncoderData
from xdr.training.bi_encoder_module import BiEncoderModule, Objective, Optimizer
from xdr.training.generated_samples import SampleCheck, samples_table
from xdr.training.generator_data import GeneratorData, Written
from xdr.training.generator_module import QueryGeneratorModule, WritingOptimizer
from xdr.training.run import TrainingRun, checkpoint_to_resume, silence_libraries, training_trainer
from xdr.training.validation_pool import ValidationPool


def fit_bi_encoder(
    bi_encoder: BiEncoder,
    reader: TextTokenizer,
    data: TrainingSet,
    pool: ValidationPool | None,
    batches: BatchSettings,
    objective: Objective,
    optimizer: Optimizer,
    run: TrainingRun,
    console: Console,
) -> float | None:
    """Trains, from the newest whole checkpoint if there is one, and leaves `encoder/` (and `passage_encoder/`, if untied) in
    the output folder. Returns the best value of the monitored figure."""
    pl.seed_everything(run.seed, verbose=False)
    length = length_of(data, batches, run)
    module = BiEncoderModule(bi_encoder, objective, optimizer, length.num_steps, run.settings)
    data_module = BiEncoderData(data, pool, reader, batches, run.seed)
    if run.planned is not None:
        plan_training(module, data_module, run, length, pool is not None, 3, console)
        return None
    beginning = run.checkpoints.folder / MODEL  # what the weights in a checkpoint belong to
    if not (beginning / ENCODER).exists():
        save_towers(module.bi_encoder, reader, beginning)
    shown = ("recall@1", "recall@10", "recall@100", "MRR") if pool is not None else ()
    result = fit(module, data_module, run, console, shown)
    if result.is_first_process:
        leave_encoders(module.bi_encoder, reader, run.output_dir)
        console.print(f"the encoder is in {run.output_dir / 'encoder'}", markup=False, soft_wrap=True)
    return result.value


def fit_generator(
    generator: QueryGenerator,
    reader: GeneratorTokenizer,
    identifier: LanguageIdentifier | None,
    data: TrainingSet,
    dev: Sequence[Written],
    check: SampleCheck | None,
    batches: BatchSettings,
    optimizer: WritingOptimizer,
    run: TrainingRun,
    console: Console,
) -> float | None:
    """As `fit_bi_encoder`; leaves `generator/`. `checkpoints/model/` holds what the weights in a checkpoint belong to."""
    if str(run.trainer["precision"]).startswith("16"):
        raise UserError(
            "trainer.precision=16 overflows in the T5 family, whose activations were trained in bfloat16's range: the loss "
            "becomes nan. Set trainer.precision=bf16-mixed, or 32-true"
        )
    if batches.passages_per_query != 1:
        raise UserError("a generator learns from the passage that answers alone; set data.batches.passages_per_query=1")
    pl.seed_everything(run.seed, verbose=False)
    length = length_of(data, batches, run)
    data_module = GeneratorData(data, dev, reader, batches.size, batches.order, batches.num_workers, run.seed)
    module = QueryGeneratorModule(generator, optimizer, length.num_steps, data_module.groups, check, run.settings)
    if run.planned is not None:
        plan_training(module, data_module, run, length, bool(dev), 2, console)
        return None
    skeleton = run.checkpoints.folder / MODEL
    if not skeleton.exists():
        save_skeleton(generator, reader, identifier, skeleton)
    shown = ("loss", *(("right_language", "distinct", "copied", "tokens") if check is not None else ())) if dev else ()
    if check is not None and check.round_trip is not None:
        shown = (*shown, "round_trip@1", "round_trip@10")
    result = fit(module, data_module, run, console, shown)
    if result.is_first_process:
        if module.samples:
            console.print(samples_table(module.samples))
        folder = run.output_dir / GENERATOR
        shutil.rmtree(folder, ignore_errors=True)
        save_generator(module.generator.cpu(), reader, identifier, folder)
        console.print(f"the generator is in {folder}", markup=False, soft_wrap=True)
    return result.value


@dataclass(frozen=True)
class Fitted:
    """`value` is the monitored figure of the best checkpoint, whose weights the module then has."""

    is_first_process: bool
    value: float | None


def fit(
    module: BiEncoderModule | QueryGeneratorModule,
    data_module: pl.LightningDataModule,
    run: TrainingRun,
    console: Console,
    shown: Sequence[str],
) -> Fitted:
    """What all training has in common. `shown` are dev figures for the terminal, before and after; without any there is no
    validation."""
    silence_libraries()
    module.train()  # Hugging Face loads models in eval mode, and Lightning leaves the mode as it is
    trainer = training_trainer(run)
    start = checkpoint_to_resume(run, console)
    value = None
    try:
        if shown and start is None:
            before = trainer.validate(module, data_module, verbose=False)[0]
            console.print(_line("untrained", before, shown), soft_wrap=True)
        trainer.fit(module, data_module, ckpt_path=start, weights_only=True)
        if module.asked_to_end or trainer.interrupted:
            console.print(f"stopped at step {trainer.global_step}; the same command goes on", style="yellow")
            raise Unfinished
        if shown:
            if run.checkpoints.best.exists():
                state = torch.load(run.checkpoints.best, map_location="cpu", weights_only=True)["state_dict"]
                module.load_state_dict(state)
            after = trainer.validate(module, data_module, verbose=False)[0]
            console.print(_line("best", after, shown), soft_wrap=True)
            value = after.get(run.monitor)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError("the disk is full; the last checkpoint is whole. Make room, and the same command goes on") from error
    return Fitted(trainer.is_global_zero, value)


def length_of(data: TrainingSet, batches: BatchSettings, run: TrainingRun) -> Length:
    """Lightning's own estimate sets up the loader before a checkpoint's state of it is there to be read, which is then lost."""
    num_batches = len(epoch_batches(data, batches.order, batches.size, batches.monolingual_share, run.seed, 0))
    return Length.of(num_batches, run.trainer)


def leave_encoders(bi_encoder: BiEncoder, reader: TextTokenizer, output_dir: Path) -> None:
    """In place of those of an earlier run."""
    for name in (ENCODER, PASSAGE_ENCODER):
        shutil.rmtree(output_dir / name, ignore_errors=True)
    save_towers(bi_encoder, reader, output_dir)


def save_towers(bi_encoder: BiEncoder, reader: TextTokenizer, folder: Path) -> None:
    for name, tower in ((ENCODER, bi_encoder.encoder), (PASSAGE_ENCODER, bi_encoder.passage_encoder)):
        if tower is not None:
            save_encoder(tower.cpu(), reader, folder / name)


def _line(name: str, figures: Mapping[str, float], shown: Sequence[str]) -> str:
    return f"{name:>10}  " + "  ".join(f"{key} {figures[f'dev/{key}']:.3f}" for key in shown)
