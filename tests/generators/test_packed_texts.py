"""Texts packed behind their prompts, against transformers' own logits for one text at a time."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen3Config,
)

from xdr.errors import UserError
from xdr.generators import sliced_losses
from xdr.generators.causal_generator import CausalGenerator, require_packable
from xdr.generators.packed_texts import pack
from xdr.generators.query_generator import token_losses

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_hidden_layers": 3,
    "pad_token_id": 0,
    "attention_dropout": 0.0,
}
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 4}
CONFIGS = {
    "gemma3": Gemma3TextConfig(**SIZES, **MIXED),
    "gemma2": Gemma2Config(**SIZES, **MIXED, final_logit_softcapping=2.0, attn_logit_softcapping=5.0),
    "qwen3": Qwen3Config(**SIZES),
    "qwen3 with windows": Qwen3Config(**SIZES, use_sliding_window=True, **MIXED),
    "llama": LlamaConfig(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=4),
}
PROMPTS = [[1, 5, 6, 7, 8, 9], [1, 5, 6, 7, 10], [1, 20, 21], [1, 5, 6, 7, 8, 9], [1, 5, 6, 7, 8, 11, 12, 13]]
TARGETS = [[30, 31, 2], [32, 2], [33, 34, 35, 36, 2], [37, 38, 39, 40, 41, 42, 2], [43]]
GROUPS = [[0, 4, 1, 3], [2]]


def model_of(config: PreTrainedConfig) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager" if config.model_type == "gemma2" else "sdpa")


def one_by_one(model: Any, smoothing: float = 0.0) -> Tensor:
    """The loss of each text, with transformers alone."""
    losses = []
    for prompt, target in zip(PROMPTS, TARGETS, strict=True):
        logits_LV = model(input_ids=torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        losses.append(F.cross_entropy(logits_LV, torch.tensor(target), reduction="sum", label_smoothing=smoothing))
    return torch.stack(losses)


def gradients(model: Any, losses_B: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    losses_B.sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("family", CONFIGS)
def test_packed_texts_have_the_gradients_of_one_by_one(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliced_losses, "SLICE", 4)
    model = model_of(CONFIGS[family])
    expected_B = one_by_one(model)
    expected = gradients(model, expected_B)
    losses_B, counts_B = CausalGenerator(model).losses(pack(PROMPTS, TARGETS, GROUPS, 0), token_losses)
    assert counts_B.tolist() == [3, 2, 5, 7, 1]
    torch.testing.assert_close(losses_B, expected_B, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients(model, losses_B).items():
        assert (gradient - expected[name]).norm() <= 1e-5 * expected[name].norm(), name


def test_common_tokens_stand_once_and_each_text_keeps_a_token_of_its_prompt() -> None:
    packed = pack(PROMPTS, TARGETS, GROUPS, 0)
    assert packed.ids_SL[0].tolist() == [
        1,
        5,
        6,
        7,
        *[8, 9, 30, 31],
        *[8, 11, 12, 13],
        *[10, 32],
        *[8, 9, 37, 38, 39, 40, 41, 42],
    ]
    assert packed.positions_SL[0, 4:14].tolist() == [4, 5, 6, 7, 4, 5, 6, 7, 4, 5]
    assert packed.ids_SL[1, :8].tolist() == [1, 20, 21, 33, 34, 35, 36, 0] and packed.owners_SL[1, 7] == -1
    same = pack([[1, 5], [1, 5]], [[30], [31]], [[0, 1]], 0)
    assert same.ids_SL.tolist() == [[1, 5, 5]] and same.places_N.tolist() == [1, 2]


def test_slices_of_logits_do_not_change_a_smoothed_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(CONFIGS["llama"])
    packed, objective = pack(PROMPTS, TARGETS, GROUPS, 0), partial(token_losses, smoothing=0.1)
    torch.testing.assert_close(
        CausalGenerator(model).losses(packed, objective)[0], one_by_one(model, 0.1), rtol=1e-5, atol=1e-5
    )
    seen = []
    monkeypatch.setattr(sliced_losses, "SLICE", 5)
    CausalGenerator(model).losses(packed, lambda logits, labels: (seen.append(len(labels)), token_losses(logits, labels))[1])
    assert seen == [5, 5, 5, 3]


def test_the_weights_of_an_objective_are_trained_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tempered(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, logits_BLV: Tensor, labels_BL: Tensor) -> tuple[Tensor, Tensor]:
            return token_losses(logits_BLV * self.scale, labels_BL)

    model, objective, packed = model_of(CONFIGS["llama"]), Tempered(), pack(PROMPTS, TARGETS, GROUPS, 0)
    found = []
    for size in (1000, 4):
        monkeypatch.setattr(sliced_losses, "SLICE", size)
        objective.scale.grad = None
        (3.0 * CausalGenerator(model).losses(packed, objective)[0].sum()).backward()  # type: ignore[no-untyped-call]  # torch does not type it
        found.append(objective.scale.grad)
    torch.testing.assert_close(*found)
    with pytest.raises(AssertionError, match="all losses must have one weight"):
        CausalGenerator(model).losses(packed, objective)[0][0].backward()  # type: ignore[no-untyped-call]  # torch does not type it


def test_gradient_checkpointing_keeps_the_gradients() -> None:
    model = model_of(CONFIGS["gemma3"])
    packed = pack(PROMPTS, TARGETS, GROUPS, 0)
    plain = gradients(model, CausalGenerator(model).losses(packed, token_losses)[0])
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    again = gradients(model.train(), CausalGenerator(model).losses(packed, token_losses)[0])
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


@pytest.mark.parametrize("family", ["gemma3", "gemma2"])
@pytest.mark.parametrize("precision", ["mixed", "true"])
def test_bf16_gives_the_loss_and_gradients_of_fp32_to_its_rounding(
    family: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliced_losses, "SLICE", 4)
    model, packed = model_of(CONFIGS[family]), pack(PROMPTS, TARGETS, GROUPS, 0)
    expected_B = one_by_one(model)
    expected = gradients(model, expected_B)
    if precision == "true":
        model.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed"):
        losses_B, _ = CausalGenerator(model).losses(packed, token_losses)
    torch.testing.assert_close(losses_B, expected_B, rtol=2e-3, atol=0.0)
    for name, gradient in gradients(model, losses_B).items():
        assert (gradient.float() - expected[name]).norm() < 0.05 * expected[name].norm(), name


def test_a_model_that_cannot_be_packed_is_refused() -> None:
    sizes = {**SIZES, "head_dim": None}
    cohere = model_of(CohereConfig(**{k: v for k, v in sizes.items() if v is not None}, logit_scale=7.0))
    with pytest.raises(UserError, match="path must be a causal model that can be trained with several texts"):
        require_packable(CausalGenerator(cohere), "here")
    mamba = AutoModelForCausalLM.from_config(MambaConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1))
    with pytest.raises(UserError, match="full or sliding attention, got mamba with linear_attention"):
        require_packable(CausalGenerator(mamba), "here")
    require_packable(CausalGenerator(model_of(CONFIGS["gemma3"])), "here")
