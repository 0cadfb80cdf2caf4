"""Encoding with a real model on a CPU, compared with OpenVINO at the same precision and with sentence-transformers:

    python benchmarks/real_encoding.py MODEL --afriqa DIR [--passages 300] [--rounds 5] [--threads 1]

MODEL is a folder of multilingual-e5-small, or of another encoder with mean pooling and unit norm. The ways take turns in one
process, with tokenization; medians (least - most) of CPU seconds on one thread, which other work disturbs little, or of seconds
on several (--threads). OpenVINO, if it is installed (pip install openvino), gets padded batches of at most 2,048 tokens, sorted
by length. Then AfriQA's questions are searched in the passages: recall, and how much of the ten nearest passages bf16 keeps.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Way = Callable[[list[str]], Vectors]

LONGEST = 512
OPENVINO_TOKENS = 2048
LANGUAGES = ("bem", "ha", "ig", "rw", "tw", "yo", "zu")
PREFIXES = ("query: ", "passage: ")


def examples(afriqa: Path, most: int) -> tuple[list[str], list[str], list[int]]:
    """Passages, questions about them, and the row of each question's passage."""
    from xdr.benchmarks.afriqa import AfriQa
    from xdr.data.problems import Problems
    from xdr.text.prompts import passage_text

    rows: dict[str, int] = {}
    texts: list[str] = []
    questions: list[str] = []
    answered_by: list[int] = []
    for example in AfriQa(str(afriqa), LANGUAGES, "original").examples("dev", Problems()):
        passage = example.positives[0]
        if passage.passage_id not in rows and len(texts) < most:
            rows[passage.passage_id] = len(texts)
            texts.append(passage_text(passage))
        if passage.passage_id in rows:
            questions.append(example.query.text)
            answered_by.append(rows[passage.passage_id])
    return texts, questions, answered_by


def ours(model: Path, dtype: Any) -> Way:
    from xdr import load_encoder

    lengths: dict[str, Any] = {"query_length": LONGEST, "passage_length": LONGEST, "query_prefix": "", "passage_prefix": ""}
    encoder = load_encoder(str(model), dtype=dtype, **lengths)
    return encoder.encode_queries


def sentence_transformers(model: Path, dtype: torch.dtype) -> Way:
    from sentence_transformers import SentenceTransformer

    judge = SentenceTransformer(str(model), device="cpu", model_kwargs={"dtype": dtype})
    return lambda texts: judge.encode(texts, batch_size=64, convert_to_tensor=True).float().numpy()


def openvino(model: Path, precision: str) -> Way:
    import openvino as ov  # type: ignore[import-not-found]  # not a dependency of xdr
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    backbone = AutoModel.from_pretrained(model, add_pooling_layer=False).eval()
    inputs = {name: torch.ones(2, 9, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    graph = ov.convert_model(backbone, example_input=inputs)
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = ov.Core().compile_model(graph, "CPU", settings)

    def encode(texts: list[str]) -> Vectors:
        ids = tokenizer(texts, truncation=True, max_length=LONGEST).input_ids
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        vectors: Any = np.empty((len(texts), backbone.config.hidden_size), np.float32)
        while order:
            count = 1
            while count < len(order) and (count + 1) * len(ids[order[count]]) <= OPENVINO_TOKENS:
                count += 1
            rows, order = order[:count], order[count:]
            batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="np")
            hidden_BLD = compiled({name: batch[name] for name in inputs})[0]
            mask_BL1 = batch["attention_mask"][..., None]
            means_BD = (hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)
            vectors[rows] = means_BD / np.linalg.norm(means_BD, axis=1, keepdims=True)
        return np.asarray(vectors)

    return encode


def take_turns(ways: dict[str, Way], texts: list[str], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for number in range(rounds + 1):
        for name in list(ways) if number % 2 else reversed(ways):
            started = clock()
            ways[name](texts)
            if number:  # the first round warms up
                seconds[name].append(clock() - started)
    return seconds


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):6.2f} ({min(values):.2f} - {max(values):.2f})"


def show(seconds: dict[str, list[float]], vectors: dict[str, Vectors]) -> None:
    for name, own in seconds.items():
        base = seconds["xdr bf16" if "bf16" in name else "xdr fp32"]
        ratios = [other / mine for other, mine in zip(own, base, strict=True)]
        closest = float((vectors[name] * vectors["xdr fp32"]).sum(1).min())
        print(f"  {name:28}{spread(own)} s   x {spread(ratios)}   least cosine to fp32 {closest:.6f}")


def show_search(passages: dict[str, Vectors], questions: dict[str, Vectors], answered_by: list[int]) -> None:
    nearest = {name: np.argsort(-(questions[name] @ passages[name].T), axis=1, kind="stable")[:, :10] for name in passages}
    for name, rows in nearest.items():
        found = rows == np.array(answered_by)[:, None]
        kept = statistics.mean(
            len(set(a) & set(b)) / 10 for a, b in zip(rows.tolist(), nearest["xdr fp32"].tolist(), strict=True)
        )
        recalls = ", ".join(f"recall@{depth} {found[:, :depth].any(1).mean():.4f}" for depth in (1, 10))
        print(f"  {name:28}{recalls}, {kept:.4f} of fp32's ten nearest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--afriqa", type=Path, required=True, help="AfriQA's folder `data`")
    parser.add_argument("--passages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    texts, questions, answered_by = examples(arguments.afriqa, arguments.passages)
    texts, questions = (
        [f"{prefix}{text}" for text in part] for prefix, part in zip(PREFIXES[::-1], (texts, questions), strict=True)
    )
    ways = {"xdr fp32": ours(arguments.model, "float32")}
    ways["xdr bf16"] = ours(arguments.model, "bfloat16")
    if find_spec("openvino"):
        ways |= {"OpenVINO fp32": openvino(arguments.model, "f32"), "OpenVINO bf16": openvino(arguments.model, "bf16")}
    ways["sentence-transformers fp32"] = sentence_transformers(arguments.model, torch.float32)
    ways["sentence-transformers bf16"] = sentence_transformers(arguments.model, torch.bfloat16)
    print(f"{platform.platform()}, torch {torch.__version__}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print(f"{len(texts)} passages, {len(questions)} questions; x: time over that of xdr at the same precision")
    show(take_turns(ways, texts, arguments.rounds), {name: way(texts) for name, way in ways.items()})
    ours_alone = {name: way for name, way in ways.items() if name.startswith("xdr")}
    of_texts, of_questions = ({name: way(part) for name, way in ours_alone.items()} for part in (texts, questions))
    show_search(of_texts, of_questions, answered_by)


if __name__ == "__main__":
    main()
