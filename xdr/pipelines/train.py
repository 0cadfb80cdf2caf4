"""What train.py does: read the examples, build the model, fit it, and save the best weights as a folder."""

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from rich.console import Console

from xdr.data.batches import BatchSettings, epoch_batches
from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.data.run_negatives import examples_with_negatives
from xdr.data.training_set import TrainingSet, texts_by_language, training_set
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import Unfinished, UserError
from xdr.generators.generator_folder import save_generator, save_skeleton
from xdr.pipelines.collection_summary import as_table, count_examples
from xdr.pipelines.plan_training import Length, plan_training
from xdr.storage.model_folders import ENCODER, GENERATOR, MODEL, PASSAGE_ENCODER
from xdr.text.identification import train_identifier
from xdr.text.records import TrainingExample
from xdr.training.bi_encoder_data import BiEncoderData
from xdr.training.bi_encoder_module import BiEncoderModule
from xdr.training.generated_samples import samples_table
from xdr.training.generator_data import GeneratorData
from xdr.training.generator_module import QueryGeneratorModule
from xdr.training.generator_validation import dev_texts, written_languages
from xdr.training.run import TrainingRun, checkpoint_to_resume, silence_libraries, training_trainer
from xdr.training.validation_pool import validation_pool


@dataclass(frozen=True)
class TrainingInputs:
    """What is trained, on what, and how.

    `model`, `optimizer` and `objective` are what their settings name; `validation` are the settings of the validation's
    callback, empty where there is none."""

    model: Any
    optimizer: Any
    objective: Callable[..., Any]
    score_scale: float
    learn_scale: bool
    chunk_size: int
    benchmark: Benchmark
    batches: BatchSettings
    negatives: str | None
    strict: bool
    validation: Mapping[str, Any]
    run: TrainingRun
    console: Console


def train_retriever(inputs: TrainingInputs) -> float | None:
    """Trains a bi-encoder, from the newest whole checkpoint if there is one. Leaves `encoder/`, and `passage_encoder/` for two
    towers, in the output folder. Returns the best value of the monitored metric."""
    run, console = inputs.run, inputs.console
    largest_pool = inputs.validation.get("largest_pool", 0)
    data, dev = _read_examples(inputs, with_dev=largest_pool > 0)
    pool = validation_pool(dev, data.examples, largest_pool) if largest_pool else None
    silence_libraries()
    bi_encoder, tokenizer = inputs.model.build(run.output_dir / "initial_model", run.seed)
    pl.seed_everything(run.seed, verbose=False)
    length = _length(data, inputs)
    module = BiEncoderModule(
        bi_encoder,
        inputs.objective,
        inputs.optimizer,
        length.num_steps,
        run.settings,
        score_scale=inputs.score_scale,
        learn_scale=inputs.learn_scale,
        chunk_size=inputs.chunk_size,
    )
    data_module = BiEncoderData(data, pool, tokenizer, inputs.batches, run.seed)
    if run.planned is not None:
        plan_training(module, data_module, run, length, pool is not None, 3, console)
        return None
    initial = run.checkpoints.folder / MODEL
    if not (initial / ENCODER).exists():
        _save_towers(bi_encoder, tokenizer, initial)
    printed = ("recall@1", "recall@10", "recall@100", "MRR") if pool is not None else ()
    result = _fit(module, data_module, run, console, printed)
    if result.is_first_process:
        for name in (ENCODER, PASSAGE_ENCODER):
            shutil.rmtree(run.output_dir / name, ignore_errors=True)
        _save_towers(bi_encoder, tokenizer, run.output_dir)
        console.print(f"Encoder: {run.output_dir / ENCODER}", markup=False, soft_wrap=True)
    return result.value


def train_generator(inputs: TrainingInputs) -> float | None:
    """Trains a query generator, as `train_retriever` trains a bi-encoder. Leaves `generator/`."""
    run, console, validation = inputs.run, inputs.console, dict(inputs.validation)
    _refuse_unfit_settings(inputs)
    largest_dev = validation.get("largest_dev", 0)
    data, dev = _read_examples(inputs, with_dev=largest_dev > 0)
    task = written_languages(inputs.model.task, data.examples)
    texts = texts_by_language(data.examples)
    silence_libraries()
    generator, tokenizer = inputs.model.build(task, run.output_dir / "initial_model", run.seed, chain(*texts.values()))
    identifier = train_identifier(texts)
    dev_set = dev_texts(tokenizer, dev, largest_dev)
    pl.seed_everything(run.seed, verbose=False)
    length = _length(data, inputs)
    data_module = GeneratorData(data, dev_set, tokenizer, inputs.batches, run.seed)
    module = QueryGeneratorModule(generator, inputs.optimizer, length.num_steps, data_module.groups, run.settings)
    if run.planned is not None:
        plan_training(module, data_module, run, length, bool(dev_set), 2, console)
        return None
    initial = run.checkpoints.folder / MODEL
    if not initial.exists():
        save_skeleton(generator, tokenizer, identifier, initial)
    result = _fit(module, data_module, run, console, ("loss",) if dev_set else ())
    if result.is_first_process:
        folder = run.output_dir / GENERATOR
        shutil.rmtree(folder, ignore_errors=True)
        save_generator(generator.cpu(), tokenizer, identifier, folder)
        console.print(f"Generator: {folder}", markup=False, soft_wrap=True)
    return result.value


def _read_examples(inputs: TrainingInputs, with_dev: bool) -> tuple[TrainingSet, list[TrainingExample]]:
    """The training set and the dev examples, counted in the terminal."""
    problems = Problems(inputs.strict)
    train = examples_with_negatives(inputs.benchmark, inputs.negatives, inputs.run.output_dir / "artifacts", problems)
    dev = list(inputs.benchmark.examples("dev", problems)) if with_dev else []
    inputs.console.print(as_table("Training examples", [*count_examples("train", train), *count_examples("dev", dev)]))
    for note in problems.report():
        inputs.console.print(note, style="yellow", markup=False)
    return training_set(train, inputs.batches.language_weights, inputs.benchmark.weight_of), dev
