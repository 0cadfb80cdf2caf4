"""A small mT5 with random weights and a vocabulary learned from given texts, for tests and the demo.

As in google/mt5-*, the head is not tied to the embedding.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import MT5Config, MT5ForConditionalGeneration, T5Tokenizer

from xdr.encoders.small import VOCABULARY, save_seeded
from xdr.text.small_vocabulary import train_unigram


def build_small_mt5(texts: Sequence[str], folder: Path, *, seed: int, hidden: int = 128, layers: int = 3) -> Path:
    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
    tokenizer = T5Tokenizer(vocab=[*special, *train_unigram(texts, VOCABULARY)], extra_ids=0)
    config = MT5Config(
        vocab_size=len(tokenizer),
        d_model=hidden,
        d_kv=32,
        d_ff=2 * hidden,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=hidden // 32,
        decoder_start_token_id=0,
    )

    def untied() -> MT5ForConditionalGeneration:
        """transformers ties the head of every new MT5 to the embedding, regardless of its configuration."""
        model = MT5ForConditionalGeneration(config)
        model.lm_head = torch.nn.Linear(hidden, config.vocab_size, bias=False)
        torch.nn.init.normal_(model.lm_head.weight, std=hidden**-0.5)
        return model

    return save_seeded(untied, tokenizer, folder, seed)
