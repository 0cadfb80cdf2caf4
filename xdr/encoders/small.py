"""Small BERT, XLM-R and mT5 models with random weights and a vocabulary learned from given texts, for tests and the demo.

They are saved in Hugging Face's layout; equal seeds give equal files. As in google/mt5-*, the mT5's head is not tied to its
embedding.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Tokenizer,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

from xdr.encoders.small_vocabulary import train_unigram, word_pieces

VOCABULARY = 6000
"""About the smallest size at which the sample's eight scripts have whole words."""


def build_small_bert(
    texts: Sequence[str], folder: Path, *, seed: int, hidden: int = 128, layers: int = 4, dropout: float = 0.1
) -> Path:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: number for number, token in enumerate(special + word_pieces(train_unigram(texts, VOCABULARY)))}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=False)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden,
        max_position_embeddings=512,
        type_vocab_size=2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return _save(lambda: BertModel(config, add_pooling_layer=False), tokenizer, folder, seed)


def build_small_xlm_roberta(
    texts: Sequence[str], folder: Path, *, seed: int, hidden: int = 128, layers: int = 4, dropout: float = 0.1
) -> Path:
    unigrams = train_unigram(texts, VOCABULARY)
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = XLMRobertaTokenizer(vocab=[*special, *unigrams, ("<mask>", 0.0)])
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    return _save(lambda: XLMRobertaModel(config, add_pooling_layer=False), tokenizer, folder, seed)


BUILDERS: dict[str, Callable[..., Path]] = {"bert": build_small_bert, "xlm-roberta": build_small_xlm_roberta}


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

    return _save(untied, tokenizer, folder, seed)


def _save(build: Callable[[], Any], tokenizer: Any, folder: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
