"""Several sessions at once: how much they write together, and how long one waits for another's prompt."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from statistics import median
from threading import Barrier, BrokenBarrierError
from time import perf_counter

from llm.bench.entry import Entry, Goal
from llm.bench.rounds import Timing, by_turns
from llm.cpu.model import CpuModel
from llm.decode.engine import Engine, MultiStepEngine, prefill, step
from llm.decode.multi_step import StepRuns
from llm.decode.sample import Sampler, Sampling
from llm.serve.batch import Logits
from llm.serve.sessions import SlotEngine

CHUNK = 64
"""Tokens of a prompt that are read between two steps of another session; see `llm.serve.batch.Batcher`."""


def throughput(model: CpuModel, prompts: Sequence[Sequence[int]], tokens: int, timing: Timing) -> Entry:
    """Tokens a second of a session for each prompt, all at once, beside the first session alone."""
    rates = {
        name: partial(rate, model.open, some, tokens, Sampling())
        for name, some in (("all", prompts), ("one", prompts[:1]))
    }
    samples = by_turns(rates, timing.rounds)
    goals = (Goal("ratio", ">=", 1.8),)
    return Entry(
        f"{len(prompts)} sessions at once", "tok/s", samples["all"], samples["one"], goals, "one alone"
    )


def follow(engine: Engine, prompt: Sequence[int], tokens: int, sampling: Sampling) -> Iterator[int]:
    """A reply of so many tokens, whatever they are."""
    sampler = Sampler(sampling)
    chosen = [sampler.choose(prefill(engine, prompt)[-1], [])]
    yield chosen[0]
    ahead = isinstance(engine, MultiStepEngine) and engine.can_sample(sampling)
    runs = StepRuns(engine, max_tokens=tokens, sampling=sampling) if ahead else None  # type: ignore[arg-type]
    while len(chosen) < tokens:
        chosen.append(runs.follow(chosen) if runs else sampler.choose(step(engine, chosen[-1]), chosen))
        yield chosen[-1]


def rate(
    open_session: Callable[[], SlotEngine],
    prompts: Sequence[Sequence[int]],
    tokens: int,
    sampling: Sampling,
    now_s: Callable[[], float] = perf_counter,
) -> float:
    """Tokens a second of a session for each prompt, from when all have read theirs."""
    begun: list[float] = []
    barrier = Barrier(len(prompts), action=lambda: begun.append(now_s()))

    def write(engine: SlotEngine, prompt: Sequence[int]) -> None:
        reply = follow(engine, prompt, tokens + 1, sampling)
        try:
            next(reply)
            barrier.wait()
            assert sum(1 for _ in reply) == tokens
        except BaseException:
            barrier.abort()  # or the others would wait for this one
            raise

    with ExitStack() as stack:
        engines = [stack.enter_context(open_session()) for _ in prompts]
        pool = stack.enter_context(ThreadPoolExecutor(len(engines)))
        writing = [pool.submit(write, *pair) for pair in zip(engines, prompts, strict=True)]
        failed = [error for one in writing if (error := one.exception()) is not None]
        for error in sorted(failed, key=lambda error: isinstance(error, BrokenBarrierError)):
            raise error  # the one that the others failed for
        return tokens * len(prompts) / (now_s() - begun[0])


def fairness(
    model: CpuModel, prompt: Sequence[int], neighbour: Sequence[int], steps: int, timing: Timing
) -> Entry:
    """The longest gap between two tokens of a session while another reads the prompt `neighbour`.

    Beside it: three times the median gap alone, and one chunk, the last, of that prompt.
    """
    gaps: list[float] = []
    bounds: list[float] = []
    with model.open() as one, model.open() as other, ThreadPoolExecutor(1) as pool:
        for _ in range(timing.rounds + 1):
            chunk = _chunk_seconds(other, neighbour, timing)
            token = int(prefill(one, prompt)[-1].argmax())
            alone = _gaps(one, token, timing, partial(_is_short, one, len(prompt) + steps))
            prefill(one, prompt)
            other.truncate(0)
            reading = pool.submit(other.extend, neighbour)
            beside = _gaps(one, token, timing, partial(_goes_on, reading, one))
            reading.result()
            gaps.append(1000 * max(beside))
            bounds.append(1000 * (3 * median(alone) + chunk))
    return Entry(
        f"longest gap while another reads {len(neighbour)} tokens",
        "ms",
        tuple(gaps[1:]),  # the first is to warm up
        tuple(bounds[1:]),
        (Goal("ratio", "<=", 1.0),),
        "3 x the gap alone + a chunk",
    )


def _chunk_seconds(engine: Engine, tokens: Sequence[int], timing: Timing) -> float:
    prefill(engine, tokens[:-CHUNK])
    return timing.seconds(lambda: engine.extend(tokens[-CHUNK:], 0))


def _gaps(engine: Engine, token: int, timing: Timing, more: Callable[[], bool]) -> list[float]:
    """Seconds between the tokens of a greedy reply that begins with `token`; at least one."""
    gaps: list[float] = []
    last_ns = timing.now_ns()
    while not gaps or more():
        token = int(step(engine, token).argmax())
        now_ns = timing.now_ns()
        gaps.append((now_ns - last_ns) / 1e9)
        last_ns = now_ns
    return gaps


def _is_short(engine: Engine, length: int) -> bool:
    return len(engine.tokens) < length


def _goes_on(reading: Future[Logits], engine: Engine) -> bool:
    return not reading.done() and len(engine.tokens) < engine.context
