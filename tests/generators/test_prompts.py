"""Prompts as settings, and as a part of a generator's task."""

import json
from pathlib import Path

import pytest

from conf.entry import build, compose
from xdr.errors import UserError
from xdr.generators.prompts import FewShot
from xdr.generators.settings import Task
from xdr.text.prompts import PromptTemplate
from xdr.text.records import Passage

SAIMAA = Passage("1", "Saimaa", "A lake.")


@pytest.fixture
def exemplars(tmp_path: Path) -> Path:
    rows = [
        {"passage": f"Fact {{{number}}}.", "title": title, "language": language, "question": f"{language} {number}?", **more}
        for number, title, more in ((1, "One", {"summary": "F1."}), (2, "", {"summary": "F2."}), (3, "", {}))
        for language in ("fi", "Russian")
    ]
    path = tmp_path / "exemplars.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def template(choice: str, *changes: str, languages: tuple[str, ...] = ("fi", "ru")) -> PromptTemplate:
    name = "augmentation.generation.prompt"
    changed = [f"{name}.{change}" for change in changes]
    settings = compose(
        "evaluate", ["experiment=sample_generation", "checkpoint=x", f"augmentation/generation/prompt={choice}", *changed]
    )
    found: PromptTemplate = build(settings, name).template(languages)
    return found


def test_published_words_are_left_to_the_generator() -> None:
    assert template("published") is None
    assert template("published", "text='{passage} in {language}'").render(SAIMAA, "fi") == "Saimaa A lake. in Finnish"


def test_zero_shot_is_an_instruction() -> None:
    assert template("zero_shot").render(SAIMAA, "te") == (
        "Saimaa A lake.\n\nWrite a question in Telugu that this passage answers. Write the question alone, on one line."
    )


def test_few_shot_shows_questions_in_the_wanted_language(exemplars: Path) -> None:
    few = template("few_shot", f"path={exemplars}", "number=3")
    lines = few.render(SAIMAA, "ru").split("\n\n")
    assert sorted(lines[:3]) == [
        "Passage: Fact {2}.\nQuestion in Russian: Russian 2?",
        "Passage: Fact {3}.\nQuestion in Russian: Russian 3?",
        "Passage: One Fact {1}.\nQuestion in Russian: Russian 1?",
    ]
    assert lines[3] == "Passage: Saimaa A lake.\nQuestion in Russian:"


def test_exemplars_are_a_function_of_seed_and_language(exemplars: Path) -> None:
    def chosen(seed: int, languages: tuple[str, ...] = ("fi", "ru")) -> dict[str, str]:
        few = FewShot("{exemplars}{passage}{language}", "{question}", str(exemplars), 1, seed)
        return dict(few.template(languages).exemplars)

    assert chosen(1) == chosen(1)
    assert chosen(1, ("ru",)) == {"ru": chosen(1)["ru"]}
    assert len({chosen(seed)["ru"] for seed in range(20)}) == 3


def test_swim_ir_asks_for_a_summary_and_then_for_a_question(exemplars: Path) -> None:
    asked = template("summarize_then_ask", f"path={exemplars}", "number=2")
    assert asked.summary is not None and asked.summary.output_length == 128
    first = asked.summary.render(SAIMAA, "ru").split("\n\n")
    assert sorted(first[:2]) == ["Article: Fact {2}.\nSummary: F2.", "Article: One Fact {1}.\nSummary: F1."]
    assert first[2] == "Article: Saimaa A lake.\nSummary:"
    second = asked.render(SAIMAA, "ru", "It is a lake.").split("\n\n")
    assert sorted(second[:2]) == [
        "Article: Fact {2}.\nSummary: F2.\nQuestion in Russian: Russian 2?",
        "Article: One Fact {1}.\nSummary: F1.\nQuestion in Russian: Russian 1?",
    ]
    assert second[2] == "Article: Saimaa A lake.\nSummary: It is a lake.\nQuestion in Russian:"


def test_too_few_exemplars_are_refused(exemplars: Path) -> None:
    with pytest.raises(UserError, match="at least 1 exemplars in te, got 0"):
        template("few_shot", f"path={exemplars}", "number=1", languages=("te",))
    with pytest.raises(UserError, match="at least 3 exemplars in fi with a summary, got 2"):
        template("summarize_then_ask", f"path={exemplars}", "number=3")
    with pytest.raises(UserError, match="exemplar must use the fields .*, got .answer."):
        FewShot("{exemplars}{passage}", "{answer}", str(exemplars), 1, 1)


def test_a_task_records_its_prompt_and_leaves_the_published_one_out() -> None:
    task = Task("query_from_passage", "prompt", 24, 16, ("fi",))
    assert task.to_json() == {
        "direction": "query_from_passage",
        "language_at": "prompt",
        "input_length": 24,
        "output_length": 16,
        "languages": ["fi"],
    }
    own = Task("query_from_passage", "prompt", 24, 16, ("fi",), PromptTemplate("{text} {language}"))
    assert own.to_json()["prompt"] == "{text} {language}"
    assert [Task.from_json(json.loads(json.dumps(one.to_json()))) for one in (task, own)] == [task, own]


@pytest.mark.parametrize(
    ("direction", "language_at", "text", "message"),
    [
        ("query_from_passage", "prompt", "{language}", "prompt must contain .passage. or .text., got .language."),
        ("query_from_passage", "prompt", "{query} {passage}", "prompt must contain .query. only with"),
        ("passage_from_query", "prompt", "{passage}", "prompt must contain .query. with direction"),
        (
            "query_from_passage",
            "decoder",
            "{passage} {language}",
            "prompt must not contain .language. or .summary. with language_at",
        ),
    ],
)
def test_a_prompt_must_fit_the_task(direction: str, language_at: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Task(direction, language_at, 24, 16, (), PromptTemplate(text))  # type: ignore[arg-type]  # one of two
