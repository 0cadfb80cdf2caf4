"""Encoding compared with sentence-transformers and the reference recipe:

    python benchmarks/encoding.py [--afriqa DIR] [--xquad DIR] [--xor FILE] [--hidden 256] [--layers 4] [--variants]

Same weights and texts, in one process, taking turns, with tokenization; medians (least - most). The reference recipe
(Tevatron's, as xQG uses it) keeps the order of the texts and pads each to the limit. It encodes 35 questions per passage in 35
passes and stores each (with pickle; here with `np.save`, which is faster).

Passages are AfriQA's and XQuAD-R's. Questions are XOR-TyDi's in its seven languages, which are the languages of the published
generated questions. Without these files both come from the sample, repeated, with passages cut to one to five sentences.
"""

import argparse
import os
import platform
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Way = Callable[[], Vectors]

PASSAGES, OWNERS, LANGUAGES, EACH = 3000, 200, ("ar", "bn", "fi", "ja", "ko", "ru", "te"), 5
PER_PASSAGE = len(LANGUAGES) * EACH
TOKENS = 4096
QUESTION_LENGTH = 32
REFERENCE_BATCH, PEER_BATCH = 128, 64


@dataclass(frozen=True)
class Model:
    """The same weights as xdr, sentence-transformers and transformers load them."""

    text_tokenizer: Any
    plain: Any
    fast: Any
    peer: Any
    backbone: Any
    tokenizer: Any
    length: int
    pooling: str


def passages(afriqa: Path | None, xquad: Path | None) -> list[str]:
    from xdr.benchmarks.afriqa import AfriQa
    from xdr.benchmarks.sample import Sample
    from xdr.benchmarks.xquad_r import XquadR
    from xdr.data.problems import Problems
    from xdr.text.prompts import passage_text

    rng = random.Random(0)
    found = []
    if afriqa is not None:
        found += list(AfriQa(str(afriqa), ("bem", "ha", "ig", "rw", "tw", "yo", "zu"), "original").passages(Problems()))
    if xquad is not None:
        found += list(XquadR(str(xquad), ("en",), "paragraph", "monolingual", "none", "en_en").passages(Problems()))
    texts = [passage_text(passage) for passage in found]
    if not texts:
        sample = [re.split(r"(?<=\.) ", passage_text(passage)) for passage in Sample().passages(Problems())]
        texts = [" ".join(sentences[: rng.randint(1, 5)]) for sentences in sample * 21]
    rng.shuffle(texts)
    return texts[:PASSAGES]


def questions(xor: Path | None) -> list[str]:
    """Ordered by passage, then by language."""
    from xdr.benchmarks.sample import Sample
    from xdr.benchmarks.xor_tydi import read_questions
    from xdr.data.problems import Problems

    of: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    for query in Sample().queries("train", Problems()) if xor is None else read_questions(xor, Problems()):
        if query.language in of:
            of[query.language].append(query.text)
    numbers = range(OWNERS * EACH)
    return [of[code][number % len(of[code])] for start in numbers[::EACH] for code in of for number in numbers[start:][:EACH]]


def load_model(folder: Path, length: int, pooling: Any) -> Model:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoModel, AutoTokenizer

    from xdr.encoders.inference import prepared_for_inference
    from xdr.encoders.input_format import InputFormat
    from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
    from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone

    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = TransformerEncoder(load_backbone(str(folder), torch.float32, "packed"), pooling, False, "packed").eval()
    fast = prepared_for_inference(plain)
    if fast is plain:
        print("  prepacked weights are not at hand: xdr encodes with plain linear layers")
    transformer = Transformer(str(folder))
    transformer.max_seq_length = length
    pool = Pooling(plain.dimension, pooling_mode="cls" if pooling == "first" else "mean")
    peer = SentenceTransformer(modules=[transformer, pool], device="cpu")
    backbone = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    text_tokenizer = TextTokenizer(HuggingFaceTokenizer(tokenizer), InputFormat(QUESTION_LENGTH, length))
    return Model(text_tokenizer, plain, fast, peer, backbone, tokenizer, length, pooling)


def ours(model: Model, texts: list[str], encoder: Any) -> Vectors:
    from xdr.encoders.encoding import encode_texts
    from xdr.text.records import Passage

    read = model.text_tokenizer.passages([Passage(str(i), "", text) for i, text in enumerate(texts)])
    return np.asarray(encode_texts(encoder, read, TOKENS))


def peers(model: Model, texts: list[str]) -> Vectors:
    return np.asarray(model.peer.encode(texts, batch_size=PEER_BATCH, show_progress_bar=False))


