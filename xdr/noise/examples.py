"""Prints the examples of docs/noise.md: `python -m xdr.noise.examples`."""

from xdr.noise.edits import LETTER_OPERATORS
from xdr.noise.query_noise import QueryNoise
from xdr.noise.word_operators import WORD_OPERATORS
from xdr.text.languages import find_language
from xdr.text.records import Query

QUESTIONS = {
    "en": "Who invented the telephone in Boston?",
    "fi": "Missä kaupungissa Nokian pääkonttori sijaitsee?",
    "vi": "Thủ đô của Việt Nam ở đâu?",
    "yo": "Ọdún wo ni wọ́n bí Wọlé Ṣóyínká?",
    "el": "Ποιος έγραψε την Οδύσσεια;",
    "ru": "Когда родился Лев Толстой?",
    "ar": "متى تأسست جامعة القاهرة؟",
    "bn": "বাংলাদেশের রাজধানী কোথায়?",
    "hi": "भारत की राजधानी क्या है?",
    "te": "భారతదేశం రాజధాని ఏమిటి?",
    "th": "เมืองหลวงของประเทศไทยคืออะไร",
    "ko": "대한민국의 수도는 어디인가?",
    "ja": "アインシュタインはいつ大学の機械を発明しましたか？",
    "zh": "世界上第一个公园在哪里？",
}


def table() -> list[str]:
    """Two versions by each operator, in each language; without the operators that find nothing to change."""
    lines = ["| language | operator | one version | another |", "|---|---|---|---|"]
    for language, text in QUESTIONS.items():
        lines.append(f"| {find_language(language).name} | none | {text} | |")
        for operator in (*LETTER_OPERATORS, *WORD_OPERATORS):
            noise = QueryNoise({operator: 1}, share=0.4, edits=1, shortest=3, window=1, versions=2, seed=0)
            versions = [noise.noisy(Query(f"{language} {operator}", text, language), version) for version in range(2)]
            if any(version.operators for version in versions):
                lines.append(f"| | {operator} | {' | '.join(version.text for version in versions)} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
