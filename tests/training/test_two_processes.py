"""Loss and gradients of a step, with one process and with two."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from xdr.data.training_set import training_set
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.input_format import InputFormat
from xdr.encoders.static_encoder import StaticEncoder
from xdr.encoders.tokenization import TextTokenizer
from xdr.objectives.losses import Combined, RetrieverObjective, contrastive
from xdr.objectives.twin_losses import consistency, passage_consistency, twin_contrastive
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.batches import BatchSettings
from xdr.training.bi_encoder_data import BiEncoderData
from xdr.training.bi_encoder_module import BiEncoderModule
from xdr.training.optimizers import AdamW


class Letters:
    """A tokenizer of a few letters."""

    def __call__(self, texts: Any, longest: int) -> list[list[int]]:
        return [[ord(letter) % 20 for letter in text][:longest] for text in texts]


class Record(pl.Callback):
    """Keeps the first step's gradients, which DDP has averaged by then, and the mean of the processes' losses."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        losses = pl_module.all_gather(outputs["loss"])
        assert isinstance(losses, torch.Tensor)
        loss = losses.mean()
        gradients = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
        if trainer.is_global_zero:
            torch.save({"loss": loss, **gradients}, self._path)
        trainer.strategy.barrier()


def all_objectives() -> RetrieverObjective:
    """All that compare texts of several processes."""
    parts = {
        "contrastive": partial(contrastive, both_directions=True),
        "consistency": partial(consistency, teacher="query", stop_gradient=False, teacher_temperature=2.0),
        "passage_consistency": partial(passage_consistency, teacher_temperature=2.0),
        "query": partial(twin_contrastive, anchor="query"),
        "passage": partial(twin_contrastive, anchor="passage"),
    }
    return Combined(parts, dict.fromkeys(parts, 1.0))


def reversed_or_doubled(query: Query, seed: int, epoch: int) -> str:
    """Some wording of a query; the seed tells which."""
    return query.text[::-1] + query.text[: seed % 3]


def step(path: Path, processes: int, objective: RetrieverObjective, chunk_size: int, **batches: Any) -> dict[str, torch.Tensor]:
    """Twins are those of the examples, unless there are settings of `batches`; then words are noisy."""
    torch.manual_seed(0)
    encoder = StaticEncoder(torch.randn(20, 8), normalize=True)
    torch.nn.init.normal_(encoder.head.weight, std=0.3)
    words = ["abc", "bcd", "cde", "def", "efg", "fgh", "ghi", "hij"]
    examples = [
        TrainingExample(
            Query(str(i), word, "fi"),
            (Passage(f"p{i // 2}", "", words[i // 2][::-1] * 2),),  # two queries a passage
            (Passage(f"n{i}", "", word * 2),),
            twins=tuple(Query("", word[n:] + "kl", "en") for n in range(i % 3)),  # none, one or two
        )
        for i, word in enumerate(words)
    ]
    module = BiEncoderModule(
        BiEncoder(encoder), objective, AdamW(1e-3, 0.0, 0.0), 1, score_scale=5.0, chunk_size=chunk_size
    ).train()
    tokenizer = TextTokenizer(Letters(), InputFormat(8, 8))
    settings = BatchSettings(8, 2, "mixed", 0.5, None, 0, **(batches or {"twins_per_query": 2}))
    noise = reversed_or_doubled if batches else None
    data = BiEncoderData(replace(training_set(examples), noise=noise, reword=noise), [], tokenizer, settings, 0)
    trainer = pl.Trainer(
        max_steps=1,
        accelerator="cpu",
        devices=processes,
        strategy="ddp_spawn" if processes > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[Record(path)],
    )
    trainer.fit(module, data)
    saved: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return saved


@pytest.mark.parametrize(
    ("objective", "chunk_size"),
    [pytest.param(partial(contrastive, both_directions=False), 0, marks=pytest.mark.slow), (all_objectives(), 3)],
)
def test_loss_and_gradients_of_two_processes_are_those_of_one(
    tmp_path: Path, objective: RetrieverObjective, chunk_size: int
) -> None:
    one = step(tmp_path / "one", 1, objective, 0)
    two = step(tmp_path / "two", 2, objective, chunk_size)
    assert one.keys() == two.keys()
    assert len(one) == 4
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "batches",
    [{"noisy": 0.5, "hardest_of": 3}, {"noisy": 0.1, "hardest_of": 3}, {"twins_per_query": 2, "hardest_of": 4}],
    ids=["in the place of queries", "one process has none", "as twins"],
)
def test_two_processes_choose_the_hardest_versions_that_one_does(tmp_path: Path, batches: dict[str, Any]) -> None:
    objective = all_objectives() if "twins_per_query" in batches else partial(contrastive, both_directions=True)
    one = step(tmp_path / "one", 1, objective, 0, **batches)
    two = step(tmp_path / "two", 2, objective, 3, **batches)
    assert one.keys() == two.keys() and len(one) == 4
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=1e-5)
