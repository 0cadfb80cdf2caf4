"""Encoders on a card: packed attention, the shortcuts of one-token poolings, and the speed of encoding.

T tokens, B texts, D dimensions.
"""

import copy
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu_parts import Figure, Machine
from benchmarks.gpu_parts.measuring import in_turn, peak_memory, ratio, share_of_peak, spread
from xdr.encoders.encoding import encode_texts
from xdr.encoders.texts import Texts, texts_of
from xdr.encoders.transformer_encoder import TransformerEncoder

VOCABULARY = 30_000
WANTED_COSINE = {torch.float32: 0.99999, torch.bfloat16: 0.999}
LARGEST_ERROR = 1e-3
MORE_THAN_PADDED = 1.5
"""How much larger the rounding errors of bf16 may be than those of the padded encoder in bf16. How large these are depends on
the weights: the mean vectors of random weights are nearly equal, and so their gradients are mostly rounding."""


def backbone(family: str, attention: str, *, hidden: int, layers: int) -> Any:
    """With random weights, the same ones for every attention."""
    from transformers import AutoConfig, AutoModel

    heads = max(1, hidden // 64)
    sizes: dict[str, float] = {
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    sizes |= {"intermediate_size": 4 * hidden, "max_position_embeddings": 514, "pad_token_id": 1}
    if family == "qwen3":
        sizes |= {"num_key_value_heads": heads, "head_dim": 64}
    else:
        sizes |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(family, **sizes), attn_implementation=attention)


def encoder(family: str, batching: Any, pooling: str, *, hidden: int, layers: int) -> TransformerEncoder:
    from xdr.encoders.packing import NAME

    attention = NAME if batching == "packed" else "sdpa"
    model = backbone(family, attention, hidden=hidden, layers=layers)
    return TransformerEncoder(model, pooling, False, batching).eval()


def texts(number: int, shortest: int, longest: int) -> Texts:
    rng = random.Random(0)
    return texts_of([[rng.randrange(5, VOCABULARY) for _ in range(rng.randint(shortest, longest))] for _ in range(number)])


def packing(machine: Machine) -> Iterator[Figure]:
    """Vectors and gradients on the card beside those of the padded encoder in float32 on the CPU."""
    for family in ("bert", "xlm-roberta", "qwen3"):
        yield from _equal_to_the_cpu(family, "mean", machine)


def one_token(machine: Machine) -> Iterator[Figure]:
    for pooling in ("first", "last"):
        yield from _equal_to_the_cpu("bert", pooling, machine)


def _equal_to_the_cpu(family: str, pooling: str, machine: Machine) -> Iterator[Figure]:
    sizes = {"hidden": 128, "layers": 2} if machine.tiny else {"hidden": 768, "layers": 4}
    some = texts(12 if machine.tiny else 64, 3, 128)
    reference = encoder(family, "padded", pooling, **sizes)
    wanted_BD, wanted_gradient = _vectors_and_gradient(reference, some)
    on_device = Texts(*(part.to(machine.device) for part in some))
    for dtype in (torch.float32, torch.bfloat16):
        name, least = f"{family}, {pooling}, {str(dtype).removeprefix('torch.')}", WANTED_COSINE[dtype]
        packed = encoder(family, "packed", pooling, **sizes).to(machine.device, dtype)
        vectors_BD, gradient = _vectors_and_gradient(packed, on_device)
        cosine = float(torch.cosine_similarity(vectors_BD, wanted_BD).min())
        yield Figure(f"{name}: smallest cosine to the CPU's vectors", f"{cosine:.6f}", f"at least {least:g}", cosine >= least)
        error, most = _relative(gradient, wanted_gradient), LARGEST_ERROR
        if dtype is torch.bfloat16:
            padded = encoder(family, "padded", pooling, **sizes).to(machine.device, dtype)
            most = MORE_THAN_PADDED * _relative(_vectors_and_gradient(padded, on_device)[1], wanted_gradient)
        yield Figure(f"{name}: relative error of the gradient", f"{error:.2g}", f"at most {most:.2g}", error <= most)


def _relative(gradient: Tensor, wanted: Tensor) -> float:
    return float((gradient - wanted).norm() / wanted.norm())


def _vectors_and_gradient(encoder: TransformerEncoder, some: Texts) -> tuple[Tensor, Tensor]:
    """Returns the vectors, and the gradient of a contrastive loss between them and fixed random vectors. Both are on the CPU,
    in float32."""
    vectors_BD = encoder(some).float()
    generator = torch.Generator().manual_seed(0)
    wanted_BD = torch.randn(vectors_BD.shape, generator=generator).to(vectors_BD.device)
    scores_BB = vectors_BD @ wanted_BD.T / vectors_BD.shape[1] ** 0.5
    torch.autograd.backward(F.cross_entropy(scores_BB, torch.arange(len(scores_BB), device=scores_BB.device)))
    gradients = [parameter.grad.float().cpu().flatten() for parameter in encoder.parameters() if parameter.grad is not None]
    return vectors_BD.detach().cpu(), torch.cat(gradients)


def speed(machine: Machine) -> Iterator[Figure]:
    """mBERT's size with random weights, in bf16, text to vector, beside sentence-transformers with the same weights."""
    number = 64 if machine.tiny else 20_000
    with tempfile.TemporaryDirectory() as folder:
        ours, peer, passages, questions = _both(Path(folder), machine, number)
        for name, some, length, wanted_share in (("passages", passages, 128, 0.4), ("questions", questions, 20, None)):
            yield from _compared(name, ours, peer, some, length, wanted_share, machine)


def _both(folder: Path, machine: Machine, number: int) -> tuple[Any, Any, list[str], list[str]]:
    from sentence_transformers import SentenceTransformer

    from xdr.benchmarks.sample import Sample
    from xdr.data.problems import Problems
    from xdr.encoders.encoder import load_encoder
    from xdr.encoders.encoder_folder import save_encoder
    from xdr.encoders.input_format import InputFormat
    from xdr.encoders.small import build_small_bert
    from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
    from xdr.encoders.transformer_encoder import load_transformer

    words = [passage.text for passage in Sample().passages(Problems())]
    sizes = {"hidden": 64, "layers": 1} if machine.tiny else {"hidden": 768, "layers": 12}
    build_small_bert(words, folder / "backbone", seed=0, **sizes)
    from transformers import AutoTokenizer

    tokenizer = HuggingFaceTokenizer(AutoTokenizer.from_pretrained(folder / "backbone"))
    encoder = load_transformer(str(folder / "backbone"), "mean", True, "packed", torch.float32)
    save_encoder(encoder, TextTokenizer(tokenizer, InputFormat(20, 128)), folder / "encoder")
    ours = load_encoder(str(folder / "encoder"), dtype="bfloat16", device=machine.device, tokens_per_batch=65_536)
    peer = SentenceTransformer(str(folder / "encoder"), device=machine.device, model_kwargs={"dtype": torch.bfloat16})
    rng = random.Random(0)
    passages = [" ".join(rng.choices(words, k=2)) for _ in range(number)]
    questions = [" ".join(rng.choice(words).split()[: rng.randint(6, 14)]) for _ in range(number)]
    return ours, peer, passages, questions


def _compared(
    name: str, ours: Any, peer: Any, some: list[str], length: int, wanted_share: float | None, machine: Machine
) -> Iterator[Figure]:
    tokens = ours.tokenizer.passages if name == "passages" else ours.tokenizer.queries
    encode = ours.encode_passages if name == "passages" else ours.encode_queries
    peer.max_seq_length = length
    seconds = in_turn(
        {"ours": lambda: encode(some), "theirs": lambda: peer.encode(some, batch_size=256)}, machine.device, rounds=3
    )
    yield Figure(f"{name}, xdr, {len(some):,} texts", f"{spread(seconds['ours'])} s")
    yield Figure(f"{name}, sentence-transformers", f"{spread(seconds['theirs'])} s")
    yield ratio(f"{name}, times as fast", seconds["theirs"], seconds["ours"], 2)
    from xdr.text.records import Passage

    read = tokens([Passage("", "", text) for text in some] if name == "passages" else some)
    module = copy.copy(ours.passages)
    kernels = in_turn({"alone": lambda: encode_texts(module, read, 65_536)}, machine.device, rounds=3)["alone"]
    rate, share = share_of_peak(_flops(module.backbone.config, read), min(kernels), machine.device)
    met = None if wanted_share is None or machine.device == "cpu" else share >= wanted_share
    wanted = "40 % of the peak" if wanted_share else ""
    yield Figure(f"{name}, without tokenization", f"{spread(kernels)} s, {rate}", wanted, met)
    yield Figure(f"{name}, memory", peak_memory(lambda: encode_texts(module, read, 65_536), machine.device))


def _flops(config: Any, some: Texts) -> float:
    """Of the linear layers and of attention, two for each multiplication."""
    per_token = 2 * config.num_hidden_layers * (4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size)
    attention = 4 * config.num_hidden_layers * config.hidden_size * float((some.lengths_B.double() ** 2).sum())
    return float(per_token * len(some.ids_T) + attention)
