"""What train.py does: read the examples, build the model, fit it, and save the best weights as a folder."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from xdr.data.benchmark import Benchmark
from xdr.data.collection_summary import as_table, count_examples
from xdr.data.problems import Problems
from xdr.data.training_set import Rewording, TrainingSet, texts_by_language, training_set
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.fingerprints import fingerprint_tokenizer
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import Unfinished, UserError
from xdr.generators.generator_folder import save_generator, save_without_weights
from xdr.late_interaction.token_encoder import TokenEncoder
from xdr.late_interaction.token_encoder_folder import save_token_encoder
from xdr.noise.query_noise import QueryNoise
from xdr.pipelines.plan_training import plan_training
from xdr.pipelines.training_length import Length
from xdr.sharding.disk_space import explaining_the_disk
from xdr.sharding.memory import TO_TRAIN, explaining_device_memory
from xdr.storage.model_folders import ENCODER, GENERATOR, MODEL, PASSAGE_ENCODER
from xdr.text.identification import train_identifier
from xdr.text.records import TrainingExample
from xdr.training.batches import BatchSettings, epoch_batches
from xdr.training.bi_encoder_data import BiEncoderData
from xdr.training.bi_encoder_module import BiEncoderModule
from xdr.training.checkpoints import CheckpointFolder
from xdr.training.generator_data import GeneratorData, written_languages
from xdr.training.generator_module import QueryGeneratorModule
from xdr.training.run import TrainingRun, checkpoint_to_resume, silence_libraries, training_trainer
from xdr.training.run_negatives import training_examples
from xdr.training.twins import NOISE, begin_objective, check_twins, with_generated_twins, with_noise


@dataclass(frozen=True)
class TrainingInputs:
    """What is trained, on what, and how.

    `model`, `optimizer` and `objective` are what their settings name. `scoring` are the arguments `score_scale`,
    `learn_scale` and `chunk_size` of a `BiEncoderModule`. `validates` says whether a callback of the run validates on dev
    examples."""

    model: Any
    optimizer: Any
    objective: Any
    scoring: Mapping[str, Any]
    benchmark: Benchmark
    batches: BatchSettings
    negatives: str | None
    teacher_scores: str | None
    mined: str | None
    twins: str | Rewording | None
    noise: QueryNoise | None
    strict: bool
    verify: bool
    validates: bool
    run: TrainingRun
    console: Console


def train_retriever(inputs: TrainingInputs) -> float | None:
    """Trains a bi-encoder, or an encoder of late interaction, from the newest whole checkpoint if there is one. Leaves
    `encoder/`, and `passage_encoder/` for two towers, in the output folder. Returns the best value of the monitored metric."""
    run, console = inputs.run, inputs.console
    data, dev = _read_examples(inputs)
    silence_libraries()
    bi_encoder, tokenizer = inputs.model.build(run.output_dir / "initial_model", run.seed)
    run = run.with_tokenizer(fingerprint_tokenizer(tokenizer))
    pl.seed_everything(run.seed, verbose=False)
    length = _length(data, inputs)
    batches = inputs.batches if run.planned is None else inputs.batches.noisiest()
    data_module = BiEncoderData(data, dev, tokenizer, batches, run.seed, length.num_epochs)
    begin_objective(inputs.objective, bi_encoder, tokenizer, data_module.first_batch())
    module = BiEncoderModule(
        bi_encoder, inputs.objective, inputs.optimizer, length.num_steps, settings=run.settings, **inputs.scoring
    )
    if run.planned is not None:
        plan_training(module, data_module, run, length, inputs.validates, 3, console)
        return None
    initial = run.checkpoints.folder / MODEL
    if not (initial / ENCODER).exists():
        _save_towers(bi_encoder, tokenizer, initial)
    result = _fit(module, data_module, inputs, run, ("recall@1", "recall@10", "recall@100", "MRR"))
    if result.is_first_process:
        for name in (ENCODER, PASSAGE_ENCODER):
            shutil.rmtree(run.output_dir / name, ignore_errors=True)
        _save_towers(bi_encoder, tokenizer, run.output_dir)
        console.print(f"Encoder: {run.output_dir / ENCODER}", markup=False, soft_wrap=True)
    return result.value


def train_generator(inputs: TrainingInputs) -> float | None:
    """Trains a query generator, as `train_retriever` trains a bi-encoder. Leaves `generator/`."""
    run, console = inputs.run, inputs.console
    _refuse_unfit_settings(inputs)
    data, dev = _read_examples(inputs)
    task = written_languages(inputs.model.task, data.examples)
    texts = texts_by_language(data.examples)
    silence_libraries()
    generator, tokenizer = inputs.model.build(task, run.output_dir / "initial_model", run.seed, chain(*texts.values()))
    run = run.with_tokenizer(fingerprint_tokenizer(tokenizer))
    identifier = train_identifier(texts)
    pl.seed_everything(run.seed, verbose=False)
    length = _length(data, inputs)
    data_module = GeneratorData(data, dev, tokenizer, identifier, inputs.batches, run.seed)
    module = QueryGeneratorModule(
        generator,
        inputs.objective,
        inputs.optimizer,
        length.num_steps,
        languages=data_module.languages,
        settings=run.settings,
    )
    if run.planned is not None:
        plan_training(module, data_module, run, length, inputs.validates, 2, console)
        return None
    initial = run.checkpoints.folder / MODEL
    if not initial.exists():
        save_without_weights(generator, tokenizer, identifier, initial)
    printed = ("loss", "right_language", "distinct", "copied", "tokens", "round_trip@1", "round_trip@10")
    result = _fit(module, data_module, inputs, run, printed)
    if result.is_first_process:
        folder = run.output_dir / GENERATOR
        shutil.rmtree(folder, ignore_errors=True)
        save_generator(generator.cpu(), tokenizer, identifier, folder)
        console.print(f"Generator: {folder}", markup=False, soft_wrap=True)
    return result.value


def model_files(output_dir: Path) -> list[Path]:
    """The best checkpoint, or the newest where there was no validation, and the folder that its weights belong to."""
    checkpoints = CheckpointFolder(output_dir / "checkpoints")
    best = checkpoints.best if checkpoints.best.is_file() else checkpoints.newest_whole()[0]
    return [best, checkpoints.folder / MODEL] if best is not None else []


def _read_examples(inputs: TrainingInputs) -> tuple[TrainingSet, list[TrainingExample]]:
    """The training set and the dev examples, counted in the terminal."""
    problems, artifacts_dir, twins = Problems(inputs.strict, inputs.verify), inputs.run.output_dir / "artifacts", inputs.twins
    sources = inputs.negatives, inputs.teacher_scores, inputs.mined
    train = training_examples(inputs.benchmark, *sources, artifacts_dir, problems)
    if isinstance(twins, str) and twins != NOISE:
        train = with_generated_twins(train, twins, inputs.benchmark, artifacts_dir, problems)
    dev = list(inputs.benchmark.examples("dev", problems)) if inputs.validates else []
    inputs.console.print(as_table("Training examples", [*count_examples("train", train), *count_examples("dev", dev)]))
    for note in problems.report():
        inputs.console.print(note, style="yellow", markup=False)
    data = training_set(train, inputs.batches.language_weights, inputs.benchmark.weight_of)
    data = data if isinstance(twins, str) else replace(data, reword=twins)
    data = with_noise(data, inputs.batches, twins, inputs.noise)
    check_twins(data, inputs.batches, twins)
    return data, dev


def _length(data: TrainingSet, inputs: TrainingInputs) -> Length:
    """Lightning's own estimate would set up the loader before a checkpoint's state of it can be restored."""
    batches, run = inputs.batches, inputs.run
    num_batches = len(epoch_batches(data, batches, run.seed, 0))
    return Length.of(num_batches, run.trainer)


def _save_towers(bi_encoder: BiEncoder | TokenEncoder, tokenizer: TextTokenizer, folder: Path) -> None:
    if isinstance(bi_encoder, TokenEncoder):
        return save_token_encoder(bi_encoder.cpu(), tokenizer, folder / ENCODER)
    for name, tower in ((ENCODER, bi_encoder.encoder), (PASSAGE_ENCODER, bi_encoder.passage_encoder)):
        if tower is not None:
            save_encoder(tower.cpu(), tokenizer, folder / name)


def _refuse_unfit_settings(inputs: TrainingInputs) -> None:
    """Settings that a generator cannot be trained with."""
    precision = str(inputs.run.trainer["precision"])
    if precision.startswith("16"):
        raise UserError(
            f"trainer.precision must be bf16-mixed, bf16-true or 32-true for a generator, got {precision}. Activations of T5 "
            "and Gemma overflow in float16, and the loss becomes nan"
        )
    if inputs.batches.passages_per_query != 1:
        raise UserError(f"data.batches.passages_per_query must be 1 for a generator, got {inputs.batches.passages_per_query}")
    if inputs.noise is not None:
        raise UserError("noise must be none for a generator. A generator writes queries as people should")
    if inputs.batches.twins_per_query:
        raise UserError(f"data.batches.twins_per_query must be 0 for a generator, got {inputs.batches.twins_per_query}")


@dataclass(frozen=True)
class _Fitted:
    """`value` is the monitored metric of the best checkpoint, whose weights the module then has."""

    is_first_process: bool
    value: float | None


def _fit(
    module: BiEncoderModule | QueryGeneratorModule,
    data_module: pl.LightningDataModule,
    inputs: TrainingInputs,
    run: TrainingRun,
    printed: Sequence[str],
) -> _Fitted:
    """Fits, and validates before and after. `printed` are dev metrics for the terminal."""
    console = inputs.console
    silence_libraries()
    module.train()  # Hugging Face loads models in eval mode, and Lightning leaves the mode as it is
    trainer = training_trainer(run)
    start = checkpoint_to_resume(run, console)
    value = None
    full_disk = explaining_the_disk("The last checkpoint is whole. Free some space and run the same command to resume")
    try:
        with full_disk, explaining_device_memory(TO_TRAIN):
            if inputs.validates and start is None:
                _print_metrics("untrained", trainer.validate(module, data_module, verbose=False)[0], printed, console)
            trainer.fit(module, data_module, ckpt_path=start, weights_only=True)
            if inputs.validates:
                if run.checkpoints.best.exists():
                    state = torch.load(run.checkpoints.best, map_location="cpu", weights_only=True)["state_dict"]
                    module.load_state_dict(state)
                metrics = trainer.validate(module, data_module, verbose=False)[0]
                _print_metrics("best", metrics, printed, console)
                value = metrics.get(run.monitor)
    except Unfinished:
        console.print(f"Interrupted at step {trainer.global_step}. Run the same command to resume.", style="yellow")
        raise
    return _Fitted(trainer.is_global_zero, value)


def _print_metrics(name: str, metrics: Mapping[str, float], printed: Sequence[str], console: Console) -> None:
    shown = [f"{key} {metrics[f'dev/{key}']:.3f}" for key in printed if f"dev/{key}" in metrics]
    console.print(f"{name:>10}  " + "  ".join(shown), soft_wrap=True)
