"""Small decoder-only backbones with random weights, and a tokenizer of bytes, for tests."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

WINDOW = 8
"""Tokens of the sliding windows, which most texts of the tests exceed."""

SIZES: dict[str, Any] = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "pad_token_id": 256,
    "bos_token_id": 257,
    "eos_token_id": 258,
}
WINDOWED: dict[str, Any] = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
CONFIGS: dict[str, Any] = {
    "qwen3": lambda: Qwen3Config(**SIZES),
    "qwen3_windowed": lambda: Qwen3Config(**SIZES, **WINDOWED, use_sliding_window=True),
    "qwen2": lambda: Qwen2Config(**SIZES),
    "gemma": lambda: GemmaConfig(**SIZES),
    "gemma3": lambda: Gemma3TextConfig(**SIZES, **WINDOWED, query_pre_attn_scalar=16),
    "embedding_gemma": lambda: Gemma3TextConfig(
        **SIZES, **WINDOWED, query_pre_attn_scalar=16, use_bidirectional_attention=True
    ),
    "mistral": lambda: MistralConfig(**SIZES, sliding_window=WINDOW),
    "llama": lambda: LlamaConfig(**SIZES),
}


def byte_tokenizer(*, end: bool) -> PreTrainedTokenizerFast:
    """A token a byte. It puts `<bos>` before a text and, with `end`, `<eos>` after it."""
    vocabulary = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    vocabulary |= {token: 256 + number for number, token in enumerate(special)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>" if end else "<bos> $A", special_tokens=[("<bos>", 257), ("<eos>", 258)]
    )
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def build_decoder(name: str, folder: Path, *, end: bool = True) -> Path:
    config = CONFIGS[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = AutoModel.from_config(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(folder)
    byte_tokenizer(end=end).save_pretrained(folder)
    return folder
