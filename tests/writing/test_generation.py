"""Drawn, judged, drawn again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from xdr.errors import UserError
from xdr.generators.generator import Reply, Request, Written
from xdr.generators.generator_folder import load_generator
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.generators.small import build_small_mt5
from xdr.text.identification import LanguageCheck
from xdr.text.prompts import PromptTemplate
from xdr.text.records import GeneratedTexts, Passage
from xdr.writing.generation import Generation
from xdr.writing.huggingface_backend import HuggingFaceBackend
from xdr.writing.quality import REASONS, Gate, Reason
from xdr.writing.sequence_to_sequence import SequenceToSequence

PASSAGES = [
    Passage("1", "Saimaa", "Saimaa is the largest lake in Finland."),
    Passage("2", "", "  "),
    Passage("3", "Volga", "The Volga flows into the Caspian Sea, and it is the longest river in Europe."),
]


class Scripted:
    """Gives the texts that are written for the words that a prompt begins with."""

    def __init__(self, script: dict[str, list[str]]) -> None:
        self._script = script
        self.asked: list[list[str]] = []

    def begin(self, seed: int) -> None:
        self.seed = seed

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(languages)]

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        self.asked.append([request.prompt for request in requests])
        for place, request in reversed(list(enumerate(requests))):
            (queue,) = (texts for words, texts in self._script.items() if request.prompt.startswith(words))
            texts = [queue.pop(0) for _ in range(request.number)]
            written = [Written(text, len(text.split()), not text.endswith("...")) for text in texts]
            yield place, Reply(written, 9, "Finland" in request.prompt, malformed="?" not in texts[0])


def scripted(
    script: dict[str, list[str]],
    refused: Sequence[Reason] = REASONS,
    template: PromptTemplate = PromptTemplate("{language} {passage}"),  # noqa: B008  immutable
    **order: Any,
) -> tuple[Generation, Scripted]:
    settings = {"languages": ("ru",), "number": 2, "input_length": 20, "regenerate": 1, "seed": 1, **order}
    generator = Scripted(script)
    gate = Gate(LanguageCheck(None), frozenset(refused))
    return Generation(generator, template, gate, GenerationSettings(tokens_per_batch=1, **settings)), generator


def test_what_the_gate_refuses_is_drawn_again_and_then_left_out() -> None:
    generation, _ = scripted(
        {"Russian Saimaa": ["Где Сайма?", "Where?", "где сайма", "Что?"], "Russian Volga": ["Где?", "Где..."] + ["Где?"] * 2}
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
    generation, _ = scripted({"Russian Saimaa": ["Where?", "Where?"], "Russian Volga": ["Где...", "Где"]}, refused=())
    texts, counts = generation.write(PASSAGES, 0)
    assert texts[0].texts["ru"] == ("Where?", "Where?")
    assert texts[2].texts["ru"] == ("Где...", "Где")
    assert counts["ru"].regenerated == 0 and counts["ru"].wrong_language == 2


def test_passages_that_were_cut_and_malformed_answers_are_counted_for_each_language() -> None:
    script = {f"{language} {title}": ["Где"] for language in ("Russian", "Finnish") for title in ("Saimaa", "Volga")}
    generation, _ = scripted(script, refused=(), languages=("ru", "fi"), number=1)
    _, counts = generation.write(PASSAGES, 0)
    assert [counts[language].truncated_passages for language in ("ru", "fi")] == [1, 1]
    assert [counts[language].malformed for language in ("ru", "fi")] == [2, 2]


def test_only_what_is_missing_is_asked_for_again() -> None:
    generation, generator = scripted({"Russian Saimaa": ["Где?", "A", "Что?"], "Russian Volga": ["Где?", "Что?"]})
    generation.write(PASSAGES, 0)
    assert [[words.split()[1] for words in asked] for asked in generator.asked] == [["Saimaa", "Volga"], ["Saimaa"]]


def test_a_summary_is_asked_once_and_stands_in_the_prompts_of_all_languages_and_attempts() -> None:
    template = PromptTemplate("{language} {summary} {passage}", summary=PromptTemplate("Sum up {passage}", output_length=9))
    script = {
        "Sum up Saimaa": ["Big"],
        "Sum up The": ["Long"],
        "Russian Big": ["Где?"],
        "Finnish Big": ["Где?", "Missä?"],
        "Russian Long": ["Где?"],
        "Finnish Long": ["Missä?"],
    }
    generation, generator = scripted(script, template=template, languages=("ru", "fi"), number=1)
    texts, counts = generation.write([PASSAGES[0], PASSAGES[1], replace(PASSAGES[2], title="")], 0)
    assert texts[0].texts == {"ru": ("Где?",), "fi": ("Missä?",)}
    assert [len(asked) for asked in generator.asked] == [2, 4, 1]
    assert counts["ru"].generated == 2, "summaries are no texts"


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
        settings = GenerationSettings(("fi", "ru"), 3, 32, 2, 256, seed)
        writer = SequenceToSequence(tokenizer, backend, settings)
        texts, _ = Generation(writer, task.template, gate, settings).write(PASSAGES, shard)
        return texts

    first = write(0, 1)
    torch.manual_seed(99)
    assert write(0, 1) == first
    assert write(1, 1) != first
    assert write(0, 2) != first


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="number must be at least 1, got 0"):
        GenerationSettings(("fi",), 0, 32, 0, 256, 1)
