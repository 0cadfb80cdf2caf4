from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from tests.small_causal import SIZES, build_small_causal
from xdr.errors import UserError
from xdr.generators.causal_generator import CausalGenerator, CausalTokenizer
from xdr.generators.generator import Request
from xdr.generators.generator_folder import (
    fingerprint_generator,
    load_generator,
    open_generator,
    save_generator,
    save_without_weights,
)
from xdr.generators.models import CausalLanguageModel
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.prompts import PromptTemplate
from xdr.text.records import Passage
from xdr.writing.backends import CTranslate2, HuggingFace, Wanted
from xdr.writing.causal_writer import CausalWriter

TEMPLATE = PromptTemplate("Passage: {passage}\nQuestion in {language}:")
TASK = Task("query_from_passage", "prompt", 80, 12, ("fi", "ru"), TEMPLATE)
LAKE = Passage("1", "", "Saimaa is a lake.")
RIVER = Passage("2", "Volga", "The Volga flows through Russia into the Caspian Sea.")
GREEDY = Sampling(1, 1.0, 1.0, 12)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small_causal(tmp_path_factory.mktemp("causal") / "model")


def loaded(path: Path, task: Task = TASK) -> tuple[CausalGenerator, CausalTokenizer]:
    generator, tokenizer = load_generator(str(path), task)
    return generator.eval(), tokenizer


def settings(budget: int = 1000, number: int = 1) -> GenerationSettings:
    return GenerationSettings(("fi", "ru"), number, 80, 0, budget, 0)


def asked(*sources: Passage, number: int = 1) -> list[Request]:
    return [Request(TEMPLATE, source, language, number) for source in sources for language in ("fi", "ru")]


def texts_of(tokenizer: CausalTokenizer, ids: list[int]) -> str:
    text: str = tokenizer.huggingface.decode(ids)
    return text


def test_a_prompt_that_is_too_long_keeps_what_follows_the_passage(small: Path) -> None:
    _, tokenizer = loaded(small)
    ids, truncated = tokenizer.prompt_ids(Request(TEMPLATE, LAKE, "fi", 1), 80)
    assert (texts_of(tokenizer, ids), truncated) == ("<bos>Passage: Saimaa is a lake.\nQuestion in Finnish:", False)
    ids, truncated = tokenizer.prompt_ids(Request(TEMPLATE, LAKE, "fi", 1), 40)
    assert (texts_of(tokenizer, ids), truncated, len(ids)) == ("<bos>Passage: Saimaa is\nQuestion in Finnish:", True, 40)
    with pytest.raises(
        UserError, match="input_length must be above 21, the tokens that the prompt has after its source, got 20"
    ):
        tokenizer.prompt_ids(Request(TEMPLATE, LAKE, "fi", 1), 20)


def test_a_text_is_one_line_and_ends_unless_it_is_too_long(small: Path) -> None:
    _, tokenizer = loaded(small)
    assert texts_of(tokenizer, tokenizer.target_ids("Missä se on?", "in Finnish:")) == " Missä se o"
    assert texts_of(tokenizer, tokenizer.target_ids("Où\n?", "in French:")) == " Où ?<eos>"
    assert texts_of(tokenizer, tokenizer.target_ids("Où?", "French:\n")) == "Où?<eos>"


def test_questions_about_a_passage_are_learned_in_one_sequence(small: Path) -> None:
    _, tokenizer = loaded(small)
    packed = tokenizer.training_inputs([LAKE, RIVER, LAKE], ["fi", "fi", "ru"], ["Missä?", "Mikä?", "Где?"])
    lake, river = packed.ids_SL
    expected = "<bos>Passage: Saimaa is a lake.\nQuestion in Finnish: Missä?Russian: Где?"
    assert texts_of(tokenizer, lake.tolist()).startswith(expected)
    assert texts_of(tokenizer, river.tolist()).startswith("<bos>Passage: Volga The Volga flows through")
    labels = torch.split(packed.labels_N, packed.counts_B.tolist())
    assert [texts_of(tokenizer, part.tolist()) for part in labels] == [" Missä?<eos>", " Mikä?<eos>", " Где?<eos>"]


def test_the_most_probable_texts_are_those_of_one_prompt_without_padding(small: Path) -> None:
    generator, tokenizer = loaded(small)
    requests = asked(LAKE, RIVER)
    replies = dict(CausalWriter(generator, tokenizer, GREEDY, settings()).write(requests))
    for place, request in enumerate(requests):
        ids, truncated = tokenizer.prompt_ids(request, 80)
        output = generator.model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12, pad_token_id=0)[
            0, len(ids) :
        ]
        expected = tokenizer.huggingface.decode(output, skip_special_tokens=True).split("\n")[0].strip()
        assert [text.text for text in replies[place].texts] == [expected]
        assert (replies[place].num_prompt_tokens, replies[place].truncated) == (len(ids), truncated)


def test_batches_do_not_change_the_most_probable_texts(small: Path) -> None:
    generator, tokenizer = loaded(small)
    together, alone = (
        dict(CausalWriter(generator, tokenizer, GREEDY, settings(budget)).write(asked(LAKE, RIVER))) for budget in (10_000, 1)
    )
    assert together == alone


def always(generator: CausalGenerator, *tokens: int) -> None:
    """Makes the model write these tokens in turn, by the position alone."""
    original = generator.language_model.forward

    def forward(*arguments: Any, **values: Any) -> Any:
        output = original(*arguments, **values)
        output.logits.fill_(-100)
        output.logits[..., tokens[calls[0] % len(tokens)]] = 100
        calls[0] += 1
        return output

    calls = [0]
    generator.language_model.forward = forward


