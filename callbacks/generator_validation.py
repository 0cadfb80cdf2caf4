"""Validation of a query generator: its loss on dev examples, and texts that it generates for some of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console

from callbacks.run_rows import Table
from callbacks.wandb_logger import log_row
from xdr.errors import UserError
from xdr.generators.settings import Sampling
from xdr.storage.files import replacing_file
from xdr.text.identification import LanguageCheck
from xdr.training.generated_samples import (
    GeneratedSample,
    RoundTrip,
    SampleCheck,
    first_of_each_language,
    samples_table,
)
from xdr.training.generator_data import GeneratorData
from xdr.training.generator_module import QueryGeneratorModule

_COLUMNS = ("language", "source", "title", "passage", "reference", "written")


class GeneratorValidation(pl.Callback):
    """The module logs `dev/loss` of at most `largest_dev` examples; 0 switches validation off.

    This callback samples `num_sampled` texts in each language and logs metrics of them. It writes them to
    `samples/step-00000100.jsonl` in the trainer's `default_root_dir` and to a table in W&B. `round_trip` is an encoder
    folder: does a generated query find its passage among those of the dev examples?"""

    def __init__(
        self,
        seed: int,
        largest_dev: int,
        num_sampled: int,
        top_k: int,
        top_p: float,
        temperature: float,
        vocabulary: Literal["full", "language"],
        latin: bool,
        round_trip: str | None,
    ) -> None:
        if round_trip and not num_sampled:
            raise UserError("callbacks.validation.num_sampled must be at least 1 with round_trip, got 0")
        self._seed = seed
        self._largest_dev, self._num_sampled = largest_dev, num_sampled
        self._sampling = Sampling(top_k, top_p, temperature, 1, vocabulary, latin)
        self._round_trip = round_trip
        self._check: SampleCheck | None = None
        self._samples: list[GeneratedSample] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, GeneratorData):
            raise UserError("callbacks must be those of a retriever, got the validation of a generator; set callbacks=default")
        dev = data.choose_dev(self._largest_dev)
        if not dev or not self._num_sampled or self._check is not None:
            return
        assert data.identifier is not None
        task = data.tokenizer.task
        if self._round_trip and task.direction != "query_from_passage":
            raise UserError(
                f"callbacks.validation.round_trip must be null with model.direction={task.direction}, got {self._round_trip}"
            )
        self._check = SampleCheck(
            first_of_each_language(dev, self._num_sampled),
            data.tokenizer,
            replace(self._sampling, output_length=task.output_length),
            LanguageCheck(data.identifier),
            self._seed,
            RoundTrip.of(self._round_trip, dev) if self._round_trip else None,
        )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._check is not None:
            assert isinstance(pl_module, QueryGeneratorModule)
            self._samples = self._check.draw(pl_module.generator)
            metrics = self._check.metrics(self._samples)
            pl_module.log_dict({f"dev/{name}": value for name, value in metrics.items()}, rank_zero_only=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._samples or not trainer.is_global_zero:
            return
        rows = [
            [language, source.passage_id, source.title, source.text, reference, sample.text]
            for sample in self._samples
            for source, reference, _, language in [sample.target]
        ]
        with replacing_file(Path(trainer.default_root_dir) / "samples" / f"step-{trainer.global_step:08d}.jsonl") as partial:
            lines = [json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) for row in rows]
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if trainer.logger is not None:
            log_row(trainer.logger, {}, {"dev/written": Table(_COLUMNS, rows)}, trainer.global_step)
        if trainer.state.fn == TrainerFn.VALIDATING and trainer.global_step:
            Console().print(samples_table(self._samples))
