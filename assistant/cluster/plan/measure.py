"""Measuring what conversations cost here: recordings through the real engines, one session at a time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from assistant.audio import Clip
from assistant.cluster.plan.costs import Costs, Memory, Passes, Shared, TurnCost, with_rest
from assistant.cluster.plan.engines import crowding, decode_passes
from assistant.cluster.plan.errors import PlanError
from assistant.cluster.plan.threads import LOOP, NATIVE, cpu_by_thread, spent
from assistant.cluster.plan.turn_rows import busy_s, turn_rows
from assistant.config import Config
from assistant.models.load import load_pool, locate
from assistant.models.pool import ModelPool
from assistant.models.store import ModelStore
from assistant.runtime import Clock, Recorder
from assistant.runtime.machine import machine
from assistant.session.stages import Skills
from assistant.trace.recording import Recording
from assistant.trace.replay import Replay, Replayer, dealt
from assistant.trace.trace import read_trace

_AT_ONCE = 8
"""Sessions that are held side by side to see what each adds."""
_LONG = 3
"""Recordings that each of them speaks."""


@dataclass(frozen=True)
class _Unrecorded:
    """What a recording would add to."""

    memory: Memory
    listen: Shared
    loop: Shared


def measure(
    clips: Sequence[Clip], config: Config, repetitions: int, commit: str, skills: Callable[[], Skills]
) -> Costs:
    """Take every clip `repetitions` times, in real time. Raises PlanError, AudioError and ModelStoreError."""
    if config.llm.is_remote:
        raise PlanError("what a language model on another machine costs cannot be measured here")
    labelled = [clip for clip in clips if None not in (clip.speech_start_sample, clip.speech_end_sample)]
    if not labelled:
        raise PlanError("no recording says where its speech begins and ends; see the labels of an index.json")
    idle = _unrecorded(labelled, config, skills)  # first: what ran before would leave memory behind
    passes, width = decode_passes(config.llm)
    rounds = [_round(labelled, config, skills, passes, width) for _ in range(repetitions)]
    if not any(rounds):
        raise PlanError("no recording was answered")
    return Costs(
        date=datetime.now(UTC).date().isoformat(),
        commit=commit,
        machine=machine(),
        turns=tuple(turn for each in rounds for turn in each),
        listen=idle.listen,
        loop=idle.loop,
        llm_width=width,
        passes=passes,
        crowding=crowding(config),
        memory=idle.memory,
        spread=_spread(rounds),
    )


def _spread(rounds: Sequence[Sequence[TurnCost]]) -> Mapping[str, Sequence[float]]:
    figures = {name: [_mean(turns, name) for turns in rounds] for name in _SPREAD}
    return {f"{name}, mean": (min(values), max(values)) for name, values in figures.items()}


_SPREAD = ("partial_ms", "final_ms", "score_ms", "prompt_ms", "first_chunk_ms", "chunk_ms", "ttfa_ms")


def _mean(turns: Sequence[TurnCost], name: str) -> float:
    return float(sum(getattr(turn, name) for turn in turns)) / max(1, len(turns))


def _round(
    clips: Sequence[Clip], config: Config, skills: Callable[[], Skills], passes: Passes, width: float
) -> Sequence[TurnCost]:
    """What one repetition gave."""
    with TemporaryDirectory() as folder:
        where, clock = Path(folder) / "trace", Clock()
        recording = Recording(where, config, clock, _ignore)
        try:
            with ExitStack() as stack:
                pool = load_pool(config, locate(config, ModelStore()), clock, recording.tap, skills)
                stack.callback(pool.close)
                before = cpu_by_thread()
                replay = _play(clips, pool, config, recording)
                cpu = spent(before, cpu_by_thread())
        finally:
            recording.close()
        trace = read_trace(where)
    share = {
        "asr": cpu["asr"] / (busy_s(trace, "asr.") + busy_s(trace, "score")),
        "tts": cpu["tts"] / (busy_s(trace, "tts.") or 1.0),
    }
    llm_s = busy_s(trace, "llm.re")  # replies and reading ahead
    share["llm"] = (cpu["llm"] + cpu[NATIVE]) / (llm_s or 1.0) / width
    return [with_rest(turn, passes) for turn in turn_rows(trace, clips, replay.turns, share)]


def _play(
    clips: Sequence[Clip], pool: ModelPool, config: Config, recording: Recording | None, sessions: int = 1
) -> Replay:
    replayer = Replayer(pool, config, Clock(), Recorder(), recording=recording)
    return asyncio.run(replayer.replay(dealt(clips, sessions=sessions)))


def _unrecorded(clips: Sequence[Clip], config: Config, skills: Callable[[], Skills]) -> _Unrecorded:
    """Memory, of which some sessions at once add their mean in a first turn; and what listening takes."""
    room = replace(config, llm=replace(config.llm, sessions=max(_AT_ONCE, config.llm.sessions)))
    pool = load_pool(room, locate(room, ModelStore()), Clock(), None, skills)
    try:
        _play(clips[:1], pool, room, None)
        one_mb = _resident_mb()
        listen, loop = _listening(clips[: len(clips) // 2 + 1], pool, room, 1)
        several = [
            clip for clip in clips[:_LONG] for _ in range(_AT_ONCE)
        ]  # all say the same, and equally long
        many, many_loop = _listening(several, pool, room, _AT_ONCE)
        others = _AT_ONCE - 1
        memory = Memory(one_mb, max(0.0, (_resident_mb() - one_mb) / others))
        more, more_loop = (max(0.0, many - listen) / others, max(0.0, many_loop - loop) / others)
        return _Unrecorded(memory, Shared(listen, more), Shared(loop, more_loop))
    finally:
        pool.close()


def _listening(clips: Sequence[Clip], pool: ModelPool, config: Config, sessions: int) -> tuple[float, float]:
    """Cores that voice detection and event loop keep busy, and the event loop alone."""
    clock = Clock()
    start_s, before = clock.now_ns() / 1e9, cpu_by_thread()
    _play(clips, pool, config, None, sessions)
    cpu, elapsed_s = spent(before, cpu_by_thread()), clock.now_ns() / 1e9 - start_s
    return (cpu["vad"] + cpu[LOOP]) / elapsed_s, cpu[LOOP] / elapsed_s


def _resident_mb() -> float:
    resident: int = psutil.Process().memory_info().rss
    return resident / 1e6


def _ignore(_: str) -> None:
    """A trace that ends early is found when it is read."""