@pytest.mark.parametrize(
    ("written", "text", "num_tokens", "ended"),
    [("ab<eos>", "ab", 2, True), ("ab\n", "ab", 2, True), ("abc", "abcabcabcabc", 12, False)],
)
def test_a_text_ends_with_the_end_token_or_its_line(small: Path, written: str, text: str, num_tokens: int, ended: bool) -> None:
    generator, tokenizer = loaded(small)
    always(generator, *tokenizer.huggingface(written, add_special_tokens=False).input_ids)
    ((_, reply),) = CausalWriter(generator, tokenizer, GREEDY, settings()).write([Request(TEMPLATE, LAKE, "fi", 2)])
    assert reply.texts == [(text, num_tokens, ended)] * 2


def test_the_same_seed_draws_the_same_texts_and_another_seed_others(small: Path) -> None:
    generator, tokenizer = loaded(small)
    drawn = []
    for seed in (1, 1, 2):
        writer = CausalWriter(generator, tokenizer, Sampling(0, 0.9, 1.5, 12), settings(number=3))
        writer.begin(seed)
        drawn.append(dict(writer.write(asked(LAKE, number=3))))
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0][0].texts) == 3


def test_what_a_folder_says_about_sampling_does_not_count(small: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small)
    generator.model.generation_config.repetition_penalty = 50.0
    save_generator(generator, tokenizer, None, tmp_path / "g")
    again, _ = loaded(tmp_path / "g")
    assert again.model.generation_config.repetition_penalty in (None, 1.0)
    assert again.model.generation_config.eos_token_id == 1


def test_a_saved_generator_is_the_same_for_others_too(small: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small)
    save_generator(generator, tokenizer, None, tmp_path / "g")
    again, its_tokenizer, _ = open_generator(str(tmp_path / "g"), Task("passage_from_query", "prompt", 70, 9))
    assert its_tokenizer.task == replace(TASK, input_length=70, output_length=9), "the folder knows its task and its prompt"
    assert fingerprint_generator(again, its_tokenizer) == fingerprint_generator(
        generator, replace(tokenizer, task=its_tokenizer.task)
    )
    ids = torch.tensor([[2, 10, 11, 12]])
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "g")
    assert torch.equal(theirs(ids).logits, generator.model(ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path / "g")("a").input_ids == tokenizer.huggingface("a").input_ids


def test_low_rank_updates_are_merged_into_what_is_saved(small: Path, tmp_path: Path) -> None:
    generator, tokenizer = causal(small, lora_rank=2)
    trained = [name for name, value in generator.named_parameters() if value.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    for name, value in generator.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    save_generator(generator, tokenizer, None, tmp_path / "g")
    ids = torch.tensor([[2, 10, 11, 12]])
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "g")
    torch.testing.assert_close(theirs(ids).logits, generator.eval().model(ids).logits, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(theirs(ids).logits, loaded(small)[0].model(ids).logits, atol=1e-2)


def causal(path: Path, **changes: Any) -> tuple[CausalGenerator, CausalTokenizer]:
    values = {
        "path": str(path),
        "direction": "query_from_passage",
        "input_length": 80,
        "output_length": 12,
        "prompt": TEMPLATE.text,
        "lora_rank": 0,
        "lora_targets": None,
        "gradient_checkpointing": False,
    }
    model = CausalLanguageModel(**{**values, **changes})
    return model.build(model.task, Path("unused"), 0, [])


def test_a_checkpoint_is_opened_with_what_stands_beside_it(small: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small)
    save_without_weights(generator, tokenizer, None, tmp_path / "model")
    state = {f"generator.{name}": value for name, value in generator.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "step-1.ckpt")
    again, its_tokenizer, _ = open_generator(str(tmp_path / "step-1.ckpt"), TASK)
    assert its_tokenizer.task == TASK
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in generator.state_dict().items())
    adapted, _ = causal(small, lora_rank=2)
    torch.save({"state_dict": {f"generator.{k}": v for k, v in adapted.state_dict().items()}}, tmp_path / "step-2.ckpt")
    with pytest.raises(UserError, match="checkpoint must hold the weights of a whole generator, got .*low-rank updates"):
        open_generator(str(tmp_path / "step-2.ckpt"), TASK)


def test_a_tokenizer_without_padding_pads_with_its_end_token(tmp_path: Path) -> None:
    folder = build_small_causal(tmp_path / "llama", config=LlamaConfig(**SIZES))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    generator, ours = loaded(folder)
    assert ours.huggingface.pad_token_id == 1
    assert len(dict(CausalWriter(generator, ours, GREEDY, settings()).write(asked(LAKE, RIVER)))) == 4


def test_what_a_causal_model_cannot_do_is_refused(small: Path, small_mt5: Path, tmp_path: Path) -> None:
    generator, tokenizer = loaded(small)
    with pytest.raises(UserError, match="vocabulary must be full for a causal language model, got language"):
        CausalWriter(generator, tokenizer, replace(GREEDY, vocabulary="language"), settings())
    with pytest.raises(UserError, match="language_at must be prompt for a causal language model, got decoder"):
        loaded(small, Task("query_from_passage", "decoder", 80, 12))
    with pytest.raises(UserError, match="path must be a causal language model, got one of the T5 family"):
        causal(small_mt5)
    with pytest.raises(UserError, match="lora_rank must be at least 0, got -1"):
        causal(small, lora_rank=-1)
    with pytest.raises(UserError, match="prompt must contain {query} with direction=passage_from_query"):
        causal(small, direction="passage_from_query")
    wanted = Wanted(str(small), TASK, GREEDY, settings(), "32-true", tmp_path)
    with pytest.raises(UserError, match="backend must be huggingface or openai for a causal language model, got ctranslate2"):
        CTranslate2("int8").load(wanted)
    assert HuggingFace().load(wanted).task.prompt == TEMPLATE
