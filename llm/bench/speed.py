"""Decoding, reading a prompt, a follow-up turn, and loading: ours beside llama.cpp's."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from llm.bench.entry import Entry, Goal
from llm.bench.llama import LlamaCpp
from llm.bench.rounds import Timing, by_turns
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.engine import Engine, prefill, step
from llm.gguf.file import open_gguf

OURS, F32, THEIRS = "ours", "f32", "theirs"
"""Ours has int8 keys and values, as the assistant; llama.cpp's are float16, its default."""
_DECODE = (Goal("ratio", ">=", 1.5),)
_PREFILL = (Goal("ratio", ">=", 2.5),)
_FOLLOW_UP = (Goal("ours", "<=", 40.0), Goal("ratio", "<=", 1 / 3))
_LOAD = (Goal("ours", "<=", 1.0),)


def decode(
    engines: Mapping[str, Engine], ids: Sequence[int], depth: int, steps: int, timing: Timing
) -> list[Entry]:
    """Tokens a second with `depth` tokens before the first; the next is read from `ids`, not chosen."""

    def rate(engine: Engine) -> Callable[[], float]:
        def write() -> None:
            for token in ids[depth : depth + steps]:
                step(engine, token)

        def measure() -> float:
            prefill(engine, ids[:depth])
            return steps / timing.seconds(write)

        return measure

    samples = by_turns({name: rate(engine) for name, engine in engines.items()}, timing.rounds)
    return _entries(f"decode at {depth} tokens", "tok/s", samples, _DECODE)


def prompt(engines: Mapping[str, Engine], ids: Sequence[int], tokens: int, timing: Timing) -> list[Entry]:
    """Tokens a second of reading a prompt, up to the logits of its last token."""

    def rate(engine: Engine) -> Callable[[], float]:
        def measure() -> float:
            engine.truncate(0)
            return tokens / timing.seconds(lambda: engine.extend(ids[:tokens]))

        return measure

    samples = by_turns({name: rate(engine) for name, engine in engines.items()}, timing.rounds)
    return _entries(f"prefill of {tokens} tokens", "tok/s", samples, _PREFILL)


def follow_up(
    engines: Mapping[str, Engine], ids: Sequence[int], held: int, new: int, timing: Timing
) -> list[Entry]:
    """Milliseconds to the first token of a reply to `new` tokens, behind `held` ones in the cache."""

    def wait(engine: Engine) -> Callable[[], float]:
        def measure() -> float:
            prefill(engine, ids[:held])
            return 1000 * timing.seconds(lambda: prefill(engine, ids[: held + new])[-1].argmax())

        return measure

    samples = by_turns({name: wait(engine) for name, engine in engines.items()}, timing.rounds)
    return _entries(f"first token, {new} new behind {held}", "ms", samples, _FOLLOW_UP)


def load(path: Path, config: CpuConfig, cache: Path, timing: Timing, *, theirs: bool) -> list[Entry]:
    """Seconds from a file to a model, first with nothing prepared, then from the graphs in `cache`."""

    def ours(graphs: Path) -> float:
        return timing.seconds(lambda: CpuModel(open_gguf(path), config, graphs))

    def llama_cpp() -> float:
        return timing.seconds(lambda: LlamaCpp(path, config.context, config.threads or 1).close())

    with tempfile.TemporaryDirectory() as nothing:
        first = ours(Path(nothing))
    contenders: dict[str, Callable[[], float]] = {OURS: lambda: ours(cache)}
    if theirs:
        contenders[THEIRS] = llama_cpp
    again = by_turns(contenders, timing.rounds)
    return [
        Entry("load, first start", "s", (first,), again.get(THEIRS)),
        Entry("load, second start", "s", again[OURS], again.get(THEIRS), _LOAD),
    ]


def _entries(
    name: str, unit: str, samples: Mapping[str, tuple[float, ...]], goals: tuple[Goal, ...]
) -> list[Entry]:
    theirs = samples.get(THEIRS)
    entries = [Entry(name, unit, samples[OURS], theirs, goals)]
    if F32 in samples:
        entries.append(Entry(f"{name}, f32 KV", unit, samples[F32], theirs))
    return entries
