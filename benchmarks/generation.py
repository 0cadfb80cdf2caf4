"""Generating questions compared with the published recipe: python benchmarks/generation.py [--afriqa DIR] [--rounds N]

A model of mT5-small's size (512 dimensions, 8 + 8 layers), trained for some steps so that its questions end, writes 5 questions
in each of 7 languages about real passages. Times run from text to text, and the ways take turns. Passages are AfriQA's if its
folder `data` is given, else the sample's, cut to one to five sentences.
"""

import argparse
import platform
import random
import re
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
from training import silence_libraries, spread  # type: ignore[import-not-found]  # the file beside this one

LANGUAGES = ("ar", "bn", "fi", "ja", "ko", "ru", "te")
NUMBER, INPUT, OUTPUT = 5, 256, 32
ROWS = 250_000
"""Size of mT5's vocabulary."""


def passages(afriqa: Path | None, number: int) -> list[Any]:
    from xdr.benchmarks.afriqa import AfriQa
    from xdr.benchmarks.sample import Sample
    from xdr.data.problems import Problems

    if afriqa is not None:
        benchmark = AfriQa(str(afriqa), ("bem", "ha", "ig", "rw", "tw", "yo", "zu"), "original")
        found = list(benchmark.passages(Problems()))
    else:
        rng = random.Random(0)
        found = [
            replace(p, text=" ".join(re.split(r"(?<=\.) ", p.text)[: rng.randint(1, 5)])) for p in Sample().passages(Problems())
        ]
    return random.Random(1).sample(found, number)


def trained(folder: Path, steps: int) -> Path:
    """Leaves a generator with the language in the prompt, and one with the same weights and the language in the decoder."""
    from xdr.benchmarks.sample import Sample
    from xdr.data.problems import Problems
    from xdr.data.training_set import texts_by_language, training_set
    from xdr.generators.generator_folder import save_generator
    from xdr.generators.models import SmallGenerator
    from xdr.generators.query_generator import choose_language_tokens
    from xdr.objectives.losses import token_likelihood
    from xdr.training.batches import BatchSettings
    from xdr.training.generator_data import GeneratorData
    from xdr.training.generator_module import QueryGeneratorModule
    from xdr.training.optimizers import AdamW

    examples = [e for e in Sample().examples("train", Problems()) if e.query.language in LANGUAGES]
    settings = SmallGenerator(512, 8, "query_from_passage", "prompt", 48, OUTPUT, None)
    task = replace(settings.task, languages=LANGUAGES)
    texts = [text for texts in texts_by_language(examples).values() for text in texts]
    generator, tokenizer = settings.build(task, folder / "new", 0, texts)
    batches = BatchSettings(32, 1, "mixed", 0.5, None, 0)
    data = GeneratorData(training_set(examples), [], tokenizer, None, batches, 0)
    objective = partial(token_likelihood, label_smoothing=0.0)
    module = QueryGeneratorModule(generator, objective, AdamW(3e-3, 0.0, 0.1), steps, languages=data.languages).train()
    trainer(folder, max_steps=steps).fit(module, data)
    save_generator(generator, tokenizer, None, folder / "prompt")
    language_tokens = choose_language_tokens(tokenizer.huggingface, LANGUAGES)
    other = replace(tokenizer, task=replace(task, language_at="decoder"), language_tokens=language_tokens)
    save_generator(generator, other, None, folder / "decoder")
    return folder


def trainer(folder: Path, **settings: Any) -> Any:
    import lightning.pytorch as pl

    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
        **settings,
    )


