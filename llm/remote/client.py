"""A language model on another machine, behind any OpenAI-compatible chat endpoint, streamed."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import httpx2
import numpy as np

from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.responder import Prompt, with_user
from llm.remote.chat_api import Delta, request_body
from llm.remote.config import RemoteConfig, RemoteError, checked_url
from llm.remote.stream import stream_deltas
from llm.text.chat import Message
from llm.text.complete import closed
from llm.text.stop import StopStrings

__all__ = ["RemoteConfig", "RemoteError", "RemoteModel"]

_BACKOFF_S = 0.2  # before the first retry, twice as long before each further one
_CHARS_PER_TOKEN = 16  # at most, over a whole reply: English has 4 to 5
# Its log-odds are -1.7, the negative of the turn machine's `text_bias`: the words then say neither that the
# turn is over nor that it is not, and its sound and the silence decide.
_NEUTRAL = 0.1545


class RemoteModel:
    """Replies as those of `llm.decode.responder`, each over a connection of its own."""

    def __init__(
        self, config: RemoteConfig, generate: GenerateConfig, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Opens no connection. Raises RemoteError for a URL or a key that cannot be used."""
        self._config, self._generate = config, generate
        self._url = checked_url(config.url.rstrip("/") + "/chat/completions")
        headers = {
            "User-Agent": "assistant",
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **self._authorization(environment),
        }
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=config.connect_s),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
            verify=ssl.create_default_context(),
            trust_env=False,  # neither a proxy nor .netrc's passwords
        )

    def prompt(self, history: Sequence[Message], transcript: str) -> Prompt:
        """The messages that ask for a reply to `transcript`; the server makes token ids of them."""
        messages = with_user(history, closed(transcript))
        kept = _fit(messages, self._config.max_prompt_chars)
        return Prompt([], tuple(kept), len(messages) - len(kept))

    async def read_ahead(self, history: Sequence[Message], words: str) -> None:
        """Nothing: a server is asked once."""

    def completeness(self, prefilled: Prefilled) -> float:  # noqa: ARG002  # nothing is in it
        """What leaves the end of the turn to its sound: a server shows no logits of the prompt."""
        return _NEUTRAL

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Generated, None]:
        """Yield Started, Prefilled with the first word, Tokens and Finished, as `llm.decode.generate` does.

        Prefilled has no logits; a Token has no id, and may be several of the server's. Closing the generator
        (`contextlib.aclosing`) or cancelling its task closes the connection, by which the server knows.
        Raises RemoteError, after some Tokens too; the next reply is none the worse for it.
        """
        yield Started()
        # The server has been told how much is wanted; here it is enforced.
        limit, stops = self._generate.max_tokens, StopStrings(self._generate.stop)
        room, number = limit * _CHARS_PER_TOKEN, 0
        async with aclosing(self._deltas(prompt)) as deltas:
            async for delta in deltas:
                number += 1
                if number == 1:
                    yield Prefilled(np.empty((0, 0), np.float32))
                if delta.text:
                    yield Token(-1, stops.push(delta.text[:room]))
                    room -= len(delta.text)
                if finished := _finished(delta, stops, full=room < 0, last=number == limit or room <= 0):
                    yield finished
                    return

    async def _deltas(self, prompt: Prompt) -> AsyncGenerator[Delta, None]:
        """The reply from its first word on; retries until that has come."""
        config, now = self._config, asyncio.get_running_loop().time
        body = request_body(config.model, prompt.history, self._generate)
        deadline, begun = now() + config.first_token_s, False
        for attempt in range(config.retries + 1):
            try:
                async with aclosing(stream_deltas(self._client, self._url, body, config, deadline)) as deltas:
                    async for delta in deltas:
                        begun = True
                        yield delta
            except RemoteError as error:
                wait_s = max(error.retry_after_s, _BACKOFF_S * 2**attempt)
                last = attempt == config.retries
                if begun or last or not error.transient or deadline - now() <= wait_s:
                    raise
                await asyncio.sleep(wait_s)
            else:
                return

    async def close(self) -> None:
        """Close what is open; no reply may follow."""
        await self._client.aclose()

    def _authorization(self, environment: Mapping[str, str]) -> dict[str, str]:
        name = self._config.api_key_env
        if name is None:
            return {}
        key = environment.get(name, "").strip()
        if not key or not (key.isascii() and key.isprintable()):
            raise RemoteError(self._url, f"the environment variable {name} holds no key")
        return {"Authorization": f"Bearer {key}"}


def _finished(delta: Delta, stops: StopStrings, *, full: bool, last: bool) -> Finished | None:
    """How the reply ends with `delta`, if it does. `full`: more came than fits; `last`: no more is wanted."""
    if stops.found:
        return Finished("stop", "")
    if delta.finish and not full:
        return Finished("length" if delta.finish == "length" else "end", stops.flush())
    return Finished("length", stops.flush()) if last else None


def _fit(messages: Sequence[Message], budget: int) -> list[Message]:
    """The messages; without their oldest turns, but with the system's, if they exceed `budget` characters.

    What must be cut is cut to three quarters, so that the prompts of the next turns begin as this one, and
    the server's prefix cache serves them. The last turn stays; if it is too long, the server says so.
    """
    head = 1 if messages[0].role == "system" else 0
    kept = list(messages)
    if _chars(kept) <= budget:
        return kept
    for start in (i for i in range(head + 1, len(messages)) if messages[i].role == "user"):
        kept = [*messages[:head], *messages[start:]]
        if _chars(kept) <= budget * 3 // 4:
            break
    return kept


def _chars(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages)
