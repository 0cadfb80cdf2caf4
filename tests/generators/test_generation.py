"""Drawn, judged, drawn again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xdr.encoders.small import build_small_mt5
from xdr.encoders.texts import Texts
from xdr.errors import UserError
from xdr.generators.backends import Drawn
from xdr.generators.generation import Generation
from xdr.generators.generator_folder import load_generator
from xdr.generators.huggingface_backend import HuggingFaceBackend
from xdr.generators.quality import REASONS, Gate, Reason
from xdr.generators.query_generator import GeneratorTokenizer
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.identification import LanguageCheck
from xdr.text.records import GeneratedTexts, Passage

PASSAGES = [
    Passage("1", "Saimaa", "Saimaa is the largest lake in Finland."),
    Passage("2", "", "  "),
    Passage("3", "Volga", "The Volga flows into the Caspian Sea, and it is the longest river in Europe."),
]


class Words:
    """A tokenizer of words, for texts that a test has written beforehand."""

    eos_token_id = 1

    def __init__(self) -> None:
        self.words = ["<pad>", "</s>"]

    def __call__(self, texts: Sequence[str], **_: Any) -> Any:
        ids = [[*map(self.number_of, text.split()), 1] for text in texts]
        return type("Encoding", (), {"input_ids": ids})

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        return " ".join(self.words[number] for number in ids)

    def number_of(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)


class Scripted:
    """Gives the texts that are written for (call, prompt's first word after the colon)."""

    def __init__(self, words: Words, script: dict[str, list[str]]) -> None:
        self._words, self._script = words, script
        self.batches: list[list[int]] = []

    def begin(self, seed: int) -> None:
        self.seed = seed

    def encode(self, sources: Texts) -> list[str]:
        self.batches.append(sources.lengths_B.tolist())
        parts = sources.ids_T.split(sources.lengths_B.tolist())
        return [self._words.decode(part.tolist(), True) for part in parts]

    one_language = False

    def decode(self, encoded: list[str], rows: Tensor, languages: Sequence[str], number: int) -> list[list[Drawn]]:
        asked = zip(rows.tolist(), languages, strict=True)
        return [[self._next(encoded[row], language) for _ in range(number)] for row, language in asked]

    def _next(self, prompt: str, language: str) -> Drawn:
        (queue,) = (texts for key, texts in self._script.items() if key in f"{language} {prompt}")
        text = queue.pop(0)
        ended = not text.endswith("...")
        return Drawn([self._words.number_of(word) for word in text.split()], ended)


def scripted(
    script: dict[str, list[str]], refused: Sequence[Reason] = REASONS, tokens_per_batch: int = 1000, **order: Any
) -> tuple[Generation, Scripted]:
    words = Words()
    tokenizer = GeneratorTokenizer(words, Task("query_from_passage", "prompt", 50, 8), {})
    settings = {"languages": ("ru",), "number": 2, "input_length": 20, "regenerate": 1, "seed": 1, **order}
    backend = Scripted(words, script)
    gate = Gate(LanguageCheck(None), frozenset(refused))
    return Generation(tokenizer, backend, gate, GenerationSettings(tokens_per_batch=tokens_per_batch, **settings)), backend


def test_what_the_gate_refuses_is_drawn_again_and_then_left_out() -> None:
    generation, _ = scripted(
        {"Saimaa": ["Где Сайма?", "Where?", "где сайма", "Что?"], "Volga": ["Где?", "Где..."] + ["Где?"] * 2}
    )
    texts, counts = generation.write(PASSAGES, 0)
    assert texts == [
        GeneratedTexts("1", {"ru": ("Где Сайма?",)}),
        GeneratedTexts("2", {"ru": ()}),
        GeneratedTexts("3", {"ru": ("Где?",)}),
    ]
    ru = counts["ru"]
    assert (ru.passages, ru.empty_passages, ru.wanted, ru.generated, ru.regenerated, ru.kept) == (3, 1, 4, 6, 2, 2)
    assert (ru.wrong_language, ru.repeated, ru.over_long) == (1, 3, 0)


def test_nothing_is_refused_where_the_recipe_refuses_nothing() -> None:
    generation, _ = scripted({"Saimaa": ["Where?", "Where?"], "Volga": ["Где...", "Где"]}, refused=())
    texts, counts = generation.write(PASSAGES, 0)
    assert texts[0].texts["ru"] == ("Where?", "Where?")
    assert texts[2].texts["ru"] == ("Где...", "Где")
    assert counts["ru"].regenerated == 0 and counts["ru"].wrong_language == 2


def test_passages_that_were_cut_are_counted_for_each_language() -> None:
    script = {
        f"{language} Generate a {name} question for this passage: {title}": ["Где?"]
        for language, name in (("ru", "Russian"), ("fi", "Finnish"))
        for title in ("Saimaa", "Volga")
    }
    generation, _ = scripted(script, refused=(), languages=("ru", "fi"), number=1)
    _, counts = generation.write(PASSAGES, 0)
    assert [counts[language].truncated_passages for language in ("ru", "fi")] == [1, 1], "the second prompt has 23 words"


def test_batches_hold_what_the_budget_allows_longest_first() -> None:
    generation, backend = scripted({"a": ["Где?"] * 20}, refused=(), tokens_per_batch=100, number=1)
    passages = [Passage(str(i), "", "a " * i) for i in (2, 9, 4, 7, 1, 3)]
    generation.write(passages, 0)
    assert backend.batches == [[17, 15, 12, 11], [10, 9]], "4 x (17 + 8) is 100"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [passage.text for passage in PASSAGES] + ["Missä Saimaa sijaitsee?", "Где течёт Волга?"]
    return build_small_mt5(texts, tmp_path_factory.mktemp("mt5"), seed=1, hidden=32, layers=1)


@pytest.mark.parametrize("language_at", ["prompt", "decoder"])
def test_a_shard_is_a_function_of_its_sources_number_and_seed(small: Path, language_at: str) -> None:
    task = Task("query_from_passage", language_at, 32, 8, ("fi", "ru"))  # type: ignore[arg-type]  # one of two
    generator, tokenizer = load_generator(str(small), task)
    generator.eval()
    gate = Gate(LanguageCheck(None), frozenset(REASONS))

    def write(shard: int, seed: int) -> list[GeneratedTexts]:
        backend = HuggingFaceBackend(generator, tokenizer, Sampling(10, 1.0, 1.0, 8))
        texts, _ = Generation(tokenizer, backend, gate, GenerationSettings(("fi", "ru"), 3, 32, 2, 256, seed)).write(
            PASSAGES, shard
        )
        return texts

    first = write(0, 1)
    torch.manual_seed(99)
    assert write(0, 1) == first
    assert write(1, 1) != first
    assert write(0, 2) != first


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="number must be at least 1, got 0"):
        GenerationSettings(("fi",), 0, 32, 0, 256, 1)
