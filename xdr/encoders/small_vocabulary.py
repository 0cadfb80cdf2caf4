"""Vocabularies for the small models, the same on every machine: SentencePiece's trainer is deterministic, the WordPiece
trainer of `tokenizers` is not, so word pieces are made from the unigram ones."""

import io
from collections.abc import Sequence

import sentencepiece


def train_unigram(texts: Sequence[str], size: int) -> list[tuple[str, float]]:
    """Pieces and their log-probabilities, without special ones; every character of `texts` is among them."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=size,
        hard_vocab_limit=False,  # few texts have fewer pieces
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


def word_pieces(pieces: Sequence[tuple[str, float]]) -> list[str]:
    """`▁word` becomes `word`, what goes on inside a word becomes `##piece`, and every character becomes both."""
    found: dict[str, None] = {}
    for piece, _ in pieces:
        whole = piece.removeprefix("▁")
        for form in (whole, f"##{whole}") if len(whole) == 1 else (whole if piece[0] == "▁" else f"##{whole}",):
            if whole:
                found[form] = None
    return list(found)
