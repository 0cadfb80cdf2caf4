"""Texts from a server with OpenAI's interface (vLLM, SGLang, llama.cpp, hosted models). Needs no torch."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from xdr.generators.generator import Reply, Request, Written
from xdr.generators.settings import Sampling
from xdr.writing.backends import Interface
from xdr.writing.servers import Servers

PATHS: dict[Interface, str] = {"completions": "/completions", "chat": "/chat/completions"}


@dataclass
class OpenAIGenerator:
    """Asks for up to `largest_n` texts in a request, and for more where a server gives fewer. Texts of a server are not
    repeatable: the seed of `begin` is not sent."""

    servers: Servers
    model: str
    interface: Interface
    sampling: Sampling
    stop: Sequence[str]
    extra_body: Mapping[str, Any]
    source_characters: int
    largest_n: int

    def begin(self, seed: int) -> None: ...

    def groups(self, languages: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(languages)]

    def write(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """At most `servers.most_under_way` requests are under way at one time."""
        with closing(asyncio.new_event_loop()) as loop:
            connection = self.servers.connected()
            loop.run_until_complete(connection.__aenter__())
            under_way: set[asyncio.Task[tuple[int, Reply]]] = set()
            left = iter(enumerate(requests))
            try:
                while True:
                    free = self.servers.most_under_way - len(under_way)
                    under_way |= {loop.create_task(self._answered(*item)) for item in islice(left, free)}
                    if not under_way:
                        return
                    first = asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    done, under_way = loop.run_until_complete(first)
                    failed = [error for task in done if (error := task.exception())]
                    yield from (task.result() for task in done if not task.exception())
                    if failed:
                        raise failed[0]
            finally:
                loop.run_until_complete(_end(under_way))
                loop.run_until_complete(connection.__aexit__(None, None, None))

    async def _answered(self, place: int, request: Request) -> tuple[int, Reply]:
        cut = replace(request.source, text=request.source.text[: self.source_characters])
        prompt = replace(request, source=cut).prompt
        length = request.template.output_length or self.sampling.output_length
        texts: list[Written] = []
        num_prompt_tokens = malformed = 0
        while len(texts) < request.number:
            number = min(self.largest_n, request.number - len(texts))
            answer = await self.servers.post(PATHS[self.interface], self.body(prompt, number, length), "choices")
            usage = answer.body.get("usage")
            texts += _texts(answer.body["choices"], _count(usage, "completion_tokens"))
            num_prompt_tokens += _count(usage, "prompt_tokens")
            malformed += answer.malformed
        return place, Reply(texts, num_prompt_tokens, len(cut.text) < len(request.source.text), malformed)

    def body(self, prompt: str, number: int, length: int) -> dict[str, Any]:
        """`extra_body` adds fields and changes them; null removes one."""
        asked = {"prompt": prompt} if self.interface == "completions" else {"messages": [{"role": "user", "content": prompt}]}
        fields: dict[str, Any] = {
            "model": self.model,
            **asked,
            "n": number,
            "max_tokens": length,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k or None,
            "stop": list(self.stop) or None,
            **self.extra_body,
        }
        return {name: value for name, value in fields.items() if value is not None}


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _texts(choices: Sequence[Any], num_tokens: int) -> list[Written]:
    """The texts, each in one line. The server counts the tokens of all together; each gets its share. A choice without text,
    such as a refusal, is an empty text."""
    shares = [(num_tokens + place) // len(choices) for place in range(len(choices))]
    return [Written(*_text(choice, share)) for choice, share in zip(choices, shares, strict=True)]


def _text(choice: Any, num_tokens: int) -> tuple[str, int, bool]:
    fields = choice if isinstance(choice, dict) else {}
    message = fields.get("message")
    text = message.get("content") if isinstance(message, dict) else fields.get("text")
    return " ".join(text.split()) if isinstance(text, str) else "", num_tokens, fields.get("finish_reason") != "length"


def _count(usage: Any, name: str) -> int:
    """0 where the server does not say."""
    number = usage.get(name) if isinstance(usage, dict) else None
    return number if isinstance(number, int) else 0
