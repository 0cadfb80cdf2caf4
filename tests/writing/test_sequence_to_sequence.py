"""Requests in batches, for a model that reads prompts and then writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from tests.encoders.conftest import TEXTS
from xdr.encoders.texts import Texts
from xdr.errors import UserError
from xdr.generators.generator import Reply, Request
from xdr.generators.generator_folder import load_generator
from xdr.generators.query_generator import GeneratorTokenizer
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.prompts import PromptTemplate
from xdr.text.records import Passage
from xdr.writing.ctranslate2_backend import CTranslate2Backend
from xdr.writing.huggingface_backend import HuggingFaceBackend
from xdr.writing.sequence_to_sequence import Drawn, Sampler, SequenceToSequence


class Words:
    """A tokenizer of words."""

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


class Recording:
    """Writes one word, and records what it was asked."""

    def __init__(self, words: Words, one_language: bool = False) -> None:
        self._words, self.one_language = words, one_language
        self.prompts: list[list[str]] = []
        self.calls: list[tuple[list[str], int]] = []

    def begin(self, seed: int) -> None: ...

    def encode(self, sources: Texts) -> None:
        parts = sources.ids_T.split(sources.lengths_B.tolist())
        self.prompts.append([self._words.decode(part.tolist(), True) for part in parts])

    def decode(
        self, encoded: None, rows: Tensor, languages: Sequence[str], number: int, output_length: int | None = None
    ) -> list[list[Drawn]]:
        self.calls.append((list(languages), number))
        return [[Drawn([self._words.number_of(language)], True)] * number for language in languages]


def recorded(text: str, requests: Sequence[tuple[Passage, str, int]], at: str = "prompt", **changes: Any) -> Any:
    words, template = Words(), PromptTemplate(text)
    task = Task("query_from_passage", at, 50, 8, (), template)  # type: ignore[arg-type]  # one of two
    tokenizer = GeneratorTokenizer(words, task, {"ru": 2, "fi": 3})
    sampler = Recording(words, changes.pop("one_language", False))
    values = {"languages": ("ru", "fi"), "number": 1, "input_length": 20, "tokens_per_batch": 1000, **changes}
    writer = SequenceToSequence(tokenizer, sampler, GenerationSettings(regenerate=0, seed=0, **values))
    replies = dict(writer.write([Request(template, *request) for request in requests]))
    assert [replies[place].texts[0].text for place in range(len(requests))] == [language for _, language, _ in requests]
    return sampler, replies


PASSAGES = [Passage(str(length), "", "a " * length) for length in (2, 9, 4, 7, 1, 3)]


def test_batches_hold_what_the_budget_allows_longest_first() -> None:
    asked = [(passage, "ru", 1) for passage in PASSAGES]
    sampler, replies = recorded("{language} question about this for me : {passage}", asked, tokens_per_batch=100)
    assert [[len(prompt.split()) for prompt in batch] for batch in sampler.prompts] == [[17, 15, 12, 11], [10, 9]]
    assert [replies[place].num_prompt_tokens for place in range(6)] == [10, 17, 12, 15, 9, 11], "4 x (17 + 8) is 100"


def test_a_prompt_is_read_once_for_all_languages_at_the_decoder() -> None:
    asked = [(PASSAGES[0], "ru", 1), (PASSAGES[0], "fi", 2), (PASSAGES[2], "fi", 1)]
    sampler, _ = recorded("{passage}", asked, "decoder")
    assert sampler.prompts == [["a a a a </s>", "a a </s>"]]
    assert sampler.calls == [(["fi", "ru", "fi"], 2)], "as many texts as any request wants"
    sampler, _ = recorded("{passage}", asked, "decoder", one_language=True)
    assert sampler.calls == [(["ru"], 1), (["fi", "fi"], 2)]


def test_what_stands_behind_the_passage_is_not_cut_off() -> None:
    long = Passage("1", "", "a b c d e f g h i j k l m n o p q r s t u v w")
    sampler, replies = recorded("About {passage} ask in {language} :", [(long, "ru", 1), (PASSAGES[0], "fi", 1)])
    assert sampler.prompts[0][0] == "About a b c d e f g h i j k l m n ask in Russian : </s>"
    assert [replies[place].truncated for place in (0, 1)] == [True, False]
    with pytest.raises(UserError, match="input_length must be above 9, the tokens that the prompt has after its source, got 8"):
        recorded("{passage} 1 2 3 4 5 6 7 {language}", [(long, "ru", 1)], input_length=8)


@pytest.mark.parametrize("backend", ["huggingface", "ctranslate2"])
def test_a_summary_has_a_length_of_its_own(small_mt5: Path, tmp_path: Path, backend: str) -> None:
    summary = PromptTemplate("{passage}", output_length=7)
    task = Task("query_from_passage", "prompt", 24, 3, (), PromptTemplate("{language} {summary} {text}", {}, summary))
    model, tokenizer = load_generator(str(small_mt5), task)
    sampling = Sampling(1, 1.0, 1.0, 3)
    sampler: Sampler = HuggingFaceBackend(model.eval(), tokenizer, sampling)
    if backend == "ctranslate2":
        sampler = CTranslate2Backend(model, tokenizer, sampling, "float32", tmp_path, "fingerprint")
    writer = SequenceToSequence(tokenizer, sampler, GenerationSettings(("fi",), 1, 24, 0, 100, 0))
    source = Passage("1", "", TEXTS[0])

    def written(request: Request) -> Reply:
        writer.begin(0)
        ((_, reply),) = writer.write([request])
        return reply

    assert written(Request(summary, source, "en", 1)).texts[0].num_tokens == 7, "it does not end by itself"
    assert written(Request(task.template, source, "fi", 1, "Short")).texts[0].num_tokens == 3
