"""Sampling, against exact probabilities."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from tests.encoders.conftest import TEXTS
from xdr.errors import UserError
from xdr.generators.generator_folder import load_generator
from xdr.generators.language_vocabulary import restricted, tokens_of
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator, token_losses
from xdr.generators.settings import Sampling, Task
from xdr.writing.ctranslate2_backend import CTranslate2Backend
from xdr.writing.huggingface_backend import HuggingFaceBackend
from xdr.writing.sequence_to_sequence import Sampler

ROWS = torch.arange(2)


def loaded(path: Path, language_at: str = "prompt") -> tuple[QueryGenerator, GeneratorTokenizer]:
    task = Task("query_from_passage", language_at, 24, 16, ("fi", "ru", "ja"))  # type: ignore[arg-type]  # one of two
    generator, tokenizer = load_generator(str(path), task)
    return generator.eval(), tokenizer


def sampling(**other: object) -> Sampling:
    return Sampling(**{"top_k": 5, "top_p": 1.0, "temperature": 1.0, "output_length": 6, **other})  # type: ignore[arg-type]  # of several types


def fast(generator: QueryGenerator, tokenizer: GeneratorTokenizer, how: Sampling, folder: Path) -> CTranslate2Backend:
    return CTranslate2Backend(generator, tokenizer, how, "float32", folder, "fingerprint")


@torch.no_grad()
def next_token(generator: QueryGenerator, tokenizer: GeneratorTokenizer, prompt: str, temperature: float) -> Tensor:
    """Exact probabilities of the first token."""
    ids = tokenizer.sources([prompt])[0].ids_T[None]
    logits_V: Tensor = generator.model(input_ids=ids, decoder_input_ids=torch.tensor([[0]])).logits[0, 0]
    return (logits_V / temperature).softmax(0)


@pytest.mark.parametrize("backend", ["huggingface", "ctranslate2"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_tokens_come_as_often_as_they_are_probable(small_mt5: Path, tmp_path: Path, backend: str, temperature: float) -> None:
    generator, tokenizer = loaded(small_mt5)
    how = sampling(temperature=temperature, output_length=1)
    one: Sampler = (
        HuggingFaceBackend(generator, tokenizer, how) if backend == "huggingface" else fast(generator, tokenizer, how, tmp_path)
    )
    one.begin(7)
    number = 4000
    (drawn,) = one.decode(one.encode(tokenizer.sources([TEXTS[0]])[0]), torch.tensor([0]), ["fi"], number)
    probabilities_V = next_token(generator, tokenizer, TEXTS[0], temperature)
    best = probabilities_V.topk(5)
    expected = best.values.double() / best.values.double().sum() * number
    end = tokenizer.huggingface.eos_token_id
    counts = np.bincount([text.ids[0] if text.ids else end for text in drawn], minlength=len(probabilities_V))
    assert counts.sum() == counts[best.indices.tolist()].sum(), "none but the five most probable"
    assert chisquare(counts[best.indices.tolist()], expected.numpy()).pvalue > 1e-3


def test_a_prompt_is_encoded_once(small_mt5: Path) -> None:
    generator, tokenizer = loaded(small_mt5, "decoder")
    calls: list[int] = []
    generator.model.encoder.register_forward_hook(lambda module, inputs, output: calls.append(1))
    backend = HuggingFaceBackend(generator, tokenizer, sampling())
    backend.begin(0)
    encoded = backend.encode(tokenizer.sources(TEXTS[:2])[0])
    for language in ("fi", "ru", "ja"):
        assert [len(texts) for texts in backend.decode(encoded, ROWS, [language] * 2, 4)] == [4, 4]
    assert len(calls) == 1


@pytest.mark.parametrize("language_at", ["prompt", "decoder"])
def test_texts_that_leave_the_batch_when_they_end_are_those_of_one_call(small_mt5: Path, language_at: str) -> None:
    """With the most probable token at every step: what Hugging Face writes in one go."""
    generator, tokenizer = loaded(small_mt5, language_at)
    backend = HuggingFaceBackend(generator, tokenizer, sampling(top_k=1, output_length=30))
    sources, _ = tokenizer.sources(TEXTS)
    endless = backend.decode(backend.encode(sources), torch.arange(len(TEXTS)), ["ru"] * len(TEXTS), 1)
    token = max((text.ids for (text,) in endless), key=len)[12]
    with torch.no_grad():  # texts end where they would have held this token
        head = generator.model.lm_head.weight
        head[tokenizer.huggingface.eos_token_id] = 1.01 * head[token]
    backwards = torch.arange(len(TEXTS)).flip(0)
    drawn = backend.decode(backend.encode(sources), backwards, ["ru"] * len(TEXTS), 3)[::-1]
    assert all(first == second == third for first, second, third in drawn)
    tokens = tokenizer.huggingface(TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt")
    start = [0, *tokenizer.language_tokens.values()][:1] if language_at == "prompt" else [0, tokenizer.language_tokens["ru"]]
    theirs = generator.model.generate(
        **tokens, decoder_input_ids=torch.tensor([start] * len(TEXTS)), do_sample=False, max_new_tokens=30
    )
    end, pad = tokenizer.huggingface.eos_token_id, tokenizer.huggingface.pad_token_id
    assert [one.ids for one, *_ in drawn] == [[p for p in ids[len(start) :] if p not in (end, pad)] for ids in theirs.tolist()]
    assert [one.ended for one, *_ in drawn] == (theirs == end).any(1).tolist()
    assert len({len(one.ids) for one, *_ in drawn}) > 1, "they end at different places"


@pytest.mark.parametrize("backend", ["huggingface", "ctranslate2"])
@pytest.mark.parametrize("language_at", ["prompt", "decoder"])
def test_equal_seeds_draw_equal_texts(small_mt5: Path, tmp_path: Path, backend: str, language_at: str) -> None:
    generator, tokenizer = loaded(small_mt5, language_at)
    one: Sampler = (
        HuggingFaceBackend(generator, tokenizer, sampling())
        if backend == "huggingface"
        else fast(generator, tokenizer, sampling(), tmp_path)
    )
    found = []
    for seed in (3, 3, 4):
        one.begin(seed)
        encoded = one.encode(tokenizer.sources(TEXTS[:2])[0])
        found.append([one.decode(encoded, ROWS, ["fi", "ru"], 3) for _ in range(2)])
    assert found[0] == found[1] != found[2]
    assert found[0][0] != found[0][1], "the next draw is another"


def test_a_restricted_vocabulary_has_the_whole_ones_probabilities(small_mt5: Path) -> None:
    generator, tokenizer = loaded(small_mt5)
    tokens_K = tokens_of(tokenizer.huggingface, "ru", latin=False)
    small = restricted(generator.model, tokens_K)
    ids = tokenizer.sources(TEXTS[:1])[0].ids_T[None]
    target_K = torch.arange(2, 8)
    with torch.no_grad():
        whole = generator.model(input_ids=ids, decoder_input_ids=torch.cat([torch.tensor([0]), tokens_K[target_K]])[None])
        start = (tokens_K == 0).nonzero()[0]
        part = small(input_ids=ids, decoder_input_ids=torch.cat([start, target_K])[None])
    expected = whole.logits[0][:, tokens_K].log_softmax(-1)
    torch.testing.assert_close(part.logits[0].log_softmax(-1), expected)
    assert generator.model.lm_head.weight.shape[0] == len(tokenizer.huggingface), "the whole one is as it was"


def test_tokens_of_a_language_are_in_its_script(small_mt5: Path) -> None:
    _, tokenizer = loaded(small_mt5)
    huggingface = tokenizer.huggingface
    names = [
        set(huggingface.convert_ids_to_tokens(tokens_of(huggingface, "ru", latin=latin).tolist())) - {"<pad>", "</s>"}
        for latin in (False, True)
    ]
    assert "?" in names[0] and "▁" in names[0] and "<unk>" not in names[1]
    assert any("В" in name for name in names[0]) and not any(letter in name for name in names[0] for letter in "aF富ఎ")
    assert "a" in names[1] and not any(letter in name for name in names[1] for letter in "富ఎ")


@pytest.mark.parametrize("backend", ["huggingface", "ctranslate2"])
@pytest.mark.parametrize("language_at", ["prompt", "decoder"])
def test_no_text_of_a_restricted_vocabulary_leaves_the_script(
    small_mt5: Path, tmp_path: Path, backend: str, language_at: str
) -> None:
    generator, tokenizer = loaded(small_mt5, language_at)
    how = sampling(top_k=0, vocabulary="language", latin=False)
    one: Sampler = (
        HuggingFaceBackend(generator, tokenizer, how) if backend == "huggingface" else fast(generator, tokenizer, how, tmp_path)
    )
    one.begin(1)
    encoded = one.encode(tokenizer.sources(TEXTS[:2])[0])
    allowed = set(tokens_of(tokenizer.huggingface, "ja", latin=False).tolist())
    drawn = [text for texts in one.decode(encoded, ROWS, ["ja", "ja"], 50) for text in texts]
    assert all(set(text.ids) <= allowed for text in drawn)
    assert len({tuple(text.ids) for text in drawn}) > 20


@pytest.mark.parametrize("vocabulary", ["full", "language"])
@pytest.mark.parametrize("tied", [False, True])
def test_ctranslate2_agrees_in_log_probability(small_mt5: Path, tmp_path: Path, vocabulary: str, tied: bool) -> None:
    generator, tokenizer = loaded(small_mt5)
    if tied:  # an mT5 whose head is its embedding: what transformers 5 says of every mT5
        generator.model.lm_head.weight = generator.model.shared.weight
    backend = fast(generator, tokenizer, sampling(vocabulary=vocabulary), tmp_path)
    texts = ["Где Волга?", "Волга", "Где течёт"]
    sources, targets = tokenizer.sources(TEXTS[:3])[0], tokenizer.targets(texts)
    model = generator
    if vocabulary == "language":
        tokens_K = tokens_of(tokenizer.huggingface, "ru", latin=True)
        model = QueryGenerator(restricted(generator.model, tokens_K))
        targets = targets._replace(ids_T=torch.tensor([int((tokens_K == token).nonzero()) for token in targets.ids_T]))
    with torch.no_grad():
        expected = token_losses(*model(sources, targets, None))[0]
    words = [tokenizer.huggingface.convert_ids_to_tokens(tokenizer.targets([text]).ids_T.tolist()[:-1]) for text in texts]
    scores = backend.streams("ru")[0].score_batch(backend.encode(sources), words)
    for score, loss in zip(scores, expected.tolist(), strict=True):
        assert sum(score.log_probs) == pytest.approx(-loss, abs=1e-3)


def test_a_conversion_is_made_once(small_mt5: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small_mt5)
    fast(generator, tokenizer, sampling(), tmp_path).streams("ru")
    (file,) = tmp_path.glob("*/shard-00000/model.bin")
    changed = file.stat().st_mtime_ns
    fast(generator, tokenizer, sampling(), tmp_path).streams("fi")
    assert file.stat().st_mtime_ns == changed
    content = bytearray(file.read_bytes())
    content[-9] ^= 64
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.bin is damaged: its SHA-256 differs"):
        fast(generator, tokenizer, sampling(), tmp_path).streams("fi")


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"top_k": -1}, "top_k must be at least 0, got -1"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"vocabulary": "half"}, "vocabulary must be full or language, got half"),
    ],
)
def test_options_that_cannot_be_are_refused(other: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        sampling(**other)
