from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForSeq2SeqLM, T5Config, T5ForConditionalGeneration

from tests.encoders.conftest import TEXTS
from xdr.errors import UserError
from xdr.generators.generator_folder import (
    fingerprint_generator,
    load_generator,
    open_generator,
    save_generator,
    save_without_weights,
)
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator, choose_language_tokens, token_losses
from xdr.generators.settings import Task
from xdr.text.identification import train_identifier
from xdr.text.prompts import PromptTemplate
from xdr.text.records import Passage

TASK = Task("query_from_passage", "prompt", 24, 16, ("fi", "ru"))
AT_DECODER = Task("query_from_passage", "decoder", 24, 16, ("fi", "ru"))


def loaded(path: Path, task: Task = TASK) -> tuple[QueryGenerator, GeneratorTokenizer]:
    generator, tokenizer = load_generator(str(path), task)
    return generator.eval(), tokenizer


def test_the_loss_is_hugging_faces_own(small_mt5: Path) -> None:
    generator, tokenizer = loaded(small_mt5)
    sources, _ = tokenizer.sources(TEXTS)
    targets = tokenizer.targets(TEXTS[::-1])
    losses_B, counts_B = token_losses(*generator(sources, targets, tokenizer.first_tokens(["fi"] * len(TEXTS))))
    tokens = tokenizer.huggingface(TEXTS, padding=True, truncation=True, max_length=24, return_tensors="pt")
    labels = tokenizer.huggingface(TEXTS[::-1], padding=True, truncation=False, return_tensors="pt").input_ids[:, :16]
    labels = labels.masked_fill(labels == tokenizer.huggingface.pad_token_id, -100)
    theirs = AutoModelForSeq2SeqLM.from_pretrained(small_mt5)(**tokens, labels=labels).loss
    torch.testing.assert_close(losses_B.sum() / counts_B.sum(), theirs)


def test_a_language_at_the_decoder_is_given_and_not_learned(small_mt5: Path) -> None:
    generator, tokenizer = loaded(small_mt5, AT_DECODER)
    sources, _ = tokenizer.sources(TEXTS[:1])
    targets = tokenizer.targets(TEXTS[1:2])
    (token,) = tokenizer.first_tokens(["ru"]).tolist()  # type: ignore[union-attr]  # it is there
    logits_BLV, labels_BL = generator(sources, targets, tokenizer.first_tokens(["ru"]))
    wanted = tokenizer.huggingface(TEXTS[1]).input_ids[:16]
    assert labels_BL.tolist() == [[-100, *wanted]]
    theirs = generator.model(input_ids=sources.ids_T[None], decoder_input_ids=torch.tensor([[0, token, *wanted[:-1]]])).logits
    torch.testing.assert_close(logits_BLV, theirs)


def test_label_smoothing_is_that_of_torch() -> None:
    logits_BLV = torch.randn(2, 3, 5)
    labels_BL = torch.tensor([[1, 2, -100], [4, -100, -100]])
    losses_B, counts_B = token_losses(logits_BLV, labels_BL, smoothing=0.2)
    theirs = F.cross_entropy(logits_BLV.flatten(0, 1), labels_BL.flatten(), ignore_index=-100, label_smoothing=0.2)
    torch.testing.assert_close(losses_B.sum() / counts_B.sum(), theirs)
    assert counts_B.tolist() == [2, 1]


def test_a_text_that_is_too_long_is_cut_and_a_cut_is_no_end(small_mt5: Path) -> None:
    _, tokenizer = loaded(small_mt5)
    long = " ".join(TEXTS)
    end = tokenizer.huggingface.eos_token_id
    sources, cut = tokenizer.sources([long, "a"])
    assert sources.lengths_B.tolist()[0] == 24 and cut.tolist() == [True, False]
    assert sources.ids_T[23] == end, "a prompt ends, as Hugging Face's truncation leaves it"
    targets = tokenizer.targets([long, "a"])
    assert targets.lengths_B.tolist()[0] == 16 and end not in targets.ids_T[:16] and targets.ids_T[-1] == end


def test_each_language_has_a_token_of_its_own(small_mt5: Path) -> None:
    _, tokenizer = loaded(small_mt5)
    tokens = choose_language_tokens(tokenizer.huggingface, ["fi", "ru", "te", "ar"])
    assert len(set(tokens.values())) == 4
    assert tokens == choose_language_tokens(tokenizer.huggingface, ["ar", "te", "ru", "fi"])


