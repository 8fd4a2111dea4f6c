"""One language model as the assistant uses it: a history and a transcript in, a reply out."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import Engine, prefill
from llm.decode.generate import Finished, GenerateConfig, Generated, generate
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.served import Kernels, Served
from llm.decode.speculate import Speculator
from llm.text.chat import ChatTemplate, Message
from llm.text.complete import closed, closing_tokens, tokens_behind
from llm.text.conversation import fit
from llm.text.tokenizer import Tokenizer
from llm.text.tool_calls import opening_tokens

_AGAIN = re.compile(r"\b(?:again|repeat|once more)\b", re.IGNORECASE)
_FEW_WORDS = 6
_RARE = 1e-3  # a probability below is taken for this


@dataclass(frozen=True)
class Prompt:
    """Token ids ready for the engine, the messages they contain, how many older ones did not fit, and what
    was asked for."""

    ids: list[int]
    history: tuple[Message, ...]
    dropped: int = 0
    options: ReplyOptions = AS_CONFIGURED


class Responder:
    """Used from one thread, but for `prompt`, which touches no model state."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        config: GenerateConfig,
        speculator: Speculator | None = None,
        take_served: Callable[[], Sequence[Served]] = tuple,
        *,
        tells_ends: bool = False,
    ) -> None:
        """`take_served` says what served the engine's passes since it was asked last.

        `tells_ends`: what `closes` gives is known to tell ends of turns from pauses.
        """
        self._engine, self._tokenizer, self._template = engine, tokenizer, template
        self._config, self._speculator = config, speculator
        self._take_served = take_served
        self._closing = 1 + tokens_behind(template)  # the mark that closes the sentence, and what follows it
        self._ends = closing_tokens(template)
        self.tells_ends = tells_ends
        self._calling = opening_tokens(tokenizer)

    @property
    def takes_tools(self) -> bool:
        """Whether the model's template knows tools; else it is not told of any."""
        return self._template.takes_tools

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        """The prompt that asks for a reply to `transcript`, oldest turns dropped until it fits.

        Without a transcript it asks for a reply to the history as it stands. Raises ChatTemplateError for a
        history that the template refuses.
        """
        messages = asked(history, transcript)
        ids, kept = fit(
            messages,
            self._template,
            context=self._engine.context,
            reserve=self._reserve(options),
            tools=options.shown,
        )
        return Prompt(ids, tuple(kept), len(messages) - len(kept), options)

    def _reserve(self, options: ReplyOptions) -> int:
        """Tokens to leave free for the reply. For one that may be very long no history is dropped."""
        configured = self._config.max_tokens
        return min(options.max_tokens or configured, max(configured, self._engine.context // 4))

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None:
        """Put the prompt up to the user's `words`, more of which may follow, into the KV cache."""
        self._read(history, words, options, 0)

    def closes(
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None:
        """As `read_ahead`; the log-odds that a mark which closes the sentence, or the message's end, is next.

        None where the prompt is too long, or the model is broken.
        """
        logits = self._read(history, transcript, options, 1)
        return None if logits is None else _log_odds(logits[0], self._ends)

    def _read(
        self, history: Sequence[Message], words: str, options: ReplyOptions, logits_for: int
    ) -> NDArray[np.float32] | None:
        prompt = self.prompt(history, words, options)
        if len(prompt.ids) > self._engine.context:
            return None
        return prefill(self._engine, prompt.ids[: -self._closing], logits_for)

    def warm_up(self, history: Sequence[Message]) -> None:
        """Put what every prompt begins with into the KV cache, and run each kernel once."""
        prefill(self._engine, self._template.ids([*history, Message("user", "Hello.")]))
        self._take_served()  # none of it is of a reply

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        """Generate the reply; see `llm.decode.generate`. Before Finished it says which Kernels served.

        Those of a reply that failed or was stopped are told with the next. Raises ContextFull, BrokenLogits,
        EngineOutOfMemory, after which the next reply may succeed, and CudaBroken, after which none will.
        """
        options, config = prompt.options, self._config
        if options.max_tokens:  # who says how long it may be wants no other end
            config = replace(config, max_tokens=options.max_tokens, enough_chars=0)
        tools = options.callable if self.takes_tools else options.calls
        events = generate(
            self._engine,
            self._tokenizer,
            prompt.ids,
            config,
            tools=tools,
            never_first=() if tools else self._calling,
            said=self._said(prompt.history) if config.penalize_last_reply else (),
            stopped=stopped,
            speculator=self._speculator,
        )
        with closing(events):
            for event in events:
                if isinstance(event, Finished) and (served := self._take_served()):
                    yield Kernels(tuple(served))
                yield event

    def _said(self, history: Sequence[Message]) -> list[int]:
        """The tokens of the last reply in `history`; none where the user wants words of it again."""
        if not history or history[-1].role != "user" or _wants_words_again(history[-1].content):
            return []
        replies = (message.content for message in reversed(history) if message.role == "assistant")
        return self._tokenizer.encode(next(replies, ""))


def _log_odds(logits: NDArray[np.float32], tokens: Sequence[int]) -> float | None:
    """Of any of `tokens` against all others, by `logits` [vocabulary]; None if some are not finite."""
    if not np.isfinite(logits).all():
        return None
    wide = logits.astype(np.float64)
    p = float(np.exp(np.logaddexp.reduce(wide[list(tokens)]) - np.logaddexp.reduce(wide)))
    p = min(max(p, _RARE), 1 - _RARE)
    return float(np.log(p / (1 - p)))


def _wants_words_again(text: str) -> bool:
    """Whether an answer may need the words of the last: that of a question, or of a longer request."""
    return "?" in text or len(text.split()) > _FEW_WORDS or _AGAIN.search(text) is not None


def asked(history: Sequence[Message], transcript: str | None) -> list[Message]:
    """The history and, if there is a `transcript`, it as the user's closed sentence.

    It is joined to the user's last message if no word of the reply to that was heard.
    """
    if transcript is None:
        return list(history)
    text = closed(transcript)
    if history and history[-1].role == "user":
        return [*history[:-1], Message("user", f"{history[-1].content} {text}")]
    return [*history, Message("user", text)]
