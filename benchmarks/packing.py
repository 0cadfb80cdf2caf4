"""A causal generator's training step, packed or not, logits in slices or not: python benchmarks/packing.py MODEL XQUAD_R

A step is forward and backward, in bf16, for `--questions` questions in eleven languages about one English paragraph. A new
process makes each measurement, because the peak of memory is that of a process. The second step is measured; variants take
turns. `transformers` is the loss of that library: a padded batch, a sequence for each question, the logits of all tokens.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch

VARIANTS = ("transformers", "one by one, slices", "packed, whole logits", "packed, slices")
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")


def questions(folder: str, number: int) -> list[Any]:
    """The training examples of the paragraph that has the most."""
    from collections import defaultdict

    from xdr.benchmarks.xquad_r import XquadR
    from xdr.data.problems import Problems

    benchmark = XquadR(folder, LANGUAGES, "paragraph", "multilingual", "three_way", "x_y", ("en",))
    by_passage = defaultdict(list)
    for example in benchmark.examples("train", Problems()):
        by_passage[example.positives[0]].append(example)
    longest = max(by_passage.values(), key=len)
    return longest[:: max(1, len(longest) // number)][:number]


def step(variant: str, model: Any, tokenizer: Any, examples: list[Any]) -> torch.Tensor:
    """The summed loss of the examples."""
    from xdr.generators import causal_generator, sliced_losses
    from xdr.generators.packed_texts import pack
    from xdr.generators.query_generator import IGNORED, token_losses

    sources, languages = [e.positives[0] for e in examples], [e.query.language for e in examples]
    texts = [e.query.text for e in examples]
    if variant.startswith("packed"):
        if variant.endswith("logits"):
            sliced_losses.SLICE = 10**9
        return (
            causal_generator.CausalGenerator(model)
            .losses(tokenizer.training_inputs(sources, languages, texts), token_losses)[0]
            .sum()
        )
    prompts = [tokenizer.training_inputs([s], [c], [t]) for s, c, t in zip(sources, languages, texts, strict=True)]
    whole = [[*p.ids_SL[0].tolist(), int(p.labels_N[-1])] for p in prompts]
    targets = [p.labels_N.tolist() for p in prompts]
    if variant == "one by one, slices":
        asked = [ids[: -len(target)] for ids, target in zip(whole, targets, strict=True)]
        packed = pack(asked, targets, [[row] for row in range(len(asked))], 0)
        return causal_generator.CausalGenerator(model).losses(packed, token_losses)[0].sum()
    longest = max(map(len, whole))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in whole])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in whole])
    labels = torch.full_like(ids, IGNORED)
    for row, (tokens, target) in enumerate(zip(whole, targets, strict=True)):
        labels[row, len(tokens) - len(target) : len(tokens)] = torch.tensor(target)
    loss: torch.Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    return loss * sum(map(len, targets))


def measure(variant: str, path: str, xquad: str, number: int) -> dict[str, float]:
    from xdr.generators.generator_folder import load_generator
    from xdr.generators.settings import Task
    from xdr.text.prompts import PromptTemplate

    task = Task("query_from_passage", "prompt", 448, 64, prompt=PromptTemplate("Passage: {passage}\nQuestion in {language}:"))
    generator, tokenizer = load_generator(path, task, torch.bfloat16)
    model = generator.model.train()
    examples = questions(xquad, number)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before, wall, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], []
    for _ in range(2):
        start, start_cpu = time.perf_counter(), time.process_time()
        loss = step(variant, model, tokenizer, examples)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"wall": wall[-1], "cpu": cpu[-1], "megabytes": (peak - before) / 1024, "loss": float(loss)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a causal language model")
    parser.add_argument("xquad", help="XQuAD-R's folder")
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packed", action="store_true", help="the packed variants alone, which need less memory")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        print(json.dumps(measure(arguments.variant, arguments.model, arguments.xquad, arguments.questions)))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.questions} questions")
    found: dict[str, list[dict[str, float]]] = {
        variant: [] for variant in VARIANTS if "packed" in variant or not arguments.packed
    }
    command = [sys.executable, *sys.argv]
    for _ in range(arguments.rounds):
        for variant in found:
            output = subprocess.run([*command, "--variant", variant], check=True, capture_output=True, text=True).stdout
            found[variant].append(json.loads(output.splitlines()[-1]))
    for variant, values in found.items():
        wall, cpu = ([value[name] for value in values] for name in ("wall", "cpu"))
        peak = statistics.median(value["megabytes"] for value in values)
        print(
            f"{variant:22}{spread(wall)} s{spread(cpu)} CPU s {peak:7,.0f} MB more than at rest, loss {values[0]['loss']:.1f}"
        )


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):7.1f} ({min(values):.1f} - {max(values):.1f})"


if __name__ == "__main__":
    main()
