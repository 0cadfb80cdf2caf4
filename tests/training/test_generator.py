"""Training of the query generator as a user sees it, and one step on two processes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from tests.runs import QUICK_GENERATOR, run, run_with_kills, start, weights
from tests.training.test_two_processes import Record
from xdr.data.training_set import TrainingSet, training_set
from xdr.generators.generator_folder import load_generator
from xdr.generators.query_generator import Task, token_losses
from xdr.generators.small import build_small_mt5
from xdr.objectives.losses import token_likelihood
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.batches import BatchSettings
from xdr.training.generator_data import GeneratorData, target_of, written_languages
from xdr.training.generator_module import QueryGeneratorModule
from xdr.training.optimizers import Adafactor, AdamW, Optimizer

QUESTIONS = ["Missä Saimaa on?", "Где?", "Mikä on pitkä joki Euroopassa?", "Где течёт Волга?"]
EXAMPLES = [
    TrainingExample(
        Query(str(i), text, "ru" if "Г" in text else "fi"),
        (Passage(f"p{i}", "Saimaa", "A lake and a river. " * (i + 1)),),
    )
    for i, text in enumerate(QUESTIONS)
]
TASK = Task("query_from_passage", "decoder", 24, 16, ("fi", "ru"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for example in EXAMPLES for text in (example.query.text, example.positives[0].text)]
    return build_small_mt5([*texts, "Finnish Russian English"], tmp_path_factory.mktemp("mt5"), seed=1, hidden=32, layers=1)


def module_and_data(
    folder: Path,
    examples: Sequence[TrainingExample] = EXAMPLES,
    task: Task = TASK,
    optimizer: Optimizer = AdamW(1e-3, 0.0, 0.0),  # noqa: B008  frozen
    smoothing: float = 0.0,
    steps: int = 4,
) -> tuple[QueryGeneratorModule, GeneratorData]:
    generator, tokenizer = load_generator(str(folder), written_languages(replace(task, languages=()), examples))
    batches = BatchSettings(4, 1, "mixed", 0.5, None, 0)
    data = GeneratorData(training_set(examples), examples, tokenizer, None, batches, 0)
    data.choose_dev(len(examples))
    objective = partial(token_likelihood, label_smoothing=smoothing)
    module = QueryGeneratorModule(generator, objective, optimizer, steps, languages=data.languages)
    return module.train(), data


def trained(module: QueryGeneratorModule, data: GeneratorData, steps: int = 1, **settings: object) -> pl.Trainer:
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **settings,  # type: ignore[arg-type]  # the trainer's own
    )
    trainer.fit(module, data)
    return trainer


def test_loss_and_gradients_of_two_processes_are_those_of_one(folder: Path, tmp_path: Path) -> None:
    """Texts of different lengths: the mean over processes of their own means would be another number."""
    found = []
    for processes in (1, 2):
        module, data = module_and_data(folder)
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
            if isinstance(getattr(part, "dropout", None), float):  # of attention
                part.dropout = 0.0
        path = tmp_path / str(processes)
        strategy = "ddp_spawn" if processes > 1 else "auto"
        trained(module, data, devices=processes, strategy=strategy, callbacks=[Record(path)])
        found.append(torch.load(path, weights_only=True))
    one, two = found
    assert one.keys() == two.keys() and len(one) > 10
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-6, rtol=1e-5)


def test_dev_loss_is_that_of_a_piece_by_language_and_in_all(folder: Path) -> None:
    module, data = module_and_data(folder)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (figures,) = trainer.validate(module, data, verbose=False)
    module.eval()
    losses, numbers = {}, {}
    tokenizer = data.tokenizer
    for example in EXAMPLES:
        item = target_of(tokenizer, example, example.positives[0])
        prompt = f"Generate a question for this passage: Saimaa {item.source.text}"
        with torch.no_grad():
            output = module.generator(
                tokenizer.sources([prompt])[0], tokenizer.targets([item.text]), tokenizer.first_tokens([item.language])
            )
        (losses[example.query.query_id],), (numbers[example.query.query_id],) = map(torch.Tensor.tolist, token_losses(*output))
    assert figures["dev/loss/fi"] == pytest.approx((losses["0"] + losses["2"]) / (numbers["0"] + numbers["2"]), rel=1e-5)
    assert figures["dev/loss/ru"] == pytest.approx((losses["1"] + losses["3"]) / (numbers["1"] + numbers["3"]), rel=1e-5)
    assert figures["dev/loss"] == pytest.approx(sum(losses.values()) / sum(numbers.values()), rel=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "smoothing"), [(AdamW(1e-2, 0.0, 0.0), 0.1), (Adafactor(1e-2, 0.0, 0.0), 0.0)], ids=["adamw", "adafactor"]
)
def test_a_generator_learns_a_few_questions_by_heart(folder: Path, optimizer: Optimizer, smoothing: float) -> None:
    module, data = module_and_data(folder, optimizer=optimizer, smoothing=smoothing, steps=1000)
    before = float(trained(module, data, 1).callback_metrics["loss"])
    after = float(trained(module, data, 60).callback_metrics["loss"])
    assert after < before / 2


def test_the_other_direction_writes_in_the_passages_language(folder: Path) -> None:
    module, data = module_and_data(folder, task=replace(TASK, direction="passage_from_query", language_at="prompt"))
    assert data.tokenizer.task.languages == ("en",)
    item = target_of(data.tokenizer, EXAMPLES[1], EXAMPLES[1].positives[0])
    assert (item.source.text, item.text, item.language, item.query_language) == (
        "Где?",
        EXAMPLES[1].positives[0].text,
        "en",
        "ru",
    )
    trained(module, data)


def test_balanced_languages_are_shown_equally_often() -> None:
    examples = [replace(EXAMPLES[i % 4], query=replace(EXAMPLES[0].query, language="fi" if i else "ru")) for i in range(5)]
    data: TrainingSet = training_set(examples, "balanced")
    assert data.repeats.tolist() == [2.5, 0.625, 0.625, 0.625, 0.625]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    output = run(folder, quick=QUICK_GENERATOR)
    assert "untrained" in output and "Generated for dev sources" in output
    return folder


def test_a_run_leaves_a_generator_and_what_it_wrote(uninterrupted: Path) -> None:
    samples = sorted((uninterrupted / "samples").iterdir())
    rows = [json.loads(line) for line in samples[-1].read_text(encoding="utf-8").splitlines()]
    assert {row["language"] for row in rows} == {"ar", "bn", "en", "fi", "ja", "ko", "ru", "te"}
    assert all(row["passage"] and row["reference"] for row in rows)
    ours = weights(uninterrupted, "generator")
    assert not torch.equal(ours["shared.weight"], ours["lm_head.weight"])


def test_lightning_loads_a_checkpoint_as_its_users_do(uninterrupted: Path) -> None:
    module = QueryGeneratorModule.load_from_checkpoint(uninterrupted / "checkpoints" / "best.ckpt")
    saved = weights(uninterrupted, "generator")
    assert all(torch.equal(value, saved[name]) for name, value in module.generator.model.state_dict().items() if name in saved)
    assert module.hparams["languages"] == ["ar", "bn", "en", "fi", "ja", "ko", "ru", "te"]


def assert_equal(left: Path, right: Path) -> None:
    ours, theirs = weights(left, "generator"), weights(right, "generator")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "bit for bit"


@pytest.mark.slow
def test_a_run_killed_twice_ends_in_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    every = "callbacks.checkpoints.every_num_steps=5"
    assert run_with_kills(tmp_path / "run", 2, 0, every, quick=QUICK_GENERATOR)
    assert_equal(uninterrupted, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_killed_ten_times_ends_in_the_same_weights(tmp_path: Path, processes: int) -> None:
    arguments = ["callbacks.checkpoints.every_num_steps=2", f"trainer.devices={processes}", "trainer.accelerator=cpu"]
    run(tmp_path / "one", *arguments, quick=QUICK_GENERATOR)
    assert run_with_kills(tmp_path / "two", 10, 3, *arguments, quick=QUICK_GENERATOR) >= 5
    assert_equal(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("trainer.precision=16-mixed", "must be bf16-mixed, bf16-true or 32-true for a generator"),
        ("data.batches.passages_per_query=2", "data.batches.passages_per_query must be 1 for a generator"),
        ("callbacks=default", "set callbacks=generator"),
        ("callbacks.validation.round_trip=nowhere", "is no encoder's folder"),
        ("callbacks.validation.top_p=2", "top_p must be above 0 and at most 1, got 2"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path, argument: str, problem: str) -> None:
    quick = [word for word in QUICK_GENERATOR if argument != "callbacks=default" or not word.startswith("callbacks")]
    process = start(tmp_path / "run", argument, quick=quick)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert problem in output
