import pytest

from xdr.text.identification import LanguageCheck
from xdr.text.scripts import count_scripts, script_of


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
    assert LanguageCheck(None).is_language(text, language, minimum_share=1.0)


def test_letters_of_another_script_count_against_a_text() -> None:
    assert count_scripts("где NASA") == {"CYRILLIC": 3, "LATIN": 4}
    assert [LanguageCheck(None).is_language("где NASA", "ru", share) for share in (3 / 7, 0.43)] == [True, False]


def test_digits_and_punctuation_belong_to_no_script() -> None:
    assert [script_of(character) for character in "1٣৩。?! "] == [None] * 7
    assert not LanguageCheck(None).is_language("1969?", "ru", minimum_share=0.0)


def test_vowel_signs_belong_to_their_script() -> None:
    assert count_scripts("తా") == {"TELUGU": 2}
    assert set(count_scripts("ｶﾞ")) == {"KATAKANA"}
