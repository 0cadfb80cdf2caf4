"""Training steps compared with sentence-transformers' trainer, and in chunks:

    python benchmarks/training.py [--afriqa DIR] [--model FOLDER] [--length TOKENS] [--no-dropout] [--hardest-of K ...]

Same model (a folder in sentence-transformers' layout, else a BERT of 4 layers and 256 dimensions with random weights), texts
and batches, in one process, taking turns. Texts are AfriQA's questions and relevant passages if its folder `data` is given,
else the sample's, cut to one to five sentences. Longer texts than `--length` tokens are cut. A model that is given is not
measured in chunks. With `--hardest-of`, steps that choose the hardest of K noisy versions of every query are compared with
plain ones instead.
"""

import argparse
import json
import platform
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

ROUNDS, STEPS, WARM_UP, BATCH = 5, 5, 2, 32
CHUNK = 64
LENGTH = 128
COSINE_SCALE = 20.0


def texts(afriqa: Path | None) -> list[tuple[str, str]]:
    """Returns (question, passage) pairs."""
    from xdr.benchmarks.afriqa import AfriQa
    from xdr.benchmarks.sample import Sample
    from xdr.data.problems import Problems
    from xdr.text.prompts import passage_text

    if afriqa is not None:
        benchmark = AfriQa(str(afriqa), ("bem", "ha", "ig", "rw", "tw", "yo", "zu"), "original")
        return [(e.query.text, passage_text(e.positives[0])) for e in benchmark.examples("train", Problems())]
    rng = random.Random(0)
    pairs = []
    for example in Sample().examples("train", Problems()):
        sentences = re.split(r"(?<=\.) ", example.positives[0].text)
        pairs.append((example.query.text, " ".join(sentences[: rng.randint(1, 5)])))
    return pairs


def build_model(pairs: list[tuple[str, str]], folder: Path) -> Path:
    from xdr.encoders.small import build_small_bert

    everything = [text for pair in pairs[:2000] for text in pair]
    return build_small_bert(everything, folder, seed=0, hidden=256, layers=4)