@torch.inference_mode()
def reference(folder: Path, some: list[Any]) -> tuple[float, int]:
    """The published recipe: batches of 32 prompts in their order, padded to 256. Returns seconds and tokens."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from xdr.text.prompts import published_prompt

    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    start, tokens = time.perf_counter(), 0
    words = published_prompt("query_from_passage", "prompt")
    prompts = [words.render(passage, language) for language in LANGUAGES for passage in some]
    for first in range(0, len(prompts), 32):
        inputs = tokenizer(
            prompts[first : first + 32], padding="max_length", truncation=True, max_length=INPUT, return_tensors="pt"
        )
        output = model.generate(
            **inputs, do_sample=True, top_k=10, num_return_sequences=NUMBER, max_length=OUTPUT + 1, pad_token_id=0
        )
        tokenizer.batch_decode(output, skip_special_tokens=True)
        tokens += int(((output != tokenizer.pad_token_id) & (output != tokenizer.eos_token_id)).sum())
    return time.perf_counter() - start, tokens


def ours(
    folder: Path, some: list[Any], backend: str, vocabulary: Any, conversions: Path, languages: tuple[str, ...] = LANGUAGES
) -> tuple[float, int]:
    """A shard as evaluate.py writes it, with a quality gate that accepts everything. Start-up is not timed."""
    from xdr.generators.generator_folder import open_generator
    from xdr.generators.settings import GenerationSettings, Sampling, Task
    from xdr.text.identification import LanguageCheck
    from xdr.writing.ctranslate2_backend import CTranslate2Backend
    from xdr.writing.generation import Generation
    from xdr.writing.huggingface_backend import HuggingFaceBackend
    from xdr.writing.quality import Gate
    from xdr.writing.sequence_to_sequence import Sampler, SequenceToSequence

    generator, tokenizer, _ = open_generator(str(folder), Task("query_from_passage", "prompt", INPUT, OUTPUT))
    generator.eval()
    sampling = Sampling(10, 1.0, 1.0, OUTPUT, vocabulary)
    one: Sampler = HuggingFaceBackend(generator, tokenizer, sampling)
    if backend != "huggingface":
        one = CTranslate2Backend(generator, tokenizer, sampling, backend, conversions, str(folder))
    order = GenerationSettings(languages, NUMBER, INPUT, 0, 16384, 0)
    writer = SequenceToSequence(tokenizer, one, order)
    generation = Generation(writer, tokenizer.task.template, Gate(LanguageCheck(None), frozenset()), order)
    generation.write(some[:1], 0)  # makes conversions and restricted matrices, once for all shards
    before = time.perf_counter()
    if isinstance(one, CTranslate2Backend):  # its translators start once for a shard of a thousand passages
        one.begin(0)
        for language in languages:
            one.streams(language)
    start = time.perf_counter()
    _, counts = generation.write(some, 0)
    return time.perf_counter() - start - (start - before), sum(count.tokens for count in counts.values())


Way = Callable[[], tuple[float, int]]


TARGETS = {
    "xdr, Hugging Face": 1.5,
    "xdr, CTranslate2 int8": 4.0,
    "huggingface, vocabulary=language": 1.5,
    "int8, vocabulary=language": 1.5,
}


def compare(title: str, ways: dict[str, Way], rounds: int) -> None:
    """Compares each way with the first one of the same round."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            seconds, tokens = ways[name]()
            rates[name].append(tokens / seconds)
    print(title, flush=True)
    base = next(iter(ways))
    for name, values in rates.items():
        ratios = [rate / base_rate for rate, base_rate in zip(values, rates[base], strict=True)]
        target = f"   (target {TARGETS[name]})" if name in TARGETS else ""
        print(f"  {name:<44}{spread(values, 0)} tokens/s{spread(ratios, 2)} x{target}", flush=True)


