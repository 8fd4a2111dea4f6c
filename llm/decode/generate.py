"""From a prompt to a stream of text: prefill, then token by token until a stop."""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import Engine, MultiStepEngine, prefill, step
from llm.decode.multi_step import StepRuns
from llm.decode.reply_text import Piece, ReplyText
from llm.decode.sample import Sampler, Sampling, without
from llm.decode.served import Kernels
from llm.decode.speculate import Lookahead, Speculated, Speculator
from llm.text.message import Call
from llm.text.tokenizer import TextStream, Tokenizer
from llm.text.tool_calls import MARKERS


@dataclass(frozen=True)
class GenerateConfig:
    """When to stop, and how to choose: by default one paragraph, greedily."""

    max_tokens: int = 128
    """However little was said: a sentence is cut there."""
    enough_chars: int = 240
    """The first sentence that ends behind so many characters ends the reply; 0 for none does."""
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling(repetition_penalty=1.1)
    penalize_last_reply: bool = True
    """Whether the penalty on repetition is also on what the last reply said, where the user asks nothing."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.enough_chars < 0:
            raise ValueError(f"max_tokens must be positive, and enough_chars not negative: {self}")


@dataclass(frozen=True)
class Started:
    """The engine has begun with the prompt."""


@dataclass(frozen=True)
class Prefilled:
    """The prompt is in the KV cache. `logits` [k, vocabulary] belong to its last k tokens."""

    logits: NDArray[np.float32]


@dataclass(frozen=True)
class Token:
    """A token was chosen; `text` is what it completes: empty in the middle of a UTF-8 sequence."""

    id: int
    text: str


@dataclass(frozen=True)
class Called:
    """The model wants a function called. `arguments` is the JSON text of an object."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Finished:
    """The reply is over. `text` is what had been held back of it.

    reason: "end" where the model ended it, "tool_calls" where it did so after a Called, "stop" for a stop
    string and where enough was said, "length" where there was no room for more, and "error", which only a
    session says.
    """

    reason: str
    text: str


Generated = Started | Prefilled | Token | Called | Speculated | Kernels | Finished
_Follow = Callable[[list[int]], int]  # the tokens chosen so far, one at least, to the next


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: list[int],
    config: GenerateConfig,
    *,
    tools: Collection[str] = (),
    said: Sequence[int] = (),
    never_first: Sequence[int] = (),
    logits_for: int = 1,
    stopped: Callable[[], bool] = lambda: False,
    speculator: Speculator | None = None,
) -> Generator[Generated, None, None]:
    """Yield Started, Prefilled, Tokens and Finished; ends early, without Finished, once `stopped()`.

    The texts of the tokens and of Finished, joined, are the reply. A call of one of the `tools`, by name, is
    none of it, but a Called behind the token that completes it; see `llm.text.tool_calls`. The penalty on
    repetition is on the tokens `said` before, too. It does not begin with one of `never_first`. A speculator
    changes nothing in it, but reports by Speculated before Finished. Where the engine can sample so on its
    device, decoding is multi-step: nothing is drafted then, or reported. Raises ContextFull when the prompt
    alone does not fit, and BrokenLogits.
    """
    yield Started()
    if stopped():
        return
    logits = prefill(engine, prompt, logits_for)
    yield Prefilled(logits)
    room = engine.context - len(prompt) + 1  # the last token chosen need not enter the cache
    config = replace(config, max_tokens=min(config.max_tokens, room))
    sampler = Sampler(config.sampling)
    said = list(said)
    first = sampler.choose(without(logits[-1], never_first), said)
    decode = partial(_decode, tokenizer, first, config, tools, stopped)
    if isinstance(engine, MultiStepEngine) and engine.can_sample(config.sampling):
        with closing(StepRuns(engine, max_tokens=config.max_tokens, sampling=config.sampling)) as runs:
            for event in decode(lambda chosen: runs.follow(chosen, said)):
                if isinstance(event, Finished):
                    runs.close()
                yield event
        return
    if speculator is None:
        yield from decode(lambda chosen: sampler.choose(step(engine, chosen[-1]), said + chosen))
        return
    with closing(
        Lookahead(
            speculator,
            engine,
            prompt,
            max_tokens=config.max_tokens,
            vocabulary=logits.shape[1],
            ends=tokenizer.eos_ids,
        )
    ) as ahead:
        for event in decode(lambda chosen: sampler.choose(ahead.step(chosen[-1]), said + chosen)):
            if isinstance(event, Finished):
                ahead.close(ended=event.reason in ("end", "tool_calls"))
                yield ahead.report()
            yield event


def _decode(
    tokenizer: Tokenizer,
    token: int,
    config: GenerateConfig,
    tools: Collection[str],
    stopped: Callable[[], bool],
    follow: _Follow,
) -> Iterator[Token | Called | Finished]:
    stream = TextStream(tokenizer, MARKERS if tools else ())
    reply = ReplyText(config.stop, tools, config.enough_chars)
    chosen: list[int] = []
    while not stopped():
        if token in tokenizer.eos_ids:
            yield from _finish(stream, reply, "end")
            return
        chosen.append(token)
        text, calls = reply.push(stream.push(token))
        yield Token(token, text)
        yield from map(_called, calls)
        if reply.stopped:
            yield Finished("stop", "")
            return
        if len(chosen) == config.max_tokens:
            yield from _finish(stream, reply, "length")
            return
        token = follow(chosen)


def _finish(stream: TextStream, reply: ReplyText, reason: str) -> Iterator[Called | Finished]:
    pieces: list[Piece] = [reply.push(stream.flush()), reply.flush()]
    for _, calls in pieces:
        yield from map(_called, calls)
    reason = "tool_calls" if reason == "end" and reply.called else reason
    yield Finished(reason, "".join(text for text, _ in pieces))


def _called(call: Call) -> Called:
    return Called(call.id, call.name, call.arguments)
