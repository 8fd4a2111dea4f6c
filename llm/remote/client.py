"""A language model on another machine, behind any OpenAI-compatible chat endpoint, streamed."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType

import httpx2
import numpy as np

from llm.decode.generate import Called, Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.reply_text import ReplyText
from llm.decode.responder import Prompt
from llm.remote.calls import CallAssembler
from llm.remote.chat_api import Delta, request_body
from llm.remote.config import RemoteConfig, RemoteError, checked_url
from llm.remote.layout import closed_turns, fit
from llm.remote.sse import MalformedEvent
from llm.remote.stream import stream_deltas
from llm.text.chat import Message

__all__ = ["RemoteConfig", "RemoteError", "RemoteModel"]

_BACKOFF_S = 0.2  # before the first retry, twice as long before each further one
_CHARS_PER_TOKEN = 16  # at most, over a whole reply: English has 4 to 5


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

    takes_tools = True
    """A server that does not know them says so."""

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        """The messages that ask for a reply to `transcript`; the server makes token ids of them.

        Without a transcript they ask for a reply to the history as it stands.
        """
        said = [] if transcript is None else [Message("user", transcript)]
        messages = [*history, *said]
        kept = fit(messages, self._config.max_prompt_chars)
        return Prompt([], tuple(closed_turns(kept)), len(messages) - len(kept), options)

    async def reply(
        self, prompt: Prompt, headers: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncGenerator[Generated, None]:
        """Yield Started, Prefilled with the first word, Tokens, Called and Finished, as `generate` does.

        Prefilled has no logits; a Token has no id, and may be several of the server's. Calls come at the end,
        but for those in the text of a server that does not know its model's form of them. Closing the
        generator (`contextlib.aclosing`) or cancelling its task closes the connection, by which the server
        knows. `headers` go along with the request. Raises RemoteError, after some Tokens too; the next reply
        is none the worse for it.
        """
        yield Started()
        # The server has been told how much is wanted; here it is enforced.
        asked, configured = prompt.options.max_tokens, self._generate
        limit = asked or configured.max_tokens
        text = ReplyText(
            configured.stop,
            prompt.options.callable,
            0 if asked else configured.enough_chars,
        )
        reading, number = _Reading(text, prompt.options, limit * _CHARS_PER_TOKEN), 0
        async with aclosing(self._deltas(prompt, headers)) as deltas:
            async for delta in deltas:
                number += 1
                if number == 1:
                    yield Prefilled(np.empty((0, 0), np.float32))
                for item in reading.push(delta):
                    yield item
                if reason := reading.ended(delta, last=number == limit):
                    for last in self._finish(reading, reason):
                        yield last
                    return

    def _finish(self, reading: "_Reading", reason: str) -> Sequence[Called | Finished]:
        try:
            return [*reading.finish(reason)]
        except MalformedEvent as error:
            raise RemoteError(self._url, str(error)) from None

    async def _deltas(self, prompt: Prompt, headers: Mapping[str, str]) -> AsyncGenerator[Delta, None]:
        """The reply from its first word on; retries until that has come."""
        config, now = self._config, asyncio.get_running_loop().time
        body = request_body(config.model, prompt.history, self._generate, prompt.options)
        deadline, begun = now() + config.first_token_s, False
        for attempt in range(config.retries + 1):
            try:
                answer = stream_deltas(self._client, self._url, body, config, deadline, headers)
                async with aclosing(answer) as deltas:
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


class _Reading:
    """What has come of one reply: its text, its calls, and how many characters there is room for."""

    def __init__(self, text: ReplyText, options: ReplyOptions, room: int) -> None:
        self._text, self._calls, self._room = text, CallAssembler(options.callable), room

    def push(self, delta: Delta) -> Iterator[Token | Called]:
        if delta.text:
            text, calls = self._text.push(delta.text[: max(0, self._room)])
            yield Token(-1, text)
            yield from (Called(call.id, call.name, call.arguments) for call in calls)
        for piece in delta.calls:
            self._calls.push(piece)
        self._room -= len(delta.text) + sum(len(piece.arguments) for piece in delta.calls)

    def ended(self, delta: Delta, *, last: bool) -> str | None:
        """Why the reply ends with `delta`, if it does. `last`: no more is wanted."""
        if self._text.stopped:
            return "stop"
        if delta.finish and self._room >= 0:
            return "length" if delta.finish == "length" else "end"
        return "length" if last or self._room <= 0 else None

    def finish(self, reason: str) -> Iterator[Called | Finished]:
        """Raises MalformedEvent."""
        text, calls = self._text.flush()
        written = [Called(call.id, call.name, call.arguments) for call in calls]
        sent = self._calls.take(whole=reason == "end")
        yield from (*written, *sent)
        called = bool(sent) or self._text.called
        yield Finished("tool_calls" if called and reason == "end" else reason, text)