def with_many_rows(folder: Path, target: Path) -> Path:
    """The same generator with as many tokens as mT5: new tokens join tokens of one script and have random weights."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, T5Tokenizer

    from xdr.generators.generator_folder import untie
    from xdr.text.scripts import count_scripts

    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    by_script: dict[str, list[str]] = {}
    for name in names[3:]:
        if len(scripts_in_name := count_scripts(name)) == 1:
            by_script.setdefault(next(iter(scripts_in_name)), []).append(name)
    tokens, rng = dict.fromkeys(names), random.Random(0)
    scripts = sorted(by_script)
    while len(tokens) < ROWS:
        parts = rng.choices(by_script[rng.choice(scripts)], k=3)
        tokens[parts[0] + "".join(part.lstrip("▁") for part in parts[1:])] = None
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    old_embedding, old_head = model.shared.weight.detach(), model.lm_head.weight.detach()
    model.config.vocab_size = ROWS
    model.set_input_embeddings(torch.nn.Embedding(ROWS, model.config.d_model))
    untie(model)
    with torch.no_grad():
        model.shared.weight[: len(old_embedding)] = old_embedding
        model.lm_head.weight.mul_(0.01)[: len(old_head)] = old_head
    model.save_pretrained(target)
    T5Tokenizer(vocab=[(token, -20.0) for token in tokens], extra_ids=0).save_pretrained(target)
    (target / "xdr.json").write_text((folder / "xdr.json").read_text())
    return target


def peak_of(number: int, folder: Path, generator: Path) -> None:
    """Runs stage=generate over `number` passages in this process and prints its peak memory."""
    import json

    collection = folder / str(number)
    collection.mkdir(exist_ok=True)
    with (collection / "corpus.jsonl").open("w") as file:
        for row in range(number):
            text = f"Passage {row} " + "is about a lake and a river " * (row % 9)
            file.write(json.dumps({"docid": str(row), "title": "", "text": text}) + "\n")
    (collection / "queries.jsonl").write_text("")
    root = Path(__file__).parents[1]
    sys.path.insert(0, str(root))
    arguments = [
        "evaluate.py",
        "stage=generate",
        "data=collection",
        f"data.path={collection}",
        "augmentation=generated_queries",
        "augmentation.generation.languages=[fi]",
        "augmentation.generation.number=1",
        "augmentation.generation.output_length=4",
        "augmentation.generation.input_length=16",
        "augmentation.generation.refuse=[]",
        "augmentation.generation.probe=0",
        "trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu",
        f"checkpoint={generator / 'prompt'}",
        f"output_dir={collection / 'out'}",
    ]
    sys.argv = arguments
    import evaluate
    from conf import entry

    sys.stdout = sys.stderr
    entry.run("evaluate", evaluate.main)
    sys.stdout = sys.__stdout__
    status = Path("/proc/self/status").read_text()  # getrusage would include the parent's peak
    print(int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afriqa", type=Path, help="AfriQA's folder `data`")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--passages", type=int, default=6)
    parser.add_argument("--steps", type=int, default=150, help="training steps of the generator; 150 take about six minutes")
    parser.add_argument("--folder", type=Path, help="a folder that keeps the trained generator for the next run")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    silence_libraries()
    if arguments.peak:
        peak_of(int(arguments.peak[0]), Path(arguments.peak[1]), Path(arguments.peak[2]))
        return
    print(f"{platform.platform()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    some = passages(arguments.afriqa, arguments.passages)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        if not (folder / "decoder").exists():
            trained(folder, arguments.steps)
        for at in ("prompt", "decoder"):
            if not (folder / f"many-{at}").exists():
                with_many_rows(folder / at, folder / f"many-{at}")

        def way(at: str, backend: str, vocabulary: str, *languages: str) -> Way:
            conversions = folder / "ctranslate2"
            return lambda: ours(folder / at, some, backend, vocabulary, conversions, languages or LANGUAGES)

        for rows, prefix, number in (("6,000", "", arguments.passages), (f"{ROWS:,}", "many-", arguments.passages // 2)):
            some = passages(arguments.afriqa, number)
            at, decoder = f"{prefix}prompt", f"{prefix}decoder"
            ways: dict[str, Way] = {
                "published recipe, Hugging Face": partial(reference, folder / at, some),
                "xdr, Hugging Face": way(at, "huggingface", "full"),
                "xdr, Hugging Face, language_at=decoder": way(decoder, "huggingface", "full"),
                "xdr, CTranslate2 float32": way(at, "float32", "full"),
                "xdr, CTranslate2 int8": way(at, "int8", "full"),
            }
            compare(f"{rows} tokens, {number} passages, {arguments.rounds} rounds", ways, arguments.rounds)
        some = passages(arguments.afriqa, 4 * arguments.passages)  # so that one language fills a batch, as in a shard
        for backend in ("huggingface", "int8"):
            ways = {f"{backend}, vocabulary={v}": way("many-prompt", backend, v, "fi", "ru") for v in ("full", "language")}
            compare(f"{ROWS:,} tokens, {len(some)} passages, two languages", ways, arguments.rounds)
        for number in (1_000, 20_000):
            command = [sys.executable, __file__, "--peak", str(number), name, str(folder)]
            result = subprocess.run(command, check=True, capture_output=True, text=True)
            print(f"  peak memory over {number:>6,} passages {float(result.stdout.splitlines()[-1]):6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
