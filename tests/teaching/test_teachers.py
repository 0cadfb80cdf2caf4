"""Scores of pairs beside those of sentence-transformers, and of plain loops over models of transformers."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, BertForSequenceClassification

from tests.encoders.conftest import TEXTS
from tests.small_causal import build_small_causal
from xdr.encoders.encoder import load_encoder
from xdr.errors import UserError
from xdr.generators.packed_texts import PackedTexts
from xdr.teaching.teacher import LoadedTeacher, Teacher
from xdr.teaching.teachers import CrossEncoderTeacher, EncoderTeacher, GeneratorTeacher
from xdr.text.prompts import passage_text
from xdr.text.records import Passage, Query

PASSAGES = [Passage(str(i), "Lake" if i % 2 else "", text) for i, text in enumerate(TEXTS)]
QUERIES = [Query(str(i), text, language) for i, (text, language) in enumerate([("Missä?", "fi"), ("Где течёт Волга?", "ru")])]
QUERIES += [Query("2", "How high is Mount Fuji, which stands in Japan?", "en"), Query("3", "Mikä joki?", "fi")]
PAIRS = [(query, passage) for query in QUERIES for passage in PASSAGES]
random.Random(0).shuffle(PAIRS)
SOME = PAIRS[:6] + [(query, PASSAGES[4]) for query in QUERIES]
PROMPT = "Passage: {passage}\nQuestion in {language}:"
CPU = torch.device("cpu")


def scores(teacher: Teacher, pairs: list[tuple[Query, Passage]] = PAIRS) -> list[float]:
    return teacher.score([query for query, _ in pairs], [passage for _, passage in pairs])


def encoder(path: Path, pooling: str | None = "mean") -> LoadedTeacher:
    return EncoderTeacher(str(path), pooling, True, 16, 24, "query: ", None, None, None, 200).load("32-true")


def cross_encoder(path: Path, label: str | int | None = None, length: int = 40, budget: int = 150) -> LoadedTeacher:
    return CrossEncoderTeacher(str(path), label, length, budget).load("32-true")


def generator(path: Path, end_token: bool = True, budget: int = 300, **settings: Any) -> LoadedTeacher:
    given = {"prompt": PROMPT, "language_at": "prompt", "input_length": 256, "output_length": 64, **settings}
    return GeneratorTeacher(str(path), end_token=end_token, tokens_per_batch=budget, **given).load("32-true")


@pytest.fixture(scope="module", params=[1, 3])
def classifier(request: pytest.FixtureRequest, small_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one label, or with three."""
    folder = tmp_path_factory.mktemp("classifier") / str(request.param)
    torch.manual_seed(2)
    names = {"id2label": {0: "no", 1: "maybe", 2: "yes"}} if request.param == 3 else {"num_labels": 1}
    model = BertForSequenceClassification.from_pretrained(small_models["bert"], **names)
    torch.nn.init.normal_(model.classifier.weight, std=0.3)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(small_models["bert"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def small_causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small_causal(tmp_path_factory.mktemp("causal") / "model")


def test_an_encoder_s_scores_are_the_products_of_its_vectors(small_models: dict[str, Path]) -> None:
    own = load_encoder(
        str(small_models["bert"]), pooling="mean", normalize=True, query_length=16, passage_length=24, query_prefix="query: "
    )
    queries_QD, passages_PD = own.encode_queries([query.text for query in QUERIES]), own.encode_passages(PASSAGES)
    expected = [float(queries_QD[int(query.query_id)] @ passages_PD[int(passage.passage_id)]) for query, passage in PAIRS]
    assert scores(encoder(small_models["bert"]).on(CPU)) == pytest.approx(expected, abs=1e-6)


def test_a_cross_encoder_scores_as_sentence_transformers_does(classifier: Path) -> None:
    theirs = CrossEncoder(str(classifier), max_length=40, device="cpu")
    pairs = [(query.text, passage_text(passage)) for query, passage in PAIRS]
    expected = theirs.predict(pairs, activation_fn=torch.nn.Identity(), convert_to_numpy=True)
    if expected.ndim == 1:
        assert scores(cross_encoder(classifier).on(CPU)) == pytest.approx(expected.tolist(), abs=1e-5)
        return
    for number, name in enumerate(("no", "maybe", "yes")):
        for label in (number, name):
            assert scores(cross_encoder(classifier, label).on(CPU)) == pytest.approx(expected[:, number].tolist(), abs=1e-5)


def test_a_pair_that_is_too_long_is_cut_from_the_longer_text(classifier: Path) -> None:
    label = None if classifier.name == "1" else "yes"
    theirs = CrossEncoder(str(classifier), max_length=12, device="cpu")
    pairs = [(query.text, passage_text(passage)) for query, passage in PAIRS]
    expected = theirs.predict(pairs, activation_fn=torch.nn.Identity(), convert_to_numpy=True).reshape(len(pairs), -1)[:, -1]
    assert scores(cross_encoder(classifier, label, length=12).on(CPU)) == pytest.approx(expected.tolist(), abs=1e-5)


def likelihood(model: Any, inputs: dict[str, torch.Tensor]) -> float:
    with torch.no_grad():
        return -float(model(**inputs).loss)


def prompt_of(query: Query, passage: Passage) -> str:
    language = {"fi": "Finnish", "ru": "Russian", "en": "English"}[query.language]
    return f"Passage: {passage_text(passage)}\nQuestion in {language}:"


@pytest.mark.parametrize("end_token", [True, False])
def test_the_likelihood_of_an_mt5_is_that_of_a_plain_loop(small_mt5: Path, end_token: bool) -> None:
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(small_mt5).eval(), AutoTokenizer.from_pretrained(small_mt5)
    expected = []
    for query, passage in SOME:
        labels = tokenizer(query.text, return_tensors="pt").input_ids
        prompt = tokenizer(prompt_of(query, passage), return_tensors="pt")
        expected.append(likelihood(model, {**prompt, "labels": labels if end_token else labels[:, :-1]}))
    assert scores(generator(small_mt5, end_token).on(CPU), SOME) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("end_token", [True, False])
def test_the_likelihood_of_a_causal_model_is_that_of_a_plain_loop(small_causal: Path, end_token: bool) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(small_causal).eval(), AutoTokenizer.from_pretrained(small_causal)
    expected = []
    for query, passage in SOME:
        prompt = tokenizer(prompt_of(query, passage)).input_ids
        text = tokenizer(" " + query.text, add_special_tokens=False).input_ids + [tokenizer.eos_token_id] * end_token
        ids = torch.tensor([prompt + text])
        labels = torch.tensor([[-100] * len(prompt) + text])
        expected.append(likelihood(model, {"input_ids": ids, "labels": labels}))
    assert scores(generator(small_causal, end_token).on(CPU), SOME) == pytest.approx(expected, abs=1e-5)


def test_a_causal_model_reads_a_passage_once_for_its_queries(small_causal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = generator(small_causal, budget=100_000).on(CPU)
    read: list[PackedTexts] = []
    losses = teacher.generator.losses  # type: ignore[attr-defined]  # of the class
    monkeypatch.setattr(teacher.generator, "losses", lambda texts, objective: (read.append(texts), losses(texts, objective))[1])  # type: ignore[attr-defined]
    same_language = [(Query(str(i), text, "fi"), passage) for passage in PASSAGES[:2] for i, text in enumerate(TEXTS[:3])]
    scores(teacher, same_language)
    assert [len(texts.ids_SL) for texts in read] == [2]
    assert read[0].counts_B.shape == (6,)


def test_an_mt5_s_encoder_reads_a_passage_once_for_its_queries(small_mt5: Path) -> None:
    teacher = generator(small_mt5, budget=100_000).on(CPU)
    read: list[int] = []
    encoder = teacher.generator.model.get_encoder()  # type: ignore[attr-defined]  # of the class
    encoder.register_forward_hook(lambda module, inputs, output: read.append(len(output.last_hidden_state)))
    same_language = [(Query(str(i), text, "fi"), passage) for passage in PASSAGES[:2] for i, text in enumerate(TEXTS[:3])]
    scores(teacher, same_language)
    assert read == [2]


def test_scores_do_not_depend_on_the_batches(small_mt5: Path, small_causal: Path) -> None:
    for path in (small_mt5, small_causal):
        few, many = (scores(generator(path, budget=budget).on(CPU), SOME) for budget in (1, 4000))
        assert few == pytest.approx(many, abs=1e-5)


def test_the_fingerprint_follows_model_and_settings(small_models: dict[str, Path], small_mt5: Path, classifier: Path) -> None:
    label = None if classifier.name == "1" else "yes"
    prints = [
        encoder(small_models["bert"]).fingerprint,
        encoder(small_models["xlm-roberta"]).fingerprint,
        cross_encoder(classifier, label).fingerprint,
        cross_encoder(classifier, label, length=41).fingerprint,
        generator(small_mt5).fingerprint,
        generator(small_mt5, end_token=False).fingerprint,
        generator(small_mt5, prompt="{passage} {language}").fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert encoder(small_models["bert"]).fingerprint == prints[0]
    assert cross_encoder(classifier, label).fingerprint == prints[2]


def test_a_teacher_that_cannot_be_is_refused_in_a_sentence(
    small_models: dict[str, Path], small_mt5: Path, classifier: Path
) -> None:
    bert = small_models["bert"]
    with pytest.raises(UserError, match=r"path must be a sequence classifier, got .*, whose files lack bert.pooler.dense.bias"):
        cross_encoder(bert)
    with pytest.raises(UserError, match="length must be at most 512, the positions of the model, got 513"):
        cross_encoder(classifier, length=513)
    if classifier.name == "3":
        with pytest.raises(UserError, match="label must be one of no, maybe, yes, the model's labels, got null"):
            cross_encoder(classifier)
        with pytest.raises(UserError, match="got 'yess'; did you mean 'yes'"):
            cross_encoder(classifier, "yess")
    with pytest.raises(UserError, match="pooling must be given for a plain backbone"):
        encoder(bert, pooling=None)
    with pytest.raises(UserError, match="trainer.precision=16 overflows in the T5 family"):
        GeneratorTeacher(str(small_mt5), PROMPT, "prompt", 64, 16, True, 100).load("16-mixed")
    with pytest.raises(UserError, match="tokens_per_batch must be at least 1, got 0"):
        generator(small_mt5, budget=0)
    with pytest.raises(UserError, match="a generator must be of the T5 family"):
        generator(bert)