def ours(
    pairs: list[tuple[str, str]],
    model: Path,
    batch: int,
    chunk: int,
    steps: int,
    folder: Path,
    *,
    passages: int = 1,
    accelerator: str = "cpu",
    precision: Any = "32-true",
    length: int = LENGTH,
    dropout: float | None = None,
    hardest_of: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Returns the seconds of each step of a Lightning fit. Each query has `passages`; all but the first are negatives. With
    `hardest_of`, each query is noisy: the hardest of so many versions."""
    import lightning.pytorch as pl

    from xdr.data.training_set import training_set
    from xdr.encoders.models import TransformerBiEncoder
    from xdr.noise.query_noise import QueryNoise
    from xdr.objectives.losses import contrastive
    from xdr.text.records import Passage, Query, TrainingExample
    from xdr.training.batches import BatchSettings
    from xdr.training.bi_encoder_data import BiEncoderData
    from xdr.training.bi_encoder_module import BiEncoderModule
    from xdr.training.optimizers import AdamW
    from xdr.training.twins import with_noise

    class Clock(pl.Callback):
        def __init__(self) -> None:
            self.times = [clock()]

        def on_train_batch_end(self, *_: Any) -> None:
            self.times.append(clock())

    records = [Passage(str(i), "", p) for i, (_, p) in enumerate(pairs)]
    examples = [
        TrainingExample(
            Query(str(i), query, "en"), (records[i],), tuple(records[n] for n in negatives(i, passages, len(pairs)))
        )
        for i, (query, _) in enumerate(pairs)
    ]
    given = (model / "modules.json").exists()
    bi_encoder, tokenizer = TransformerBiEncoder(
        path=str(model),
        pooling=None if given else "first",
        normalize=None,
        tied=True,
        batching="packed",
        truncate_dim=None,
        end_token=None,
        dtype="float32",
        dropout=dropout,
        lora_rank=0,
        lora_alpha=None,
        lora_dropout=0.0,
        lora_targets=None,
        gradient_checkpointing=False,
        compile_backbone=False,
        query_length=length,
        passage_length=length,
        query_prefix=None,
        passage_prefix=None,
    ).build(folder, 0)
    objective, optimizer = partial(contrastive, both_directions=False), AdamW(1e-5, 0.0, 0.0)
    scale = COSINE_SCALE if given else 1.0
    module = BiEncoderModule(bi_encoder, objective, optimizer, steps, score_scale=scale, chunk_size=chunk)
    module.train()
    batches = BatchSettings(batch, passages, "mixed", 0.5, None, 0)
    examples_read = training_set(examples)
    if hardest_of:
        operators = dict.fromkeys(("delete", "insert", "substitute", "swap", "keyboard"), 1.0)
        typos = QueryNoise(operators, share=0.3, edits=1, shortest=3, window=1, versions=10, seed=1)
        batches = replace(batches, noisy=1.0, hardest_of=hardest_of)
        examples_read = with_noise(examples_read, batches, None, typos)
    data = BiEncoderData(examples_read, [], tokenizer, batches, 0)
    watch = Clock()
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator=accelerator,
        devices=1,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        callbacks=[watch],
    )
    trainer.fit(module, data)
    return [after - before for before, after in zip(watch.times, watch.times[1:], strict=False)]


def negatives(row: int, passages: int, rows: int) -> list[int]:
    """The rows of the passages of a query, besides its own."""
    return [(row + number * 17) % rows for number in range(1, passages)]


def theirs(
    pairs: list[tuple[str, str]],
    model: Path,
    batch: int,
    steps: int,
    folder: Path,
    *,
    passages: int = 1,
    device: str = "cpu",
    bf16: bool = False,
    length: int = LENGTH,
    dropout: float | None = None,
) -> list[float]:
    """The same with sentence-transformers' trainer and MultipleNegativesRankingLoss."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from sentence_transformers.util import dot_score
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def __init__(self) -> None:
            self.times = [time.perf_counter()]

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

    given = (model / "modules.json").exists()
    if given:
        encoder = SentenceTransformer(str(model), device=device)
    else:
        transformer = Transformer(str(model))
        pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")
        encoder = SentenceTransformer(modules=[transformer, pooling], device=device)
    encoder.max_seq_length = length
    if dropout is not None:
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
    columns = {"anchor": [query for query, _ in pairs], "positive": [passage for _, passage in pairs]}
    others = [negatives(row, passages, len(pairs)) for row in range(len(pairs))]
    for number in range(passages - 1):
        columns[f"negative_{number}"] = [pairs[rows[number]][1] for rows in others]
    dataset = Dataset.from_dict(columns)
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=batch,
        learning_rate=1e-5,
        use_cpu=device == "cpu",
        bf16=bf16,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_drop_last=True,
    )
    clock = Clock()
    scale = COSINE_SCALE if given else 1.0
    loss = MultipleNegativesRankingLoss(encoder, scale=scale, similarity_fct=dot_score)
    trainer = SentenceTransformerTrainer(encoder, settings, train_dataset=dataset, loss=loss, callbacks=[clock])
    trainer.train()
    return [after - before for before, after in zip(clock.times, clock.times[1:], strict=False)]


def compare(pairs: list[tuple[str, str]], model: Path, folder: Path, length: int, dropout: float | None) -> None:
    ratios, ours_rate, theirs_rate = [], [], []
    for number in range(ROUNDS):
        rates = {}
        for name in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            if name == "ours":
                seconds = ours(pairs, model, BATCH, 0, STEPS + WARM_UP, folder, length=length, dropout=dropout)
            else:
                seconds = theirs(pairs, model, BATCH, STEPS + WARM_UP, folder, length=length, dropout=dropout)
            rates[name] = BATCH * STEPS / sum(seconds[WARM_UP:])
        ratios.append(rates["ours"] / rates["theirs"])
        ours_rate.append(rates["ours"])
        theirs_rate.append(rates["theirs"])
    print(f"batches of {BATCH}, {ROUNDS} rounds of {STEPS} steps after {WARM_UP}, medians (least - most)")
    print(f"  xdr                    {spread(ours_rate)} samples/s")
    print(f"  sentence-transformers  {spread(theirs_rate)} samples/s")
    print(f"  ratio                  {spread(ratios, 2)}   (target 1.3)")