def test_a_saved_generator_is_the_same_and_keeps_its_head(small_mt5: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small_mt5, AT_DECODER)
    identifier = train_identifier({"fi": ["missä"], "ru": ["где"]})
    save_generator(generator, tokenizer, identifier, tmp_path / "g")
    again, its_tokenizer, its_identifier = open_generator(str(tmp_path / "g"), Task("passage_from_query", "prompt", 24, 16))
    assert its_tokenizer.task == tokenizer.task, "the folder knows what it learned"
    assert its_tokenizer.language_tokens == tokenizer.language_tokens
    assert its_identifier is not None and its_identifier.languages == ("fi", "ru")
    assert fingerprint_generator(again, its_tokenizer) == fingerprint_generator(generator, tokenizer)
    assert not torch.equal(again.model.lm_head.weight, again.model.shared.weight)
    theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "g")
    assert torch.equal(theirs.lm_head.weight, generator.model.lm_head.weight)


def test_a_prompt_of_ones_own_is_recorded_and_another_one_can_be_asked(small_mt5: Path, tmp_path: Path) -> None:
    own, other = PromptTemplate("{passage} {language}?"), PromptTemplate("{language}: {text}")
    generator, tokenizer = loaded(small_mt5, replace(TASK, prompt=own))
    assert tokenizer.prompt(Passage("1", "Saimaa", "A lake."), "fi") == "Saimaa A lake. Finnish?"
    published = replace(tokenizer, task=TASK)
    assert fingerprint_generator(generator, tokenizer) != fingerprint_generator(generator, published)
    save_generator(generator, tokenizer, None, tmp_path / "g")
    assert open_generator(str(tmp_path / "g"), TASK)[1].task.template == own
    assert open_generator(str(tmp_path / "g"), replace(TASK, prompt=other))[1].task.template == other


def test_other_weights_have_another_fingerprint(small_mt5: Path) -> None:
    generator, tokenizer = loaded(small_mt5)
    before = fingerprint_generator(generator, tokenizer)
    with torch.no_grad():
        generator.model.lm_head.weight[3, 3] += 1e-3
    assert fingerprint_generator(generator, tokenizer) != before


def test_a_checkpoint_is_opened_with_what_stands_beside_it(small_mt5: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small_mt5)
    save_without_weights(generator, tokenizer, None, tmp_path / "model")
    state = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "step-1.ckpt")
    again, its_tokenizer, _ = open_generator(str(tmp_path / "step-1.ckpt"), Task("query_from_passage", "prompt", 99, 9))
    assert its_tokenizer.task == Task("query_from_passage", "prompt", 99, 9, ("fi", "ru"))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in generator.state_dict().items())


def test_a_tied_t5_stays_tied(small_mt5: Path, tmp_path: Path) -> None:
    _, tokenizer = loaded(small_mt5)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    tied = QueryGenerator(T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer.huggingface), **sizes)))
    save_generator(tied, tokenizer, None, tmp_path / "t5")
    save_without_weights(tied, tokenizer, None, tmp_path / "model")
    torch.save({"state_dict": {f"generator.{k}": v for k, v in tied.state_dict().items()}}, tmp_path / "step-1.ckpt")
    for name in ("t5", "step-1.ckpt"):
        again, *_ = open_generator(str(tmp_path / name), TASK)
        assert again.model.lm_head.weight is again.model.shared.weight
        assert torch.equal(again.model.shared.weight, tied.model.shared.weight)


def test_a_folder_of_another_family_is_refused(small_models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="must be of the T5 family .*, got bert"):
        load_generator(str(small_models["bert"]), TASK)


def test_what_a_generator_did_not_learn_is_refused(small_mt5: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small_mt5)
    save_generator(generator, tokenizer, None, tmp_path / "g")
    with pytest.raises(UserError, match="direction must be query_from_passage"):
        load_generator(str(tmp_path / "g"), Task("passage_from_query", "prompt", 24, 16, ("en",)))
    with pytest.raises(
        UserError,
        match="of the generator .fi ru., got te. Set .*languages, or train a generator with questions in te",
    ):
        tokenizer.task.require_languages(("fi", "te"))
    with pytest.raises(UserError, match="prompt must contain .language. with several languages"):
        replace(TASK, prompt=PromptTemplate("{passage}")).require_languages(("fi", "ru"))
    with pytest.raises(UserError, match="path must be a model folder or a hub name"):
        load_generator(str(tmp_path / "nothing"), TASK)
