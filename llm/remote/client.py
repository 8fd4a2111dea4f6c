"""A language model on another machine, behind any OpenAI-compatible chat endpoint, streamed."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np

from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.responder import Prompt, with_user
from llm.remote.chat_api import Delta, read_delta, refusal, request_body, retry_after_s
from llm.remote.endpoint import Answer, Endpoint
from llm.remote.patience import Patience, RemoteError, Unwanted
from llm.remote.sse import EventStream, MalformedEvent
from llm.text.chat import Message
from llm.text.complete import closed
from llm.text.stop import StopStrings

__all__ = ["RemoteConfig", "RemoteError", "RemoteWriter"]

Deltas = Generator[Delta, None, None]

_BUSY = (429, 502, 503, 504)
_BACKOFF_S = 0.2  # before the first retry, twice as long before each further one
_CHARS_PER_TOKEN = 16  # at most, over a whole reply: English has 4 to 5
# Its log-odds are -1.7, the negative of the turn machine's `text_bias`: the words then say neither that the
# turn is over nor that it is not, and its sound and the silence decide.
_NEUTRAL = 0.1545


@dataclass(frozen=True)
class RemoteConfig:
    """Where the model is and how long to wait for it, in seconds."""

    url: str = ""
    """Up to and with the version, as in http://127.0.0.1:8000/v1."""
    model: str = ""
    """The name by which the server knows the model; a server that has only one may ignore it."""
    api_key_env: str | None = None
    """The environment variable that holds the key: a key does not belong into a file."""
    connect_s: float = 3.0
    first_token_s: float = 10.0
    """From the request to the first word, retries included."""
    between_tokens_s: float = 5.0
    retries: int = 2
    """Before the first word only: after it, another reply would begin in the middle of this one."""
    max_prompt_chars: int = 16_000
    """About 4000 tokens of English. A longer history loses its oldest turns."""

    def __post_init__(self) -> None:
        times = (self.connect_s, self.first_token_s, self.between_tokens_s)
        if not all(0 < seconds <= 3600 for seconds in times):
            raise ValueError("connect_s, first_token_s and between_tokens_s must be in (0, 3600]")
        if not 0 <= self.retries <= 10 or self.max_prompt_chars < 1:
            raise ValueError("retries must be 0 to 10, and max_prompt_chars at least 1")


