"""Posts to servers that may be slow, overloaded or gone: with a limit on time, and again where that may help.

The key is sent to the servers and nowhere else: it is in no message.
"""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from xdr.errors import UserError, first_line

try:
    import httpx2
except ImportError as error:
    raise UserError("the openai backend needs the package httpx2. Run pip install 'xdr[openai]'") from error

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it has a line for every request

LONGEST_DELAY = 60.0
"""Seconds between attempts, unless the server asks for more."""
_AGAIN = {408, 409, 425, 429}
"""Besides 500 and above, what a server answers when the same request may succeed later."""


class Answer(NamedTuple):
    """`malformed` counts answers that were no JSON object as wanted, were cut short, or never came whole."""

    body: dict[str, Any]
    malformed: int


@dataclass
class _Place:
    """One of the servers. After a failure it is left out until `back`."""

    base_url: str
    under_way: int = 0
    back: float = 0.0


@dataclass
class Servers:
    """Servers of one model. A request goes to the one with the fewest requests, at most `concurrency` each. `timeout` and
    `first_delay` are in seconds. A request that fails is sent again up to `retries` times, to another server at once, or after
    twice the delay each time, or after what the server asks for. Then all are given up."""

    base_urls: Sequence[str]
    key: str | None = field(repr=False)
    concurrency: int
    timeout: float
    retries: int
    first_delay: float
    _num_answers: int = field(default=0, init=False)
    _client: httpx2.AsyncClient = field(init=False, repr=False)
    _places: list[_Place] = field(init=False)

    def __post_init__(self) -> None:
        self._places = [_Place(url) for url in self.base_urls]

    @property
    def most_under_way(self) -> int:
        """Requests at one time."""
        return self.concurrency * len(self.base_urls)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connections belong to the event loop, so each loop has its own."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx2.Limits(max_connections=self.most_under_way, max_keepalive_connections=self.most_under_way)
        async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=None) as self._client:
            yield

    async def post(self, path: str, body: dict[str, Any], wanted: str) -> Answer:
        """The answer to `body`: an object that has a list named `wanted`."""
        failures = malformed = 0
        before = self._num_answers
        while True:
            place = self._choose()
            place.under_way += 1
            try:
                answer = await self._attempt(place, path, body, wanted)
            finally:
                place.under_way -= 1
            if isinstance(answer, dict):
                self._num_answers += 1
                place.back = 0.0
                return Answer(answer, malformed)
            malformed += answer.malformed
            # A server that limits the rate is not gone as long as it answers other requests.
            failures = 1 if answer.limited and self._num_answers > before else failures + 1
            before = self._num_answers
            if failures > self.retries:
                raise self._given_up(failures, answer.reason)
            now, delay = time.monotonic(), self._delay(failures, answer.retry_after)
            place.back = now + delay
            await asyncio.sleep(max(0.0, min(delay, *(other.back - now for other in self._places))))

    def _choose(self) -> _Place:
        """The one with the fewest requests of those that are not left out; else the one that is back first."""
        now = time.monotonic()
        here = [place for place in self._places if place.back <= now]
        return min(here, key=lambda place: place.under_way) if here else min(self._places, key=lambda place: place.back)

    async def _attempt(self, place: _Place, path: str, body: dict[str, Any], wanted: str) -> "dict[str, Any] | _Failure":
        try:
            async with asyncio.timeout(self.timeout):
                request = self._client.build_request("POST", place.base_url.rstrip("/") + path, json=body)
                response = await self._client.send(request, stream=True)
                try:
                    await response.aread()
                except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.DecodingError):
                    return _Failure("half an answer", malformed=True)
                finally:
                    await response.aclose()
        except TimeoutError:
            return _Failure(f"no answer in {self.timeout:g} seconds")
        except httpx2.TransportError as error:
            return _Failure(self._without_key(first_line(error)))
        status = response.status_code
        if status >= 500 or status in _AGAIN:
            retry_after = _seconds(response.headers.get("Retry-After", ""))
            return _Failure(f"HTTP {status}: {self._message(response)}", retry_after, limited=status == 429)
        if status != 200:
            raise self._refused(place, response)
        return _parsed(response, wanted)

    def _delay(self, failures: int, retry_after: float | None) -> float:
        """Grows, and differs from request to request, so that they do not all come at once."""
        grown = min(LONGEST_DELAY, self.first_delay * 2.0 ** max(0, failures - 1))
        if retry_after is not None:
            return retry_after + random.uniform(0, self.first_delay)
        return grown * random.uniform(0.5, 1)

    def _refused(self, place: _Place, response: httpx2.Response) -> UserError:
        remedies = {
            401: "Put the server's key into the environment variable that key_variable names",
            403: "Put the server's key into the environment variable that key_variable names",
            404: "Check base_url, interface and model",
        }
        remedy = remedies.get(response.status_code, "Check model, extra_body and source_characters")
        return UserError(
            f"the server at {place.base_url} refuses the request with HTTP {response.status_code}: {self._message(response)}. "
            f"{remedy}. What was answered before is kept"
        )

    def _given_up(self, failures: int, reason: str) -> UserError:
        return UserError(
            f"the server at {' and at '.join(self.base_urls)} failed {failures} times in a row, at last with {reason}. What "
            "was answered before is kept. See the server's log, start it again, and run the same command to continue"
        )

    def _message(self, response: httpx2.Response) -> str:
        """What the server says, in one line."""
        text = response.text
        with contextlib.suppress(ValueError, KeyError, TypeError):
            value = json.loads(text)
            text = str(value["error"]["message"] if isinstance(value.get("error"), dict) else value["message"])
        return self._without_key(" ".join(text.split())[:200].rstrip(".")) or response.reason_phrase

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


class _Failure(NamedTuple):
    reason: str
    retry_after: float | None = None
    malformed: bool = False
    limited: bool = False


def _parsed(response: httpx2.Response, wanted: str) -> dict[str, Any] | _Failure:
    try:
        value = response.json()
    except (ValueError, RecursionError):
        return _Failure("an answer that is no JSON", malformed=True)
    if not isinstance(value, dict) or not isinstance(value.get(wanted), list) or not value[wanted]:
        return _Failure(f"an answer without {wanted}", malformed=True)
    return value


def _seconds(retry_after: str) -> float | None:
    """The header's value: seconds, or a date."""
    with contextlib.suppress(ValueError):
        return max(0.0, float(retry_after))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    return None
