"""The rendered text of prompts."""

import pytest

from xdr.errors import UserError
from xdr.text.prompts import PromptTemplate, published_prompt
from xdr.text.records import Passage

SAIMAA = Passage("1", "Saimaa", "A lake {of} Finland.")


def test_the_published_prompts_are_word_for_word_those() -> None:
    passage, query = Passage("1", "Saimaa", "A lake."), Passage("q", "", "Where?")
    asked = published_prompt("query_from_passage", "prompt").render(passage, "fi")
    assert asked == "Generate a Finnish question for this passage: Saimaa A lake."
    asked = published_prompt("query_from_passage", "decoder").render(passage, "fi")
    assert asked == "Generate a question for this passage: Saimaa A lake."
    asked = published_prompt("passage_from_query", "prompt").render(query, "en")
    assert asked == "Please write a passage in English to answer the question: Where?"
    asked = published_prompt("passage_from_query", "decoder").render(query, "en")
    assert asked == "Please write a passage to answer the question: Where?"


def test_braces_of_a_passage_are_text_and_those_of_a_template_are_doubled() -> None:
    template = PromptTemplate("{{{title}}} {text} {language}")
    assert template.render(SAIMAA, "pt-BR") == "{Saimaa} A lake {of} Finland. Portuguese (Brazil)"


def test_languages_share_a_prompt_up_to_the_first_of_them() -> None:
    template = PromptTemplate("Passage: {passage}\nA {language} question:")
    assert template.shared(SAIMAA) == "Passage: Saimaa A lake {of} Finland.\nA "
    assert [template.rest(SAIMAA, code) for code in ("fi", "te")] == ["Finnish question:", "Telugu question:"]
    published = published_prompt("query_from_passage", "prompt")
    assert published.shared(SAIMAA) == "Generate a "
    assert published.rest(SAIMAA, "fi") == "Finnish question for this passage: Saimaa A lake {of} Finland."


def test_exemplars_depend_on_the_language_and_a_summary_does_not() -> None:
    template = PromptTemplate(
        "{summary}|{exemplars}{passage}|{language}", {"fi": "Missä?|"}, PromptTemplate("{passage}:", output_length=9)
    )
    assert template.shared(SAIMAA, "Big.") == "Big.|"
    assert template.render(SAIMAA, "fi", "Big.") == "Big.|Missä?|Saimaa A lake {of} Finland.|Finnish"
    assert template.names_language and template.summary is not None and not template.summary.names_language
    assert PromptTemplate.from_json(template.to_json()) == template
    assert PromptTemplate("{passage}").to_json() == "{passage}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{passge}", "prompt must use the fields .passage., .* got .passge.; did you mean 'passage'"),
        ("{passage!r}", "prompt must use the fields"),
        ("{passage", "prompt must be text with fields in braces, got '.passage'"),
        ("{exemplars}{passage}", "prompt must contain .exemplars. exactly if exemplars are given"),
        ("{summary}{passage}", "prompt must contain .summary. exactly if summary"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PromptTemplate(text)
