"""A first look at an engine's speed, in a few seconds on any machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import median

from llm.decode.engine import Engine, step

_PROMPTS = (16, 32, 64, 128)  # tokens, each twice what came before it
_STEPS = 64


@dataclass(frozen=True)
class QuickSpeed:
    """Tokens a second: reading a prompt of `prompt_tokens`, and writing behind it, by the median token."""

    prompt_tokens: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float


def quick_speed(
    engine: Engine,
    ids: Sequence[int],
    limit_s: float = 2.0,
    *,
    now_ns: Callable[[], int] = time.perf_counter_ns,
) -> QuickSpeed:
    """Read ever longer prompts, then write behind the last: each for `limit_s` at most, and a pass longer.

    Prompts and the tokens to write are taken from `ids`, 305 at most, no part twice: the beginning of a
    prompt may be shared with one that was read before. A prompt that would take too long, by the last one,
    is not begun. The first token that is written is not timed.
    """
    left = iter(ids)
    read_ns = _read(engine, left, limit_s * 1e9, now_ns)
    prompt_tokens = len(engine.tokens)
    step(engine, next(left))
    times: list[int] = []
    while sum(times) <= limit_s * 1e9 and len(times) < min(_STEPS, engine.context - prompt_tokens - 1):
        times.append(_ns(partial(step, engine, next(left)), now_ns))
    return QuickSpeed(prompt_tokens, 1e9 * prompt_tokens / read_ns, 1e9 / median(times))


def _read(engine: Engine, left: Iterator[int], limit_ns: float, now_ns: Callable[[], int]) -> int:
    """Nanoseconds of the last and longest prompt, which stays read."""
    spent = took = 0
    for length in _PROMPTS:
        if spent + 2 * took > limit_ns or length + 2 > engine.context:
            break
        engine.truncate(0)
        took = _ns(partial(engine.extend, list(islice(left, length))), now_ns)
        spent += took
    return took


def _ns(work: Callable[[], object], now_ns: Callable[[], int]) -> int:
    start = now_ns()
    work()
    return now_ns() - start
