"""Questions from passages to files: `evaluate.py stage=generate` through a server, compared with a plain loop over `generate`:

    python benchmarks/causal_generation.py MODEL XQUAD_R --url http://127.0.0.1:8000/v1 --name NAME

MODEL is a causal query generator of train.py, which the server serves as NAME (vllm serve MODEL --served-model-name NAME
--dtype bfloat16). Both ways sample three questions in each of eleven languages about the same English paragraphs, with the same
prompts, and start in a process of their own; start-up counts. They take turns. The plain loop is what one writes without a
framework: padded batches of `--batch` prompts, in bf16, and a line of JSON for each passage. The server stays up in between,
and does nothing then.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
NUMBER, INPUT, OUTPUT, TOP_K = 3, 448, 64, 10
ROOT = Path(__file__).parents[1]


def paragraphs(folder: str, number: int) -> list[Any]:
    """English paragraphs from the whole collection."""
    from xdr.benchmarks.xquad_r import XquadR
    from xdr.data.problems import Problems

    benchmark = XquadR(folder, LANGUAGES, "paragraph", "multilingual", "none", "x_y", ("en",))
    found = list(benchmark.passages(Problems()))
    return found[:: max(1, len(found) // number)][:number]


def write_collection(folder: Path, passages: list[Any]) -> None:
    lines = [json.dumps({"docid": p.passage_id, "title": p.title, "text": p.text}) for p in passages]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text("")


def plain(model: str, passages: list[Any], out: Path, batch: int) -> None:
    """The loop over `generate`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from xdr.text.prompts import PromptTemplate

    template = PromptTemplate(json.loads((Path(model) / "xdr.json").read_text())["task"]["prompt"])
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    torch.manual_seed(0)
    asked = [(passage, language) for passage in passages for language in LANGUAGES]
    found: dict[str, dict[str, list[str]]] = {passage.passage_id: {} for passage in passages}
    for first in range(0, len(asked), batch):
        some = asked[first : first + batch]
        prompts = [template.render(*one) for one in some]
        inputs = tokenizer(prompts, padding=True, truncation=True, max_length=INPUT, return_tensors="pt")
        with torch.inference_mode():
            output = network.generate(**inputs, do_sample=True, top_k=TOP_K, num_return_sequences=NUMBER, max_new_tokens=OUTPUT)
        texts = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for row, (passage, language) in enumerate(some):
            found[passage.passage_id][language] = [t.split("\n")[0] for t in texts[row * NUMBER : (row + 1) * NUMBER]]
    lines = [json.dumps({"docid": docid, "generated_queries": texts}, ensure_ascii=False) for docid, texts in found.items()]
    out.write_text("\n".join(lines) + "\n")


def command(way: str, arguments: argparse.Namespace, folder: Path, out: Path) -> list[str]:
    if way == "plain":
        return [sys.executable, *sys.argv, "--plain", str(out)]
    return [
        sys.executable,
        str(ROOT / "evaluate.py"),
        "stage=generate",
        "data=collection",
        f"data.path={folder}",
        "augmentation=generated_queries",
        "augmentation/generation/backend=openai",
        f"augmentation.generation.backend.base_url={arguments.url}",
        f"augmentation.generation.backend.model={arguments.name}",
        f"augmentation.generation.languages=[{','.join(LANGUAGES)}]",
        f"augmentation.generation.number={NUMBER}",
        f"augmentation.generation.input_length={INPUT}",
        f"augmentation.generation.output_length={OUTPUT}",
        f"augmentation.generation.top_k={TOP_K}",
        "augmentation.generation.refuse=[]",  # the plain loop has no gate
        "augmentation.generation.probe=0",
        f"checkpoint={arguments.model}",
        "trainer.accelerator=cpu",
        f"output_dir={out}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder `generator` that train.py leaves for a causal model")
    parser.add_argument("xquad", help="XQuAD-R's folder")
    parser.add_argument("--url", help="the server's address, to /v1")
    parser.add_argument("--name", default="model", help="the model's name on the server")
    parser.add_argument("--passages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=11, help="prompts of a batch of the plain loop; each has three questions")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        plain(arguments.model, paragraphs(arguments.xquad, arguments.passages), arguments.plain, arguments.batch)
        return
    number = arguments.passages * len(LANGUAGES) * NUMBER
    print(f"{platform.platform()}, {arguments.passages} paragraphs, {number} questions, {arguments.rounds} rounds", flush=True)
    seconds: dict[str, list[float]] = {"server": [], "plain": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_collection(folder, paragraphs(arguments.xquad, arguments.passages))
        for turn in range(arguments.rounds):
            for way in list(seconds)[:: 1 if turn % 2 else -1]:
                start = time.perf_counter()
                subprocess.run(command(way, arguments, folder, folder / f"{way}-{turn}"), check=True, capture_output=True)
                seconds[way].append(time.perf_counter() - start)
                print(f"  {way:8}{seconds[way][-1]:8.1f} s", flush=True)
    for way, values in seconds.items():
        print(f"{way:8}{spread(values)} s, {number / statistics.median(values):6.1f} questions/s")
    ratios = [plain_s / server_s for plain_s, server_s in zip(seconds["plain"], seconds["server"], strict=True)]
    print(f"server to plain {spread(ratios)}   (target 4)")
    print(f"peak memory of these processes {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:,.0f} MB")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):8.2f} ({min(values):.2f} - {max(values):.2f})"


if __name__ == "__main__":
    main()
