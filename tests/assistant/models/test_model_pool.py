"""The pool: its places, what a session has of its own there, and what all sessions share."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from asr.audio import AudioSpan
from asr.stabilize import Partial
from asr.vad import VadState
from asr.words import Hypothesis
from assistant.models.pool import HearingModels, ModelPool, Models, Opened, PoolBusy, frozen, on_worker
from assistant.runtime import Clock, Worker
from assistant.runtime.machine import usable_threads
from assistant.session.stages import Audio, Stages, Utterance
from llm.decode.generate import Finished, Generated, Prefilled, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk

LIMIT_S = 10.0


@dataclass
class Called:
    """What was asked of one session's model, by one thread at a time."""

    name: str
    calls: list[object] = field(default_factory=list)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def note(self, call: object) -> None:
        assert self._busy.acquire(blocking=False), "two threads in one session's model"
        self.calls.append(call)
        self._busy.release()


class Generator(Called):
    takes_tools = False
    tells_ends = False

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None:
        self.note(words)

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        self.note(transcript)
        return Prompt([1], tuple(history))

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        for number in range(3):
            self.note(number)
            yield Token(number, f"{self.name}{number} ")
        yield Finished("end", "")

    def completeness(self, prefilled: Prefilled) -> float:
        return 0.5


class Transcriber(Called):
    def begin(self, start_sample: int = 0) -> None:
        self.note(("begin", start_sample))

    def partial(self, stretch: AudioSpan) -> Partial:
        self.note(("partial", stretch.start_sample))
        return Partial(self.name, "")

    def final(self, stretch: AudioSpan) -> Hypothesis:
        self.note(("final", stretch.start_sample))
        return Hypothesis(self.name, (), 0)


@dataclass
class Fakes:
    """A language model of `places`, and transcribers; what was opened and closed of it."""

    places: int = 9
    generators: list[Generator] = field(default_factory=list)
    transcribers: list[Transcriber] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    vad_states: list[int] = field(default_factory=list)
    fails: Exception | None = None
    fails_to_close: Exception | None = None

    kv_bytes = 0

    def open(self, worker: Worker, clock: Clock) -> Opened:
        assert len(self.generators) - len(self.closed) < self.places, "more sequences than places"
        generator = Generator(f"g{len(self.generators)}")
        self.generators.append(generator)
        return on_worker(generator, lambda: self._close(generator.name), worker, clock)

    def _close(self, name: str) -> None:
        self.closed.append(name)
        if self.fails_to_close:
            raise self.fails_to_close

    def transcriber(self) -> Transcriber:
        if self.fails:
            raise self.fails
        self.transcribers.append(Transcriber(f"t{len(self.transcribers)}"))
        return self.transcribers[-1]

    # The models that all sessions share

    def probabilities(self, windows: Sequence[Audio], states: Sequence[VadState]) -> list[float]:
        self.vad_states.extend(map(id, states))
        return [float(window[0]) for window in windows]

    def probability(self, turn: Audio) -> float:
        return float(turn[0])

    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        for word in phrase.split():
            yield SpeechChunk(np.zeros(4, np.float32), 24000, word)

    def models(self) -> Models:
        hearing = HearingModels(self, self, self.transcriber)  # type: ignore[arg-type]
        return Models(self, hearing, self)


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def pool(fakes: Fakes) -> Iterator[ModelPool]:
    fakes.places = 2
    pool = ModelPool(fakes.models(), Clock(), sessions=2)
    yield pool
    pool.close()


def close(stages: Stages) -> None:
    async def main() -> None:
        await stages.close()

    asyncio.run(main())


def test_as_many_sessions_are_opened_as_there_are_places(pool: ModelPool, fakes: Fakes) -> None:
    first, _second = pool.open(), pool.open()
    assert pool.taken == 2
    for _ in range(2):
        with pytest.raises(PoolBusy, match="all 2 sessions are taken") as caught:
            pool.open()
        assert caught.value.sessions == 2
    assert len(fakes.generators) == 2  # nothing was opened for those that were refused
    close(first)
    assert (pool.taken, fakes.closed) == (1, ["g0"])
    pool.open()
    with pytest.raises(PoolBusy):
        pool.open()


def test_a_place_is_given_back_once(pool: ModelPool, fakes: Fakes) -> None:
    first, second = pool.open(), pool.open()
    for _ in range(3):
        close(first)
    assert (pool.taken, fakes.closed) == (1, ["g0"])
    close(second)
    assert (pool.taken, fakes.closed) == (0, ["g0", "g1"])


def test_a_session_that_cannot_be_opened_takes_no_place(pool: ModelPool, fakes: Fakes) -> None:
    fakes.fails = MemoryError("no room for a transcriber")
    for _ in range(3):
        with pytest.raises(MemoryError):
            pool.open()
    assert pool.taken == 0
    assert fakes.closed == [generator.name for generator in fakes.generators]
    fakes.fails = None
    pool.open()


def test_a_language_model_without_a_place_takes_none_of_the_pool(pool: ModelPool, fakes: Fakes) -> None:
    fakes.places = 0
    with pytest.raises(AssertionError, match="more sequences"):
        pool.open()
    assert pool.taken == 0