class RemoteWriter:
    """Replies as `llm.decode.responder` writes them, each over a connection of its own."""

    def __init__(
        self, config: RemoteConfig, generate: GenerateConfig, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Opens no connection. Raises RemoteError for a URL or a key that cannot be used."""
        self._config, self._generate = config, generate
        self._endpoint = Endpoint.parse(config.url.rstrip("/") + "/chat/completions")
        self._headers = [
            ("User-Agent", "assistant"),
            ("Content-Type", "application/json"),
            ("Accept", "text/event-stream"),
            ("Accept-Encoding", "identity"),
            *self._authorization(environment),
        ]

    def prompt(self, history: Sequence[Message], transcript: str) -> Prompt:
        """The messages that ask for a reply to `transcript`; the server makes token ids of them."""
        messages = with_user(history, closed(transcript))
        kept = _fit(messages, self._config.max_prompt_chars)
        return Prompt([], tuple(kept), len(messages) - len(kept))

    def read_ahead(self, history: Sequence[Message], words: str) -> None:
        """Nothing: a server is asked once."""

    def completeness(self, prefilled: Prefilled) -> float:  # noqa: ARG002  # nothing is in it
        """What leaves the end of the turn to its sound: a server shows no logits of the prompt."""
        return _NEUTRAL

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        """Yield Started, Prefilled with the first word, Tokens and Finished, as `llm.decode.generate` does.

        Prefilled has no logits; a Token has no id, and may be several of the server's. Once `stopped()`,
        asked at least every 50 ms, the connection is closed, by which the server knows, and there is no
        Finished. Raises RemoteError, after some Tokens too; the next reply is none the worse for it.
        """
        yield Started()
        try:
            with closing(self._deltas(prompt, stopped)) as deltas:
                yield from self._generated(deltas)
        except Unwanted:
            return

    def _generated(self, deltas: Deltas) -> Iterator[Generated]:
        """The server has been told how much is wanted; here it is enforced."""
        limit, stops = self._generate.max_tokens, StopStrings(self._generate.stop)
        room = limit * _CHARS_PER_TOKEN
        for number, delta in enumerate(deltas, start=1):
            if number == 1:
                yield Prefilled(np.empty((0, 0), np.float32))
            if delta.text:
                yield Token(-1, stops.push(delta.text[:room]))
                room -= len(delta.text)
            if stops.found:
                yield Finished("stop", "")
                return
            if delta.finish and room >= 0:
                yield Finished("length" if delta.finish == "length" else "end", stops.flush())
                return
            if number == limit or room <= 0:
                yield Finished("length", stops.flush())
                return

    def _deltas(self, prompt: Prompt, stopped: Callable[[], bool]) -> Deltas:
        """The reply from its first word on; retries until that has come."""
        body = request_body(self._config.model, prompt.history, self._generate)
        first = self._patience(stopped, self._config.first_token_s, "no word of a reply")
        for attempt in range(self._config.retries + 1):
            begun = False
            try:
                with closing(self._attempt(body, first)) as deltas:
                    for delta in deltas:
                        begun = True
                        yield delta
            except MalformedEvent as error:
                raise self._error(str(error)) from None
            except RemoteError as error:
                wait_s = max(error.retry_after_s, _BACKOFF_S * 2**attempt)
                last = attempt == self._config.retries
                if begun or last or not error.transient or first.left_s() <= wait_s:
                    raise
                first.sleep(wait_s)
            else:
                return

    def _attempt(self, body: bytes, patience: Patience) -> Deltas:
        """One request; raises MalformedEvent too.

        White space before the first word is left out: a server that hides the thoughts of its model still
        sends the empty line that follows them, and with that the reply would be over.
        """
        begun, events = False, EventStream()
        with self._endpoint.post(body, self._headers, self._config.connect_s, patience) as answer:
            self._check(answer, patience)
            while data := answer.read(patience):
                for event in events.push(data):
                    delta = read_delta(event)
                    text = delta.text if begun else delta.text.lstrip()
                    if not text and not delta.finish:
                        continue
                    begun = True
                    yield Delta(text, delta.finish)
                    if delta.finish:
                        return
                    # Counted from here, as whoever reads this may take his time.
                    seconds = self._config.between_tokens_s
                    patience = self._patience(patience.stopped, seconds, "no more of the reply")
        raise self._error("ended the stream before the reply was over", transient=True)

    def _check(self, answer: Answer, patience: Patience) -> None:
        status, headers = answer.head(patience)
        if status != HTTPStatus.OK:
            what = refusal(status, self._config.api_key_env)
            wait_s = retry_after_s(headers.get("retry-after", ""))
            raise self._error(what, status, transient=status in _BUSY, retry_after_s=wait_s)
        if not headers.get("content-type", "").lower().startswith("text/event-stream"):
            raise self._error("answers, but does not stream", status)

    def _patience(self, stopped: Callable[[], bool], seconds: float, missing: str) -> Patience:
        what = f"{missing} within {seconds:g} s"
        return Patience(self._endpoint.url, stopped, time.monotonic() + seconds, what)

    def _authorization(self, environment: Mapping[str, str]) -> list[tuple[str, str]]:
        name = self._config.api_key_env
        if name is None:
            return []
        key = environment.get(name, "").strip()
        if not key or not (key.isascii() and key.isprintable()):
            raise self._error(f"the environment variable {name} holds no key")
        return [("Authorization", f"Bearer {key}")]

    def _error(
        self, what: str, status: int | None = None, *, transient: bool = False, retry_after_s: float = 0.0
    ) -> RemoteError:
        url = self._endpoint.url
        return RemoteError(url, what, status, transient=transient, retry_after_s=retry_after_s)


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
