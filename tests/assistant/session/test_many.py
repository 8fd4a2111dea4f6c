"""Many sessions on one set of workers, on virtual time: who waits for whom, and for how long."""

import asyncio
import random
from typing import Any

import pytest
from fakes import Scene, Timing, Voice
from hypothesis import given, settings
from hypothesis import strategies as st
from world import Machine, World

from assistant.runtime import InlineWorker, Job, VirtualLoop, run_virtual
from assistant.session.turn import TurnConfig

MS = 1_000_000
MIXES = 8
TURN = TurnConfig(patience=0.5, prepare_ms=64, min_silence_ms=250)
LONG = "Yes. " + " ".join(f"w{i}" + ",."[i % 9 == 8] * (i % 3 == 2) for i in range(120)) + "."
QUESTION = Scene((Voice(320, 960, "how are you"),), {"how are you": "Yes. I am fine."}, 12000)
STORY = Scene((Voice(320, 960, "tell me a story"),), {"tell me a story": LONG}, 12000)


def wait_ms(world: World) -> float:
    """From the last voiced sample to the first audible one of the first reply."""
    boundaries = world.records[0].boundaries
    assert boundaries is not None
    return (boundaries.ends_ns["playback.start"] - world.records[0].voice_end_ns) / MS


async def side_by_side(worlds: list[tuple[int, World]]) -> None:
    """Run each world from its own start, in ms."""

    async def later(start_ms: int, world: World) -> None:
        await asyncio.sleep(start_ms / 1e3)
        await world.converse()

    async with asyncio.TaskGroup() as group:
        for start_ms, world in worlds:
            group.create_task(later(start_ms, world))


def beside(others: int, offset_ms: int = 1500) -> float:
    """The wait of a session whose user asks while `others` are being told a long story."""
    loop = VirtualLoop()
    machine = Machine(loop, sessions=others + 1)
    stories = [World(STORY, TURN, loop, machine, f"story-{i}") for i in range(others)]
    asking = World(QUESTION, TURN, loop, machine, "asking")
    run_virtual(side_by_side([*((37 * i, w) for i, w in enumerate(stories)), (offset_ms, asking)]), loop)
    assert all(world.records[0].underruns == 0 for world in stories)
    return wait_ms(asking)


@pytest.mark.parametrize(("others", "most_ms"), [(0, 340), (1, 350), (2, 400), (4, 600)])
def test_a_second_session_does_not_wait_for_the_replies_of_others(others: int, most_ms: int) -> None:
    """Alone: decided 260 ms after the voice, "Yes." complete with the token at 280, its chunk at 310, heard
    behind 20 ms of latency and 10 of leading silence. Beside others a chunk of 30 ms may be under way."""
    waits = [beside(others, offset_ms) for offset_ms in (1500, 1807, 2203, 3001, 4111)]
    assert max(waits) <= most_ms
    if not others:
        assert waits == [340.0] * 5


class WatchedWorker(InlineWorker):
    """Holds each choice against all jobs that could run then, and keeps when it was at work."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        super().__init__(name, loop)
        self.steps: list[tuple[int, int]] = []
        self._clock = loop.clock
        take = self._schedule.take

        def watched() -> Job | None:
            ready = [job for job in self._schedule._jobs if not job.running and job.unread < 8]
            urgencies = [job.urgency() for job in ready]
            job = take()
            if job is not None and not job.cancelled:
                assert job.urgency() == min(urgencies), "another was more urgent"
            assert job is not None or not ready, "idle while there was work"
            return job

        self._schedule.take = watched  # type: ignore[method-assign]

    def _finish(self, job: Any, outcome: Any) -> None:  # noqa: ANN401
        end_ns = self._clock.now_ns()
        super()._finish(job, outcome)
        self.steps.append((end_ns, len(self._schedule)))


def mixed(rng: random.Random) -> Scene:
    """One or two questions, answered shortly or at length, by a voice that is fast or hardly fast enough."""
    voices, at = [], rng.randrange(200, 1500)
    replies: dict[str, str | Exception] = {}
    for number in range(rng.randint(1, 2)):
        words = f"q{number} a b"
        voices.append(Voice(at, at + 640, words))
        replies[words] = (
            "Yes. " + " ".join(f"w{i}" + "," * (i % 4 == 3) for i in range(rng.randint(1, 25))) + "."
        )
        at += 640 + 500 + 400 * len(str(replies[words]).split())
    timing = Timing(chunk=rng.choice([15, 40, 70]), word=rng.choice([150, 300]), score=20, read=40)
    return Scene(tuple(voices), replies, at + 20_000, timing, idle_end_ms=at + 1000)


@settings(max_examples=MIXES, deadline=None)
@given(seed=st.integers(0, 2**32), sessions=st.integers(2, 6))
def test_no_audio_runs_dry_while_there_is_time_and_none_starves(seed: int, sessions: int) -> None:
    """Each step is the most urgent one, the thread is never idle while a job could run, every reply comes to
    its end; and where the voice has time for all, at half of the thread's capacity, nothing runs dry."""
    rng, loop = random.Random(seed), VirtualLoop()
    machine = Machine(loop, sessions=sessions)
    machine.tts = WatchedWorker("tts", loop)
    scenes = [mixed(rng) for _ in range(sessions)]
    worlds = [World(scene, TURN, loop, machine, str(i)) for i, scene in enumerate(scenes)]
    run_virtual(side_by_side([(rng.randrange(3000), world) for world in worlds]), loop)
    for world in worlds:
        assert [record.heard for record in world.records] == list(world.scene.replies.values())
    load = sum(scene.timing.chunk / scene.timing.word for scene in scenes)
    if load <= 0.5:
        assert [record.underruns for world in worlds for record in world.records if record.underruns] == []


def test_voices_that_are_due_together_are_one_batch() -> None:
    """Eight microphones that started together: their windows come in the same millisecond."""
    loop = VirtualLoop()
    machine = Machine(loop, sessions=8)
    worlds = [World(QUESTION, TURN, loop, machine, str(i)) for i in range(8)]
    run_virtual(side_by_side([(0, world) for world in worlds]), loop)
    assert machine.vad_model.batches.count(8) >= 0.9 * len(machine.vad_model.batches)