def compare_choices(pairs: list[tuple[str, str]], model: Path, folder: Path, numbers: list[int], **settings: Any) -> None:
    """The CPU seconds of a step for each number of versions, beside those of clean queries (0). Other programs disturb them
    less than the time that passes."""
    rounds, steps, warm_up, batch = 3, 2, 1, 16
    seconds: dict[int, list[float]] = {number: [] for number in (0, *numbers)}
    for _ in range(rounds):
        for number, of in seconds.items():
            timed = ours(
                pairs, model, batch, 0, steps + warm_up, folder, hardest_of=number, clock=time.process_time, **settings
            )
            of += timed[warm_up:]
    print(
        f"batches of {batch}, CPU seconds of a step, {rounds} rounds of {steps} steps after {warm_up}, medians (least - most)"
    )
    plain = statistics.median(seconds[0])
    for number, of in seconds.items():
        name = f"hardest of {number}" if number else "clean"
        print(f"  {name:<15}{spread(of, 2)}   x {statistics.median(of) / plain:.2f}")


def spread(values: list[float], digits: int = 1) -> str:
    return f"{statistics.median(values):8.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def measure_chunks(arguments: list[str]) -> None:
    """Runs plain and chunked steps in turn, each in its own process, because the peak is that of a process."""
    print(f"chunks of {CHUNK} texts; memory is the peak above that of a step of 8 queries")
    plain, chunked = [], []
    for _ in range(2):
        plain.append(measured(512, 0, arguments))
        chunked.append(measured(512, CHUNK, arguments))
    seconds = [c["seconds"] / p["seconds"] for p, c in zip(plain, chunked, strict=True)]
    memory = [c["megabytes"] / p["megabytes"] for p, c in zip(plain, chunked, strict=True)]
    print(f"  batch 512, time of chunked to plain     {spread(seconds, 2)}   (target 1.6 at most)")
    print(f"  batch 512, memory of chunked to plain   {spread(memory, 3)}   (target 0.25 at most)")
    print(f"  plain 512    {statistics.median(p['megabytes'] for p in plain):7.0f} MB")
    for batch in (128, 512, 1024):
        print(f"  chunked {batch:<5}{measured(batch, CHUNK, arguments)['megabytes']:7.0f} MB")


def measured(batch: int, chunk: int, arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", str(batch), str(chunk), *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values: dict[str, float] = json.loads(output.splitlines()[-1])
    return values


def step(pairs: list[tuple[str, str]], model: Path, batch: int, chunk: int, folder: Path) -> None:
    ours(pairs[:64], model, 8, chunk, 2, folder)  # optimiser, libraries, buffers
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = ours(pairs, model, batch, chunk, 2, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": statistics.median(seconds[1:]), "megabytes": (peak - before) / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afriqa", type=Path, help="AfriQA's folder `data`")
    parser.add_argument("--model", type=Path, help="an encoder's folder in sentence-transformers' layout")
    parser.add_argument("--length", type=int, default=LENGTH, help="tokens of a text at most (default: %(default)s)")
    parser.add_argument("--no-dropout", action="store_true", help="train without dropout, not with that of the model")
    parser.add_argument("--hardest-of", type=int, nargs="+", help="numbers of versions to choose from")
    parser.add_argument("--step", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    silence_libraries()
    pairs = texts(arguments.afriqa)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or build_model(pairs, folder / "model")
        if arguments.step:
            batch, chunk = arguments.step
            step(pairs, model, batch, chunk, folder)
            return
        print(f"{platform.platform()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
        dropout = 0.0 if arguments.no_dropout else None
        if arguments.hardest_of:
            compare_choices(pairs, model, folder, arguments.hardest_of, length=arguments.length, dropout=dropout)
            return
        compare(pairs, model, folder, arguments.length, dropout)
        if arguments.model is None:
            measure_chunks(["--afriqa", str(arguments.afriqa)] if arguments.afriqa else [])


def silence_libraries() -> None:
    import logging
    import warnings

    import transformers

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in ("", ".utilities.rank_zero"):
        logging.getLogger(f"lightning.pytorch{name}").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
