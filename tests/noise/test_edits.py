"""Edits of words, by hand, in the scripts of the benchmarks."""

import unicodedata
from random import Random

import pytest

from xdr.noise.edits import LETTER_OPERATORS, Typing, edit_word
from xdr.noise.hangul import composed, is_syllable, keystrokes
from xdr.noise.keyboards import keyboard, keyboard_for
from xdr.noise.letters import is_sound, joined, num_broken, units_of
from xdr.noise.sounds import homophones, kana_neighbours, same_reading
from xdr.text.scripts import count_scripts


def all_edits(word: str, operator: str, language: str) -> set[str]:
    """Every sound edit of the word."""
    typing, units = Typing(keyboard_for(count_scripts(word).most_common(1)[0][0], language), language), units_of(word)
    proposals = (p for i in range(len(units)) for p in LETTER_OPERATORS[operator](units, i, typing, Random(0)))
    return {edited for edited in map(joined, proposals) if edited is not None and is_sound(edited, word)}


@pytest.mark.parametrize(
    ("language", "word", "deleted", "swapped"),
    [
        ("en", "who", "ho wo wh", "hwo woh"),
        ("yo", "wọ́n", "ọ́n wn wọ́", "ọ́wn wnọ́"),  # ọ́ is two code points and one letter
        ("ru", "кто", "то ко кт", "тко кот"),
        ("el", "την", "ην τν τη", "ητν τνη"),
        ("ar", "كَم", "م كَ", "مكَ"),  # a letter keeps its vowel sign
        ("bn", "কোন", "কন কো", "কনো"),  # no word begins with a vowel sign
        ("hi", "क्या", "कया क्य", ""),  # a virama joins two letters
        ("te", "ఏమి", "మి ఏమ", ""),
        ("th", "เมื่อ", "มื่อ เม่อ เมือ เมื่", "เมือ่"),  # a mark stands over a consonant, and a tone over the mark
        ("ko", "값이", "갓이 갑이 갑시", "갑싱"),  # ㄱㅏㅂㅅㅇㅣ without ㅂ, ㅅ, ㅇ
        ("ko", "몇", "며", ""),  # nothing else leaves no jamo alone
        ("ja", "きょう", "きう きょ", "きうょ"),
        ("zh", "中国", "国 中", "国中"),
    ],
)
def test_letters_are_deleted_and_swapped(language: str, word: str, deleted: str, swapped: str) -> None:
    assert all_edits(word, "delete", language) == set(deleted.split())
    assert all_edits(word, "swap", language) == set(swapped.split())


@pytest.mark.parametrize(
    ("language", "word", "typed"),
    [
        ("en", "Go", "Fo Ho To Yo Vo Bo Gi Gp Gk Gl"),
        ("fr", "qu", "au zu su wu qy qè qi qh qj"),  # AZERTY: a is above q
        ("tr", "iş", "şş ğş üş ip il ii iç iğ"),
        ("yo", "ọ", "i p k l"),  # it is typed with o
        ("el", "να", "βα ηα ξα μα νσ νς νζ"),
        ("ru", "но", "ео го ро по нр нл нг нш нт нь"),
        ("ar", "لا", "با اا غا فا را لل لت لغ لع لى لأ"),
        ("bn", "কি", "রি তি গি দি সি খি কু ক্ কূ কী কন কম কই"),
        ("hi", "की", "री ती गी दी सी खी कू कि का क् कई"),
        ("te", "మా", "నా ణా మై మీ మే మ్ మఆ"),
        ("th", "มา", "ทา ฒา สา มส ม่ มร มน มท มม มษ"),
        ("ko", "나", "마 아 다 자 카 타 너 니 냐 내 느"),
        ("ja", "し", "そ す ぢ じ"),  # si: so, su, di, zi
        ("ja", "タイ", "ガイ ヤイ ライ タウ タオ"),
    ],
)
def test_the_keys_around_a_letter(language: str, word: str, typed: str) -> None:
    assert all_edits(word, "keyboard", language) == set(typed.split())


@pytest.mark.parametrize(
    ("language", "word", "other"), [("ja", "機械を", "機会を"), ("zh", "权利", "权力"), ("zh", "里", "李"), ("ja", "国", "酷")]
)
def test_chinese_characters_are_confused_by_their_sound(language: str, word: str, other: str) -> None:
    assert other in {edit_word(word, "keyboard", language, Random(seed)) for seed in range(300)}
    assert other not in {edit_word(word, "keyboard", "ko", Random(seed)) for seed in range(20)}  # no readings in Korean


def test_an_inserted_letter_is_one_of_the_keyboard_and_sounds_are_doubled() -> None:
    assert all_edits("ὦ", "insert", "el") == {"ὦ" + letter for letter in keyboard("gr").letters}
    assert all_edits("日本", "insert", "ja") == {"日日本", "日本本"}
    assert "কাম" in all_edits("কম", "insert", "bn")
    assert not {edited for edited in all_edits("কম", "insert", "bn") if num_broken(edited)}


def test_a_letter_is_substituted_by_one_of_its_kind() -> None:
    assert all_edits("কি", "substitute", "bn") >= {"কা", "তি"}
    assert "কত" not in all_edits("কি", "substitute", "bn")
    assert "하" in all_edits("가", "substitute", "ko")


def test_a_capital_stays_at_the_beginning() -> None:
    assert {edit_word("Ιθάκη", "swap", "el", Random(seed)) for seed in range(40)} >= {"Θιάκη", "Ιάθκη"}
    assert {edit_word("İs", "swap", "tr", Random(seed)) for seed in range(9)} == {"Si"}
    assert {edit_word("BBC", "keyboard", "ko", Random(seed)) for seed in range(99)} >= {"NBC", "BVC"}


def test_all_syllables_are_composed_of_their_keystrokes() -> None:
    for code in range(0xAC00, 0xD7A4, 7):
        syllable = chr(code)
        assert is_syllable(syllable) and composed(keystrokes(syllable)) == syllable
        assert len(keystrokes(syllable)) >= len(unicodedata.normalize("NFD", syllable))
    assert composed("ㄱㅏㅂㅅㅣ") == "갑시"
    assert composed("ㄱㄱㅏ") is None


@pytest.mark.parametrize(
    "broken", ["\u0301a", "িক", "ক্ি", "का्", "మిి", "่ก", "กา่", "เ", "เา", "ああゃゃ", "ㄱ", "가ㅏ", "ーア", "\u064eك"]
)
def test_marks_in_wrong_places_and_lone_jamo_are_broken(broken: str) -> None:
    assert num_broken(broken) > 0
    assert not is_sound(broken, "x")


def test_confusions_go_both_ways() -> None:
    for neighbours in (kana_neighbours(), keyboard("us").neighbours, keyboard("th").neighbours, homophones("ja")):
        assert len(neighbours) > 40
        assert [(one, other) for one, others in neighbours.items() for other in others if one not in neighbours[other]] == []
    assert "理" in same_reading("zh")["里"]
    assert same_reading("en") == {}
