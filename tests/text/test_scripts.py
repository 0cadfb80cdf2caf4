import pytest

from xdr.text.scripts import count_scripts, script_of, share_in_script


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("متى تأسست المدينة؟", "ar"),
        ("নদীটির দৈর্ঘ্য কত?", "bn"),
        ("Missä järvi sijaitsee?", "fi"),
        ("富士山の高さはどのくらいですか。", "ja"),
        ("カーリングは？", "ja"),
        ("김치는 언제 담가요?", "ko"),
        ("Когда построили мост?", "ru"),
        ("తాజ్ మహల్ ఎక్కడ ఉంది?", "te"),
        ("แม่น้ำยาวเท่าไร", "th"),
        ("नदी कहाँ है?", "hi"),
        ("Πού βρίσκεται;", "el"),
    ],
)
def test_a_sentence_is_wholly_in_its_own_script(text: str, language: str) -> None:
    assert share_in_script(text, language) == 1.0


def test_letters_of_another_script_count_against_a_text() -> None:
    assert share_in_script("где NASA", "ru") == pytest.approx(3 / 7)


def test_digits_and_punctuation_belong_to_no_script() -> None:
    assert [script_of(character) for character in "1٣৩。?! "] == [None] * 7
    assert share_in_script("1969?", "ru") == 0.0


def test_vowel_signs_belong_to_their_script() -> None:
    assert count_scripts("తా") == {"TELUGU": 2}
    assert count_scripts("ｶﾞ") == {"KATAKANA": 1} or count_scripts("ｶﾞ") == {"KATAKANA": 2}
