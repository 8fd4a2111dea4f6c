"""From a prompt to a stream of text: prefill, then token by token until a stop."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from llm.engine import Engine, prefill, step
from llm.sample import Sampler, Sampling
from llm.served import Kernels
from llm.speculate import Lookahead, Speculated, Speculator
from llm.stop import StopStrings
from llm.tokenizer import TextStream, Tokenizer


@dataclass(frozen=True)
class GenerateConfig:
    """When to stop, and how to choose: by default one paragraph, greedily."""

    max_tokens: int = 72
    stop: tuple[str, ...] = ("\n",)
    sampling: Sampling = Sampling(repetition_penalty=1.1)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be positive: {self}")


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
class Finished:
    """The reply is over: the model ended it, a stop string came, or there is no room for more."""

    reason: str
    text: str


Generated = Started | Prefilled | Token | Speculated | Kernels | Finished
_Follow = Callable[[int], NDArray[np.float32]]  # a token to the logits of what follows it


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: list[int],
    config: GenerateConfig,
    *,
    logits_for: int = 1,
    stopped: Callable[[], bool] = lambda: False,
    speculator: Speculator | None = None,
) -> Generator[Generated, None, None]:
    """Yield Started, Prefilled, Tokens and Finished; ends early, without Finished, once `stopped()`.

    The texts of the tokens and of Finished, joined, are the reply. A speculator changes nothing in it, but
    reports by Speculated before Finished. Raises ContextFull when the prompt alone does not fit, and
    BrokenLogits.
    """
    yield Started()
    if stopped():
        return
    logits = prefill(engine, prompt, logits_for)
    yield Prefilled(logits)
    room = engine.context - len(prompt) + 1  # the last token chosen need not enter the cache
    config = replace(config, max_tokens=min(config.max_tokens, room))
    if speculator is None:
        yield from _decode(tokenizer, logits[-1], config, stopped, partial(step, engine))
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
        for event in _decode(tokenizer, logits[-1], config, stopped, ahead.step):
            if isinstance(event, Finished):
                ahead.close(ended=event.reason == "end")
                yield ahead.report()
            yield event


def _decode(
    tokenizer: Tokenizer,
    logits: NDArray[np.float32],
    config: GenerateConfig,
    stopped: Callable[[], bool],
    follow: _Follow,
) -> Iterator[Token | Finished]:
    sampler, text, stops = Sampler(config.sampling), TextStream(tokenizer), StopStrings(config.stop)
    chosen: list[int] = []
    while not stopped():
        token = sampler.choose(logits, chosen)
        if token in tokenizer.eos_ids:
            yield Finished("end", stops.push(text.flush()) + stops.flush())
            return
        chosen.append(token)
        yield Token(token, stops.push(text.push(token)))
        if stops.found:
            yield Finished("stop", "")
            return
        if len(chosen) == config.max_tokens:
            yield Finished("length", stops.push(text.flush()) + stops.flush())
            return
        logits = follow(token)
