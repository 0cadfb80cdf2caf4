"""Vocabularies of the small models, the same on every machine.

SentencePiece's trainer is deterministic and the WordPiece trainer of `tokenizers` is not, so that the WordPiece vocabulary is
made from the unigram one."""

import io
from collections.abc import Sequence

import sentencepiece


def train_unigram(texts: Sequence[str], size: int) -> list[tuple[str, float]]:
    """Tokens and their log-probabilities, without special tokens. Every character of `texts` is a token."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=size,
        hard_vocab_limit=False,  # few texts can give fewer tokens
        character_coverage=1.0,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [(processor.id_to_piece(i), processor.get_score(i)) for i in range(1, processor.get_piece_size())]


def word_pieces(unigrams: Sequence[tuple[str, float]]) -> list[str]:
    """WordPiece's form of unigram tokens: `▁word` becomes `word`, a token inside a word gets `##`, a character gets both."""
    tokens: dict[str, None] = {}
    for unigram, _ in unigrams:
        text = unigram.removeprefix("▁")
        if len(text) == 1:
            tokens |= {text: None, f"##{text}": None}
        elif text:
            tokens[text if unigram[0] == "▁" else f"##{text}"] = None
    return list(tokens)
