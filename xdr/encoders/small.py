"""Small BERT and XLM-R models with random weights and a vocabulary learned from given texts, for tests and the demo.

They are saved in Hugging Face's layout; equal seeds give equal files.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

from xdr.storage.files import creating_folder
from xdr.text.small_vocabulary import train_unigram, word_pieces

VOCABULARY = 6000
"""About the smallest size at which the sample's eight scripts have whole words."""


def build_small_bert(
    texts: Sequence[str], folder: Path, *, seed: int, hidden: int = 128, layers: int = 4, dropout: float = 0.1
) -> Path:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: number for number, token in enumerate(special + word_pieces(train_unigram(texts, VOCABULARY)))}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=False)
    sizes = _sizes(hidden, layers, dropout)
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=512, type_vocab_size=2, **sizes)
    return save_seeded(lambda: BertModel(config, add_pooling_layer=False), tokenizer, folder, seed)


def build_small_xlm_roberta(
    texts: Sequence[str], folder: Path, *, seed: int, hidden: int = 128, layers: int = 4, dropout: float = 0.1
) -> Path:
    unigrams = train_unigram(texts, VOCABULARY)
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = XLMRobertaTokenizer(vocab=[*special, *unigrams, ("<mask>", 0.0)])
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **_sizes(hidden, layers, dropout),
    )
    return save_seeded(lambda: XLMRobertaModel(config, add_pooling_layer=False), tokenizer, folder, seed)


def _sizes(hidden: int, layers: int, dropout: float) -> dict[str, Any]:
    widths = {"hidden_size": hidden, "intermediate_size": 4 * hidden, "num_attention_heads": hidden // 32}
    return {**widths, "num_hidden_layers": layers, "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}


BUILDERS: dict[str, Callable[..., Path]] = {"bert": build_small_bert, "xlm-roberta": build_small_xlm_roberta}


def save_seeded(build: Callable[[], Any], tokenizer: Any, folder: Path, seed: int) -> Path:
    """Builds the model with this seed, and writes it with its tokenizer. Returns the folder. Other processes see it whole."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    with creating_folder(folder) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return folder