@torch.no_grad()
def reference(model: Model, texts: list[str], length: int) -> Vectors:
    parts = []
    for start in range(0, len(texts), REFERENCE_BATCH):
        batch = texts[start : start + REFERENCE_BATCH]
        inputs = model.tokenizer(batch, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        hidden_BLD = model.backbone(**inputs).last_hidden_state
        if model.pooling == "first":
            parts.append(hidden_BLD[:, 0])
        else:
            mask_BL1 = inputs.attention_mask[..., None]
            parts.append((hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1))
    return torch.cat(parts).numpy()


def fused_ours(model: Model, texts: list[str], folder: Path, encoder: Any) -> Vectors:
    from xdr.encoders.encoding import encode_sums

    owner_N = torch.arange(OWNERS).repeat_interleave(PER_PASSAGE)
    read = model.text_tokenizer.queries(texts)
    sums_PD = encode_sums(encoder, read, owner_N, torch.zeros_like(owner_N), OWNERS, 1, TOKENS)[0].numpy()
    np.save(folder / "sums.npy", sums_PD.astype(np.float16))
    return sums_PD


def fused_reference(model: Model, texts: list[str], folder: Path) -> Vectors:
    for number in range(PER_PASSAGE):
        vectors_PD = reference(model, texts[number::PER_PASSAGE], QUESTION_LENGTH)
        np.save(folder / f"{number}.npy", vectors_PD)
    sums_PD = np.zeros((OWNERS, vectors_PD.shape[1]), np.float32)
    for number in range(PER_PASSAGE):
        sums_PD += np.load(folder / f"{number}.npy")
    return sums_PD


def compare(ways: dict[str, Way], rounds: int, targets: dict[str, float]) -> None:
    """The first way is xdr's. `targets` are the factors by which the others should be slower."""
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    vectors: dict[str, Vectors] = {}
    for number in range(rounds + 1):
        for name in names if number % 2 else names[::-1]:
            started = time.perf_counter()
            vectors[name] = ways[name]()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    for name in names:
        ratios = [theirs / own for theirs, own in zip(seconds[name], seconds[names[0]], strict=True)]
        own_ND, other_ND = (torch.from_numpy(vectors[n]).double() for n in (names[0], name))
        closest = float(F.cosine_similarity(own_ND, other_ND, dim=1).min())
        target = f", target {targets[name]}" if name in targets else ""
        equal = f"least cosine {closest:.7f}"
        print(f"  {name:32}{spread(seconds[name])} s   x {spread(ratios)}{target}   {equal}")
        assert closest > 0.99999, f"{name} gives other vectors"


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):6.2f} ({min(values):.2f} - {max(values):.2f})"


def compare_passages(model: Model, texts: list[str], rounds: int) -> None:
    lengths = [len(ids) for ids in model.text_tokenizer.tokenize(texts, model.length)]
    mean = statistics.mean(lengths)
    print(f"{len(texts):,} passages of {mean:.1f} tokens on average, {model.length} at most, pooling {model.pooling}")
    ways: dict[str, Way] = {
        "xdr": lambda: ours(model, texts, model.fast),
        "xdr without prepacked weights": lambda: ours(model, texts, model.plain),
        "sentence-transformers": lambda: peers(model, texts),
        "reference recipe": lambda: reference(model, texts, model.length),
    }
    compare(ways, rounds, {"sentence-transformers": 2.5, "reference recipe": 3.0})


def compare_questions(model: Model, texts: list[str], rounds: int, folder: Path) -> None:
    lengths = [len(ids) for ids in model.text_tokenizer.tokenize(texts, QUESTION_LENGTH)]
    mean = statistics.mean(lengths)
    print(f"{OWNERS} passages with {PER_PASSAGE} questions each, of {mean:.1f} tokens on average, fused by sum")
    stored = {name: folder / name for name in ("ours", "plain", "reference")}
    for path in stored.values():
        path.mkdir()
    ways: dict[str, Way] = {
        "xdr": lambda: fused_ours(model, texts, stored["ours"], model.fast),
        "xdr without prepacked weights": lambda: fused_ours(model, texts, stored["plain"], model.plain),
        "reference recipe": lambda: fused_reference(model, texts, stored["reference"]),
    }
    compare(ways, rounds, {"reference recipe": 3.5})
    own, theirs = (sum(file.stat().st_size for file in stored[name].iterdir()) for name in ("ours", "reference"))
    print(f"  on disk: {own:,} bytes beside the reference's {theirs:,}, 1/{theirs / own:.1f}   (target 1/60 at most)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afriqa", type=Path, help="AfriQA's folder `data`")
    parser.add_argument("--xquad", type=Path, help="XQuAD-R's folder")
    parser.add_argument("--xor", type=Path, help="XOR-TyDi's training questions")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--variants", action="store_true", help="also passages of 256 tokens, and mean pooling")
    arguments = parser.parse_args()
    silence_libraries()
    from xdr.encoders.small import build_small_bert

    passage_texts, question_texts = passages(arguments.afriqa, arguments.xquad), questions(arguments.xor)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everything = passage_texts[:1000] + question_texts
        build_small_bert(everything, folder / "model", seed=0, hidden=arguments.hidden, layers=arguments.layers)
        print(f"{platform.platform()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
        print(f"BERT, {arguments.layers} layers, d {arguments.hidden}; load of the machine before: {os.getloadavg()[0]:.1f}")
        model = load_model(folder / "model", 128, "first")
        compare_passages(model, passage_texts, arguments.rounds)
        compare_questions(model, question_texts, arguments.rounds, folder)
        if arguments.variants:
            compare_passages(load_model(folder / "model", 256, "first"), passage_texts[:1000], arguments.rounds)
            compare_passages(load_model(folder / "model", 128, "mean"), passage_texts[:1000], arguments.rounds)


def silence_libraries() -> None:
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


if __name__ == "__main__":
    main()
