"""Generation on a card: equal to the CPU's, and as fast as it should be.

L tokens of a text, V tokens of the vocabulary.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_parts import Figure, Machine
from benchmarks.gpu_parts.measuring import in_turn, peak_memory, ratio, spread
from xdr.generators.generator_folder import load_generator
from xdr.generators.query_generator import choose_language_tokens
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.identification import LanguageCheck
from xdr.text.records import Passage
from xdr.writing.generation import Generation
from xdr.writing.huggingface_backend import open_in_process
from xdr.writing.quality import Gate

LANGUAGES = ("ar", "bn", "fi", "ja", "ko", "ru", "te")
NUMBER, INPUT = 5, 256
GREEDY = Sampling(1, 1.0, 1.0, 24, "full")
CAUSAL = "Passage: {passage}\nQuestion in {language}:"


def passages(number: int) -> list[Passage]:
    from xdr.benchmarks.sample import Sample
    from xdr.data.problems import Problems

    some = list(Sample().passages(Problems()))
    return [some[place % len(some)] for place in range(number)]


def small_t5(folder: Path, machine: Machine, language_at: Any) -> tuple[Any, Any]:
    """An mT5 with random weights, on the CPU."""
    from xdr.generators.small import build_small_mt5

    if not folder.exists():
        words = [passage.text for passage in passages(144)]
        build_small_mt5(words, folder, seed=0, hidden=64 if machine.tiny else 256, layers=2)
    task = Task("query_from_passage", language_at, INPUT, GREEDY.output_length, LANGUAGES)
    generator, tokenizer = load_generator(str(folder), task)
    if language_at == "decoder":
        tokenizer = replace(tokenizer, language_tokens=choose_language_tokens(tokenizer.huggingface, LANGUAGES))
    return generator.eval(), tokenizer


def written(generator: Any, tokenizer: Any, sampling: Sampling, number: int, some: Sequence[Passage]) -> list[str]:
    """`number` texts of each language about each passage, as stage=generate writes them without a gate."""
    order = GenerationSettings(LANGUAGES, number, INPUT, 0, 16_384, 0)
    writer = open_in_process(generator, tokenizer, sampling, order)
    generation = Generation(writer, tokenizer.task.template, Gate(LanguageCheck(None), frozenset()), order)
    return [text for source in generation.write(some, 0)[0] for texts in source.texts.values() for text in texts]


def correctness(machine: Machine) -> Iterator[Figure]:
    """The most probable texts of the card beside the CPU's, and the logits in bf16 beside those in float32."""
    some = passages(2 if machine.tiny else 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, language_at, sampling in (
            ("the language in the prompt", "prompt", GREEDY),
            ("prompts shared by the languages", "decoder", GREEDY),
            ("the vocabulary of a language", "prompt", replace(GREEDY, vocabulary="language")),
        ):
            generator, tokenizer = small_t5(folder / "t5", machine, language_at)
            on_cpu = written(generator, tokenizer, sampling, 1, some)
            yield _equal(f"T5, {what}", on_cpu, written(generator.to(machine.device), tokenizer, sampling, 1, some))
        generator, tokenizer = small_t5(folder / "t5", machine, "prompt")
        yield from _bfloat16(generator, tokenizer, machine, some)
        generator, tokenizer = small_causal(folder / "causal", machine)
        on_cpu = written(generator, tokenizer, GREEDY, 1, some)
        yield _equal("Gemma 3", on_cpu, written(generator.to(machine.device), tokenizer, GREEDY, 1, some))


def _equal(what: str, on_cpu: list[str], on_card: list[str]) -> Figure:
    """Two logits may be nearly equal, so one text in fifty may differ."""
    same = sum(one == other for one, other in zip(on_cpu, on_card, strict=True))
    return Figure(f"{what}: texts equal to the CPU's", f"{same} of {len(on_cpu)}", "98 %", same >= 0.98 * len(on_cpu))


def _bfloat16(generator: Any, tokenizer: Any, machine: Machine, some: Sequence[Passage]) -> Iterator[Figure]:
    inputs = tokenizer.huggingface([passage.text for passage in some], padding=True, return_tensors="pt")
    ids_BL = torch.arange(5, 21).repeat(len(some), 1)

    @torch.inference_mode()
    def logits(dtype: torch.dtype, device: str) -> Tensor:
        model = generator.model.to(device, dtype)
        logits_BLV: Tensor = model(**inputs.to(device), decoder_input_ids=ids_BL.to(device)).logits
        return logits_BLV.float().cpu()

    wanted_BLV = logits(torch.float32, "cpu")
    cosine = torch.cosine_similarity(logits(torch.bfloat16, machine.device), wanted_BLV, dim=2).min()
    yield Figure(
        "T5 in bf16: smallest cosine to the logits in float32", f"{cosine:.5f}", "at least .999", bool(cosine >= 0.999)
    )


def small_causal(folder: Path, machine: Machine, layers: int = 2) -> tuple[Any, Any]:
    """A Gemma 3 with random weights and the tokenizer of the small mT5. With 18 layers it has the 268 million weights of
    gemma-3-270m."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3TextConfig

    small_t5(folder / "t5", machine, "prompt")
    tokenizer = AutoTokenizer.from_pretrained(folder / "t5")
    sizes: dict[str, Any] = {"vocab_size": 262_144, "hidden_size": 640, "intermediate_size": 2048, "head_dim": 256}
    if machine.tiny or layers < 18:
        sizes = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "head_dim": 32}
    config = Gemma3TextConfig(
        **sizes,
        num_hidden_layers=2 if machine.tiny else layers,
        num_attention_heads=4,
        num_key_value_heads=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    from xdr.text.prompts import PromptTemplate

    task = Task("query_from_passage", "prompt", INPUT, GREEDY.output_length, LANGUAGES, PromptTemplate(CAUSAL))
    generator, wrapped = load_generator(str(folder), task)
    return generator.eval(), wrapped


def speed(machine: Machine) -> Iterator[Figure]:
    """35 questions a passage, in bf16, text to text, beside `generate` with batches of 32 padded prompts. The weights are
    random, so that no text ends before 32 tokens."""
    sampling = Sampling(10, 1.0, 1.0, 8 if machine.tiny else 32, "full")
    with tempfile.TemporaryDirectory() as name:
        for what, number in (("mT5 of base's size", 2 if machine.tiny else 64), ("Gemma 3 of 268M", 2 if machine.tiny else 64)):
            some = passages(number)
            build = base_size if what.startswith("mT5") else gemma_size
            generator, tokenizer = build(Path(name) / what[:3], machine)
            generator = generator.to(machine.device, torch.bfloat16)
            ways = {
                "ours": lambda g=generator, t=tokenizer, s=some: written(g, t, sampling, NUMBER, s),
                "theirs": lambda g=generator, t=tokenizer, s=some: plain(g, t, sampling, s, machine.device),
            }
            seconds = in_turn(ways, machine.device, rounds=2)
            texts = NUMBER * len(LANGUAGES) * number
            yield Figure(f"{what}, xdr, {texts:,} questions", f"{spread(seconds['ours'])} s")
            yield Figure(f"{what}, generate", f"{spread(seconds['theirs'])} s")
            yield ratio(f"{what}, times as fast", seconds["theirs"], seconds["ours"], 3)
            yield Figure(f"{what}, memory", peak_memory(ways["ours"], machine.device))


def base_size(folder: Path, machine: Machine) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM

    from xdr.generators.generator_folder import untie

    _, tokenizer = small_t5(folder / "small", machine, "prompt")
    model = AutoModelForSeq2SeqLM.from_pretrained(folder / "small")
    config = model.config
    if not machine.tiny:
        for key, value in {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_heads": 12, "vocab_size": 250_112}.items():
            setattr(config, key, value)
        config.num_layers = config.num_decoder_layers = 12
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config)
    untie(model)
    model.save_pretrained(folder)
    tokenizer.huggingface.save_pretrained(folder)
    task = Task("query_from_passage", "prompt", INPUT, 32, LANGUAGES)
    generator, tokenizer = load_generator(str(folder), task)
    return generator.eval(), tokenizer


def gemma_size(folder: Path, machine: Machine) -> tuple[Any, Any]:
    return small_causal(folder, machine, layers=18)


@torch.inference_mode()
def plain(generator: Any, tokenizer: Any, sampling: Sampling, some: Sequence[Passage], device: str) -> None:
    words, huggingface = tokenizer.task.template, tokenizer.huggingface
    model = getattr(generator, "language_model", None) or generator.model
    huggingface.padding_side = "left" if hasattr(generator, "language_model") else "right"
    prompts = [words.render(passage, language) for passage in some for language in LANGUAGES]
    for first in range(0, len(prompts), 32):
        inputs = huggingface(
            prompts[first : first + 32], padding=True, truncation=True, max_length=INPUT, return_tensors="pt"
        ).to(device)
        inputs.pop("token_type_ids", None)
        output = model.generate(
            **inputs,
            do_sample=True,
            top_k=sampling.top_k,
            num_return_sequences=NUMBER,
            max_new_tokens=sampling.output_length,
            pad_token_id=huggingface.pad_token_id,
        )
        huggingface.batch_decode(output, skip_special_tokens=True)
