import pytest

from xdr.text.sentences import sentence_breaks, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. Does it? Yes! So…", ["It rains.", "Does it?", "Yes!", "So…"]),
        ("J. S. Bach lived in Leipzig. He wrote 3.5 pages.", ["J. S. Bach lived in Leipzig.", "He wrote 3.5 pages."]),
        ('He asked Dr. Ng: "Why?" She left.', ['He asked Dr. Ng: "Why?"', "She left."]),
        ("About 5 p.m. they met. 12 came.", ["About 5 p.m. they met.", "12 came."]),
        ("雨が降る。本当？「はい。」そうか", ["雨が降る。", "本当？", "「はい。」", "そうか"]),
        ("هل تمطر؟ نعم. كثيرا", ["هل تمطر؟", "نعم.", "كثيرا"]),
        ("वर्षा होती है। क्या सच? हाँ।", ["वर्षा होती है।", "क्या सच?", "हाँ।"]),
        ("ฝนตก หนักมาก วันนี้", ["ฝนตก หนักมาก วันนี้"]),
        ("ዝናብ ነው። እውነት?", ["ዝናብ ነው።", "እውነት?"]),
        ("no end", ["no end"]),
        ("  ", []),
    ],
)
def test_sentences_end_as_their_script_ends_them(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_breaks_are_the_places_of_the_sentences_in_the_text() -> None:
    text = " It rains.  Does it? Yes \n"
    assert sentence_breaks(text) == [(0, 12), (12, 21), (21, 26)]
    assert sentence_breaks("It rains. ") == [(0, 10)]
