"""Texts from a server that answers well, badly, late, or not at all."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from conf.entry import build, compose
from tests.loopback import Answer, serving
from xdr.errors import UserError
from xdr.generators.generator import Reply, Request
from xdr.generators.generator_folder import load_generator, save_generator
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.identification import LanguageCheck, train_identifier
from xdr.text.prompts import PromptTemplate
from xdr.text.records import Passage
from xdr.writing.backends import OpenAI, Wanted
from xdr.writing.generation import Generation
from xdr.writing.kept_answers import KeptAnswers
from xdr.writing.openai_backend import OpenAIGenerator
from xdr.writing.quality import REASONS, Gate

PASSAGES = [Passage(str(number), "", f"Lake {number} is in Finland.") for number in range(6)]
TEMPLATE = PromptTemplate("{passage} Ask in {language}:")
SETTINGS = GenerationSettings(("fi",), 2, 64, 1, 1000, 7)
SAMPLING = Sampling(10, 0.9, 0.7, 24)


def settings(url: str, *changes: str) -> OpenAI:
    name = "augmentation.generation.backend"
    given = [f"{name}.{change}" for change in (f"base_url={url}", "model=m", *changes)]
    chosen = ["experiment=sample_generation", "checkpoint=null", "augmentation/generation/backend=openai"]
    found: OpenAI = build(compose("evaluate", [*chosen, *given, f"+{name}.first_delay=0.01"]), name)
    return found


def opened(url: str, *changes: str, sampling: Sampling = SAMPLING) -> OpenAIGenerator:
    wanted = Wanted(None, Task("query_from_passage", "prompt", 64, 24), sampling, SETTINGS, "32-true", Path("unused"))
    loaded = settings(url, *changes).load(wanted)
    generator = loaded.on(None)  # type: ignore[arg-type]  # no device
    assert isinstance(generator, OpenAIGenerator)
    return generator


def requests(number: int = 2, passages: Sequence[Passage] = PASSAGES) -> list[Request]:
    return [Request(TEMPLATE, passage, "fi", number) for passage in passages]


def replies(generator: Any, asked: Sequence[Request]) -> list[Reply]:
    found = dict(generator.write(asked))
    return [found[place] for place in range(len(asked))]


def test_neither_settings_nor_backend_need_torch() -> None:
    modules = "xdr.writing.openai_backend, xdr.writing.generation, xdr.writing.kept_answers"
    code = f"import sys, {modules}; assert not {{'torch', 'transformers'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("interface", ["completions", "chat"])
def test_texts_come_in_the_place_of_their_requests(interface: str) -> None:
    with serving() as server:
        found = replies(opened(server.url, f"interface={interface}"), requests())
    assert [reply.texts[0].text for reply in found] == [f"Missä on {number} ja mikä on se?" for number in range(6)]
    assert [(text.num_tokens, text.ended) for text in found[0].texts] == [(7, True), (8, True)]
    assert found[0].num_prompt_tokens == 8
    body = next(body for body in server.asked if "Lake 3" in json.dumps(body))
    prompt = "Lake 3 is in Finland. Ask in Finnish:"
    asked = {"prompt": prompt} if interface == "completions" else {"messages": [{"role": "user", "content": prompt}]}
    sampled = {"n": 2, "max_tokens": 24, "temperature": 0.7, "top_p": 0.9, "top_k": 10, "stop": ["\n"]}
    assert body == {"model": "m", **asked, **sampled}, "and no seed"


def test_the_body_of_a_request_can_be_changed() -> None:
    with serving() as server:
        changes = ("extra_body={max_tokens: null, max_completion_tokens: 9, min_p: 0.1}", "stop=[]")
        replies(opened(server.url, *changes, sampling=replace(SAMPLING, top_k=0)), requests(1)[:1])
    (body,) = server.asked
    assert {**body, "prompt": ""} == {
        "model": "m", "prompt": "", "n": 1, "temperature": 0.7, "top_p": 0.9, "max_completion_tokens": 9, "min_p": 0.1
    }  # fmt: skip


def test_no_more_requests_than_allowed_are_under_way() -> None:
    with serving(lambda body, number: Answer(wait=0.05)) as server:
        replies(opened(server.url, "concurrency=3"), requests())
    assert server.most_under_way == 3 and len(server.asked) == 6


def test_a_server_that_gives_fewer_texts_is_asked_for_the_rest() -> None:
    one = json.dumps({"choices": [{"text": "Missä?"}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    with serving(lambda body, number: Answer(body=one)) as server:
        (reply,) = replies(opened(server.url), requests(3)[:1])
        assert [body["n"] for body in server.asked] == [3, 2, 1]
        assert len(reply.texts) == 3 and reply.num_prompt_tokens == 15
    with serving() as server:
        (reply,) = replies(opened(server.url, "largest_n=2"), requests(3)[:1])
    assert [body["n"] for body in server.asked] == [2, 1] and len(reply.texts) == 3


@pytest.mark.parametrize(
    ("failure", "malformed"),
    [
        (Answer(500, '{"error": {"message": "Overloaded"}}'), 0),
        (Answer(429), 0),
        (Answer(whole=False), 1),
        (Answer(body="no JSON"), 1),
        (Answer(body="[1]"), 1),
        (Answer(body='{"choices": []}'), 1),
        (Answer(body='{"error": "?"}'), 1),
        (Answer(wait=30), 0),
    ],
)
def test_an_answer_that_is_of_no_use_is_asked_for_again(failure: Answer, malformed: int) -> None:
    """A malformed one is counted."""
    with serving(lambda body, number: failure if number < 2 else Answer()) as server:
        (reply,) = replies(opened(server.url, f"timeout={0.3 if failure.wait else 20}"), requests()[:1])
    assert len(server.asked) == 3
    assert reply.texts[0].text == "Missä on 0 ja mikä on se?" and reply.malformed == 2 * malformed


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_says_when_is_asked_then(as_date: bool) -> None:
    times: list[float] = []

    def behave(body: dict[str, Any], number: int) -> Answer:
        times.append(time.time())
        after = formatdate(times[0] + 2, usegmt=True) if as_date else "1"
        return Answer(429 if number == 0 else 200, headers={"Retry-After": after} if number == 0 else {})

    with serving(behave) as server:
        replies(opened(server.url), requests()[:1])
    assert 0.9 < times[1] - times[0] < 5, "a date has whole seconds"


def test_delays_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("xdr.writing.servers.asyncio.sleep", sleep)
    with serving(lambda body, number: Answer(503)) as server, pytest.raises(UserError, match="failed 5 times in a row"):
        replies(opened(server.url, "retries=4"), requests()[:1])
    assert len(server.asked) == 5
    assert all(0.005 * 2**place <= seconds <= 0.01 * 2**place for place, seconds in enumerate(slept))
    assert len({round(seconds / 2**place, 6) for place, seconds in enumerate(slept)}) == 4


def test_a_server_that_keeps_failing_is_given_up_and_other_answers_come_first() -> None:
    def behave(body: dict[str, Any], number: int) -> Answer:
        return Answer(500, '{"error": {"message": "EngineCore is dead"}}') if "Lake 4" in body["prompt"] else Answer()

    found: list[int] = []
    with serving(behave) as server, pytest.raises(UserError) as raised:
        found.extend(place for place, _ in opened(server.url, "retries=2").write(requests()))
    assert sorted(found) == [0, 1, 2, 3, 5]
    assert str(raised.value) == (
        f"the server at {server.url} failed 3 times in a row, at last with HTTP 500: EngineCore is dead. What was answered "
        "before is kept. See the server's log, start it again, and run the same command to continue"
    )


def test_a_limit_on_the_rate_is_no_failure_while_others_are_answered() -> None:
    def behave(body: dict[str, Any], number: int) -> Answer:
        return Answer(429) if "Lake 5" in body["prompt"] and number < 40 else Answer(wait=0.02)

    with serving(behave) as server:
        generator = opened(server.url, "retries=3", "concurrency=2")
        found = replies(generator, [*requests(1)[5:], *requests(1)[:5] * 12])
    assert len(found) == 61 and sum("Lake 5" in body["prompt"] for body in server.asked) > 4


def test_several_servers_share_the_requests() -> None:
    with serving(lambda body, number: Answer(wait=0.02)) as first, serving(lambda body, number: Answer(wait=0.02)) as second:
        found = replies(opened(f"[{first.url},{second.url}]", "concurrency=2"), requests(1) * 10)
    assert [reply.texts[0].text[:8] for reply in found[:3]] == ["Missä on"] * 3 and len(found) == 60
    assert first.most_under_way == second.most_under_way == 2
    assert 20 <= len(first.asked) <= 40 and len(first.asked) + len(second.asked) == 60


def test_a_server_that_dies_is_left_out_and_comes_back() -> None:
    """The first server fails from its tenth to its twelfth request. Nothing is lost, and it is asked again later."""
    with (
        serving(lambda body, number: Answer(503 if 10 <= number < 13 else 200, wait=0.01)) as first,
        serving(lambda body, number: Answer(wait=0.01)) as second,
    ):
        found = replies(opened(f"[{first.url},{second.url}]", "concurrency=1", "retries=1"), requests(1) * 20)
    assert len(found) == 120
    assert len(first.asked) > 20, "it is asked again after it was left out"
    assert len(first.asked) + len(second.asked) == 120 + 3


def test_all_servers_are_given_up_when_none_answers() -> None:
    with serving(lambda body, number: Answer(503)) as first, serving(lambda body, number: Answer(503)) as second:
        urls = first.url, second.url
        with pytest.raises(UserError, match=f"the server at {urls[0]} and at {urls[1]} failed 4 times in a row"):
            replies(opened(f"[{urls[0]},{urls[1]}]", "retries=3"), requests()[:1])
    assert len(first.asked) == len(second.asked) == 2


def test_a_server_that_is_not_there_is_given_up() -> None:
    with serving() as server:
        pass
    with pytest.raises(UserError, match="failed 2 times in a row, at last with"):
        replies(opened(server.url, "retries=1"), requests())


@pytest.mark.parametrize(("status", "remedy"), [(401, "key_variable"), (404, "Check base_url"), (400, "source_characters")])
def test_what_a_server_refuses_is_not_asked_again(status: int, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    body = '{"error": {"message": "Not with the key sk-secret."}}'
    with serving(lambda _, number: Answer(status, body)) as server, pytest.raises(UserError) as raised:
        replies(opened(server.url), requests()[:1])
    assert f"HTTP {status}: Not with the key ***. " in str(raised.value) and remedy in str(raised.value)
    assert "sk-secret" not in str(raised.value) and len(server.asked) == 1


def test_the_key_goes_into_the_header_and_into_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with serving() as server:
        generator = opened(server.url, "key_variable=MY_KEY")
        replies(generator, requests()[:1])
        replies(opened(server.url), requests()[:1])
    assert [headers.get("authorization", headers.get("Authorization")) for headers in server.headers] == [
        "Bearer sk-secret",
        None,
    ]
    assert "sk-secret" not in json.dumps(server.asked) + repr(generator)


def test_cut_texts_and_refusals_are_left_to_the_gate() -> None:
    def behave(body: dict[str, Any], number: int) -> Answer:
        if number:
            return Answer()
        cut = {"text": "Missä on", "finish_reason": "length"}
        return Answer(body=json.dumps({"choices": [cut, {"message": {"content": None}, "finish_reason": "content_filter"}]}))

    with serving(behave) as server:
        gate = Gate(LanguageCheck(None), frozenset(REASONS))
        texts, counts = Generation(opened(server.url), TEMPLATE, gate, SETTINGS).write(PASSAGES[:1], 0)
    assert texts[0].texts["fi"] == ("Missä on 0 ja mikä on se?", "Missä on 0 ja mikä on ihan se?")
    fi = counts["fi"]
    assert (fi.generated, fi.regenerated, fi.over_long, fi.empty, fi.kept) == (4, 2, 1, 1, 2)


def test_a_source_that_is_too_long_is_cut_and_counted() -> None:
    with serving() as server:
        found = replies(opened(server.url, "source_characters=6"), requests(1, [PASSAGES[0], Passage("9", "Title", "Short.")]))
    assert {body["prompt"] for body in server.asked} == {"Lake 0 Ask in Finnish:", "Title Short. Ask in Finnish:"}
    assert [reply.truncated for reply in found] == [True, False]


def test_answers_of_an_unfinished_shard_are_not_asked_for_again(tmp_path: Path) -> None:
    gate = Gate(LanguageCheck(None), frozenset(REASONS))

    def behave(body: dict[str, Any], number: int) -> Answer:
        if "Lake 2" in body["prompt"] and len(body) > 1 and number < 6:
            return Answer(body=json.dumps({"choices": [{"text": "", "finish_reason": "stop"}] * body["n"]}))
        return Answer(500) if number >= 7 and dead else Answer()

    def write(server_url: str) -> Any:
        kept = KeptAnswers(opened(server_url, "retries=0", "concurrency=1"), tmp_path / "a" / "shard-00003.jsonl")
        return Generation(kept, TEMPLATE, gate, SETTINGS).write(PASSAGES, 3)

    dead = False
    with serving(behave) as server:
        kept = opened(server.url, "concurrency=1")
        whole = Generation(kept, TEMPLATE, gate, SETTINGS).write(PASSAGES, 3)
        assert len(server.asked) == 7, "six, and one of them again"
    with serving(lambda body, number: Answer(500) if number >= 4 else behave(body, number)) as server, pytest.raises(UserError):
        write(server.url)
    file = tmp_path / "a" / "shard-00003.jsonl"
    assert len(file.read_bytes().split()) > 4
    damaged = file.read_bytes().replace(b"ja mik", b"tai mik", 1)
    file.write_bytes(damaged[:-9])  # a kill in the middle of a line
    with serving() as server:
        assert write(server.url)[0] == whole[0]
        assert len(server.asked) == 5, "one whose text was changed, one whose line is half, two, and the one that was refused"
    with serving() as server:
        assert write(server.url) == whole and not server.asked


def test_a_fingerprint_names_the_model_and_the_prompt_and_not_the_place(tmp_path: Path) -> None:
    first = settings("http://127.0.0.1:1/v1")
    assert first.made_by("32-true") == settings("https://elsewhere.org/v1", "concurrency=1", "retries=9").made_by("bf16-true")
    assert first.made_by("32-true") != settings("http://127.0.0.1:1/v1", "stop=[]").made_by("32-true")
    task = Task("query_from_passage", "prompt", 64, 24)
    wanted = Wanted(None, task, SAMPLING, SETTINGS, "32-true", tmp_path)
    other = replace(wanted, task=replace(task, prompt=TEMPLATE))
    named = [backend.load(one).fingerprint for backend in (first, replace(first, model="n")) for one in (wanted, other)]
    assert len(set(named)) == 4


def test_the_folder_of_a_served_generator_says_what_it_was_trained_with(small_mt5: Path, tmp_path: Path) -> None:
    trained = Task("query_from_passage", "prompt", 24, 16, ("fi", "ru"), TEMPLATE)
    generator, tokenizer = load_generator(str(small_mt5), trained)
    folder = tmp_path / "run" / "generator"
    save_generator(generator, tokenizer, train_identifier({"fi": ["missä"], "ru": ["где"]}), folder)
    asked = Task("query_from_passage", "prompt", 64, 9)
    wanted = Wanted(str(tmp_path / "run"), asked, SAMPLING, SETTINGS, "32-true", tmp_path)
    backend = settings("http://127.0.0.1:1/v1")
    loaded = backend.load(wanted)
    assert loaded.task == replace(trained, output_length=9)
    assert loaded.identifier is not None and loaded.identifier.languages == ("fi", "ru")
    assert replace(backend, model="n").load(wanted).fingerprint == loaded.fingerprint, "its name on the server does not count"
    other = replace(wanted, task=replace(asked, prompt=PromptTemplate("{language}: {text}")))
    assert backend.load(other).task.template.text == "{language}: {text}"
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert backend.load(wanted).fingerprint != loaded.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("base_url=localhost:8000", "base_url must be an address such as"),
        ("base_url=[]", "base_url must name each server once"),
        ("base_url=[http://a/v1,http://a/v1]", "base_url must name each server once"),
        ("base_url=http://me:word@host/v1", "base_url must not hold a password or a key"),
        ("concurrency=0", "concurrency must be at least 1, got 0"),
        ("timeout=0", "timeout must be above 0"),
        ("price_in=0.1", "price_in and price_out must be given together"),
        ("interface=chatt", "interface must be one of completions, chat"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        settings("http://127.0.0.1:1/v1", change)
    assert "word" not in str(raised.value).replace("password", "")


def test_what_a_server_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match="language_at must be prompt and vocabulary must be full"):
        opened("http://127.0.0.1:1/v1", sampling=replace(SAMPLING, vocabulary="language"))


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys; sys.modules['httpx2'] = None\n"
        "from xdr.errors import UserError\n"
        "try:\n    import xdr.writing.servers\n"
        "except UserError as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'xdr[openai]'" in found.stdout
