"""How fast an engine reads a prompt and writes a reply."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from llm.decode.engine import Engine, step

_REPEATS = 3  # of the prompt


@dataclass(frozen=True)
class DecodeSpeed:
    """Median time of one token with `context` tokens and a few more before it."""

    context: int
    ms: float


@dataclass(frozen=True)
class Speed:
    """`prefill_tokens_per_s` is that of a prompt of `prefill_tokens`, with the logits of its last token."""

    prefill_tokens: int
    prefill_tokens_per_s: float
    decode: tuple[DecodeSpeed, ...]


def speed(
    engine: Engine,
    ids: Sequence[int],
    contexts: Sequence[int] = (128, 1024),
    prefill_tokens: int = 512,
    *,
    steps: int = 32,
    now_ns: Callable[[], int] = time.perf_counter_ns,
) -> Speed:
    """Time the engine on `ids`: the median of three prompts, and of `steps` tokens after each context.

    The next token is read from `ids`: choosing it is not part of the time. Each measurement comes after
    one of its kind that is not timed. Raises ValueError if `ids` are too few, and ContextFull.
    """
    needed = max([prefill_tokens, *(context + steps + 1 for context in contexts)])
    if min([prefill_tokens, steps, *contexts]) < 1 or len(ids) < needed:
        raise ValueError(
            f"{len(ids)} tokens to time at {list(contexts)} and {prefill_tokens}; {needed} needed"
        )

    def read() -> None:
        engine.truncate(0)
        engine.extend(ids[:prefill_tokens])

    read()
    prefill_ms = median(_ms(read, now_ns) for _ in range(_REPEATS))
    decode = tuple(DecodeSpeed(n, _decode_ms(engine, ids, n, steps, now_ns)) for n in contexts)
    return Speed(prefill_tokens, 1000 * prefill_tokens / prefill_ms, decode)


def _decode_ms(
    engine: Engine, ids: Sequence[int], context: int, steps: int, now_ns: Callable[[], int]
) -> float:
    engine.truncate(0)
    engine.extend(ids[:context], 0)
    step(engine, ids[context])
    times = [_ms(partial(step, engine, token), now_ns) for token in ids[context + 1 : context + 1 + steps]]
    return median(times)


def _ms(work: Callable[[], object], now_ns: Callable[[], int]) -> float:
    start_ns = now_ns()
    work()
    return (now_ns() - start_ns) / 1e6
