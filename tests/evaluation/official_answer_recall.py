"""XOR-TyDi's `eval_xor_retrieve.py`, transcribed: one budget at a time, every passage tokenised whenever it is ranked."""

from collections.abc import Callable, Sequence

Tokenize = Callable[[str], list[str]]


def official_hit(answers: Sequence[str], contexts: Sequence[str], max_token_num: int, word_tokenize: Tokenize) -> bool | None:
    """None where the script does not count the question."""
    span_answers = []
    for answer in answers:
        if answer not in ["yes", "no"]:
            span_answers.append(answer)
    if len(span_answers) == 0:
        return None

    concat_string_tokens: list[str] = []
    for context in contexts:
        concat_string_tokens += word_tokenize(context)
        if len(concat_string_tokens) >= max_token_num:
            break
    concat_string_tokens = concat_string_tokens[:max_token_num]
    concat_string = " ".join(concat_string_tokens)
    hit = False
    for answer in span_answers:
        if answer in concat_string:
            hit = True
    return hit