def test_closing_gives_the_place_back_even_after_an_error(pool: ModelPool, fakes: Fakes) -> None:
    fakes.fails_to_close = OSError("the device is gone")
    first = pool.open()
    with pytest.raises(OSError, match="gone"):
        close(first)
    close(first)
    assert pool.taken == 0
    pool.open()


def test_what_is_not_loaded_is_not_there(fakes: Fakes) -> None:
    pool = ModelPool(Models(fakes), Clock())
    stages = pool.open()
    assert stages.hearing is None and stages.synthesizer is None
    pool.close()


def utterance(start: int) -> Utterance:
    return Utterance(start, AudioSpan(np.zeros(16, np.float32), start))


async def use(stages: Stages, number: int) -> list[str]:
    """Every stage of one session, twice; what its own models said."""
    said: list[str] = []
    hearing = stages.hearing
    assert hearing and stages.synthesizer
    for turn in range(2):
        start = 1000 * number + 100 * turn
        window = np.full(512, number / 10 + turn / 100, np.float32)
        assert await hearing.detector.probability(window) == pytest.approx(window[0])
        assert await hearing.scorer.probability(window) == pytest.approx(window[0])
        partial = await hearing.recognizer.partial(lambda start=start: utterance(start))  # type: ignore[misc]
        assert partial is not None
        said.append(partial.stable)
        assert await hearing.recognizer.partial(lambda: None) is None
        said.append((await hearing.recognizer.final(utterance(start))).text)
        await stages.language.read_ahead([], f"words of {number}", lambda: True)
        await stages.language.read_ahead([], "never", lambda: False)
        prompt = stages.language.prompt([], f"question of {number}")
        async for item in stages.language.reply(prompt, lambda: (0, 0)):
            if isinstance(item, Token):
                said.append(item.text)
        spoken = [chunk.text async for chunk in stages.synthesizer.speak(f"{number} a", lambda: (0, 0))]
        assert spoken == [str(number), "a"]
    return said


def test_sessions_at_a_time_never_see_each_others_calls(fakes: Fakes) -> None:
    pool = ModelPool(fakes.models(), Clock(), sessions=4)

    async def main() -> list[list[str]]:
        async with asyncio.timeout(LIMIT_S):
            return await asyncio.gather(*(use(pool.open(), number) for number in range(4)))

    said = asyncio.run(main())
    pool.close()
    for number in range(4):
        assert said[number] == 2 * [
            f"t{number}",
            f"t{number}",
            f"g{number}0 ",
            f"g{number}1 ",
            f"g{number}2 ",
        ]
        first, second = 1000 * number, 1000 * number + 100
        assert fakes.transcribers[number].calls == [
            ("begin", first),
            ("partial", first),
            ("final", first),
            ("begin", second),
            ("partial", second),
            ("final", second),
        ]
        turn = [f"words of {number}", f"question of {number}", 0, 1, 2]
        assert fakes.generators[number].calls == turn * 2
    states = fakes.vad_states
    assert len(states) == 8 and {states.count(state) for state in states} == {2}  # a state for each session


def test_the_threads_have_names_and_end(fakes: Fakes) -> None:
    before = set(threading.enumerate())
    pool = ModelPool(fakes.models(), Clock(), sessions=3)
    names = [thread.name for thread in threading.enumerate() if thread not in before]
    recognition = ["asr"] * min(3, usable_threads())
    assert sorted(names) == [*recognition, "llm", "llm", "llm", "tts", "vad"]
    pool.close()
    assert set(threading.enumerate()) == before


def test_a_place_is_not_given_back_in_the_middle_of_a_step(pool: ModelPool, fakes: Fakes) -> None:
    """Who gets it next would write into the keys and values that the pass is writing."""
    stages = pool.open()
    entered, go = threading.Event(), threading.Event()
    running = False

    def reply(_prompt: Prompt, _stopped: Callable[[], bool]) -> Iterator[Generated]:
        nonlocal running
        running = True
        entered.set()
        go.wait(LIMIT_S)
        running = False
        yield Token(0, "")

    closed_in_a_step: list[bool] = []
    fakes._close = lambda _name: closed_in_a_step.append(running)  # type: ignore[method-assign]
    fakes.generators[0].reply = reply  # type: ignore[method-assign]

    async def main() -> None:
        answer: Any = stages.language.reply(Prompt([1], ()), lambda: (0, 0))
        task = asyncio.ensure_future(anext(answer))
        assert await asyncio.to_thread(entered.wait, LIMIT_S)
        task.cancel()
        await asyncio.wait([task])
        threading.Timer(0.05, go.set).start()
        await stages.close()

    try:
        asyncio.run(main())
    finally:
        go.set()
    pool.close()
    assert closed_in_a_step == [False]


def test_what_is_loaded_is_out_of_the_collectors_sight(fakes: Fakes) -> None:
    before = gc.get_freeze_count()

    def load() -> Models:
        assert not gc.isenabled()
        return fakes.models()

    try:
        assert frozen(load).language is fakes
        assert gc.get_freeze_count() > before
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_the_collector_goes_on_when_nothing_could_be_loaded() -> None:
    def load() -> Models:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"):
        frozen(load)
    assert gc.isenabled()
