"""stage=publish: an encoder as a model of the hub, and generated questions as a data set; pushed when asked."""

import shutil
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.fingerprints import fingerprint_encoder
from xdr.encoders.input_format import EncoderOptions
from xdr.encoders.open_encoder import open_encoder
from xdr.errors import ArtefactError, UserError, first_line, in_one_sentence
from xdr.interop.cards import model_card, questions_card, results_section
from xdr.interop.publishing import PublishSettings, push, write_folder
from xdr.pipelines.prepare import collection_of
from xdr.tasks.settings import StageInputs
from xdr.training.run import silence_libraries
from xdr.writing.generated_source import export_generated, open_texts


def publish(inputs: StageInputs, settings: PublishSettings) -> None:
    if inputs.checkpoint is None and inputs.augmentation is None:
        needed = "checkpoint=ENCODER, or augmentation=generated_queries augmentation.source=QUESTIONS"
        raise UserError(f"stage=publish needs {needed}")
    written = []
    if inputs.checkpoint is not None:
        written.append(("model", "model", _write_model(inputs, inputs.checkpoint, settings)))
    if inputs.augmentation is not None:
        written.append(("questions", "dataset", _write_questions(inputs, settings)))
    for kind, repo_type, folder in written:
        name = settings.named(kind)
        if settings.push:
            said = f"Pushed to {push(folder, name, repo_type, settings.private)}"
        else:
            said = f"Not pushed. publish.push=true uploads it as {name}"
        inputs.console.print(f"{kind.capitalize()}: {folder}, with its card\n{said}", markup=False, soft_wrap=True)


def _write_model(inputs: StageInputs, checkpoint: str, settings: PublishSettings) -> Path:
    silence_libraries()
    options = EncoderOptions(**{field.name: getattr(inputs.evaluation, field.name) for field in fields(EncoderOptions)})
    queries, passages, tokenizer = open_encoder(checkpoint, options)
    if passages is not None:
        raise UserError("checkpoint must have one encoder for queries and passages: sentence-transformers' layout holds one")
    results = ""
    if settings.results is not None:
        results = results_section(Path(settings.results).expanduser(), fingerprint_encoder(queries, passages, tokenizer))
    form = tokenizer.input_format
    lengths = form.query_length, form.passage_length
    card = model_card(settings.named("model"), settings.licence, training_settings(Path(checkpoint)), lengths, results)
    folder = _emptied(inputs.output_dir / "published" / "model")
    write_folder(folder, card, lambda partial: _fill(partial, queries, tokenizer))
    return folder


def _fill(folder: Path, encoder: Any, tokenizer: Any) -> None:
    save_encoder(encoder, tokenizer, folder / "encoder")
    for file in (folder / "encoder").iterdir():
        file.rename(folder / file.name)
    (folder / "encoder").rmdir()


def training_settings(checkpoint: Path) -> dict[str, Any]:
    """Of the run whose output folder, or a file in it, is the checkpoint."""
    for folder in (checkpoint, *checkpoint.parents[:2]):
        if (file := folder / "hparams.yaml").is_file():
            with in_one_sentence(partial(_damaged_settings, file)):
                return dict(yaml.safe_load(file.read_text(encoding="utf-8"))["settings"])
    return {}


def _damaged_settings(file: Path, error: Exception) -> ArtefactError:
    return ArtefactError(f"{file} is damaged: {first_line(error)}. Remove it, and the card has no settings of the training")


def _write_questions(inputs: StageInputs, settings: PublishSettings) -> Path:
    assert inputs.augmentation is not None
    store = collection_of(inputs)
    texts = open_texts(inputs.augmentation.source, inputs.benchmark, store, inputs.artifacts_dir, whole_files=inputs.verify)
    numbers = texts.numbers()
    counts = {language: int(each.sum()) for language, each in numbers.items() if each.any()}
    num_sources = int(np.any(list(numbers.values()), axis=0).sum())
    card = questions_card(settings.named("questions"), settings.licence, counts, texts.made_by, num_sources)
    folder = _emptied(inputs.output_dir / "published" / "questions")
    write_folder(folder, card, partial(_export, texts, store))
    return folder


def _export(texts: Any, store: Any, folder: Path) -> None:
    export_generated(texts, store, folder / "questions.jsonl.gz")


def _emptied(folder: Path) -> Path:
    """That of an earlier command is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
