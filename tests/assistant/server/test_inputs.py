"""What a client sends, as frames of 20 ms and requests, in their order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.runtime import Clock, VirtualLoop, run_virtual
from assistant.server.formats import PCM, PCMA, PCMU, AudioFormat
from assistant.server.inputs import Inputs, TooFast
from assistant.session.ring import Frame
from assistant.session.session import Input
from assistant.session.turn import AudioCleared, AudioCommitted, ReplyCancelled, ReplyRequested

EXACT = AudioFormat(
    "audio/exact",
    16000,
    4,
    lambda audio: audio.astype("<f4").tobytes(),
    lambda data: np.frombuffer(data, "<f4"),
)
"""Samples as they are, at the rate of the session: nobody resamples them."""


def samples(start: int, count: int) -> bytes:
    return (np.arange(start, start + count) / 2**20).astype("<f4").tobytes()


def run(
    use: Callable[[Inputs, Clock], Awaitable[None]], audio_format: AudioFormat = EXACT, ahead_s: float = 1e6
) -> list[Input]:
    """What comes out once `use(inputs, clock)` has put things in."""
    loop = VirtualLoop()

    async def main() -> list[Input]:
        inputs = Inputs(loop.clock, audio_format, ahead_s)
        await use(inputs, loop.clock)
        inputs.close()
        return [item async for item in inputs]

    return run_virtual(main(), loop)


def audio_of(items: list[Input]) -> np.ndarray:
    return np.concatenate(
        [item.audio for item in items if isinstance(item, Frame)] or [np.zeros(0, np.float32)]
    )


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_however_audio_is_cut_frames_are_of_20_ms_and_nothing_is_lost(sizes: list[int]) -> None:
    async def use(inputs: Inputs, _clock: Clock) -> None:
        at = 0
        for size in sizes:
            inputs.append(samples(at, size))
            at += size
        inputs.commit()

    items = run(use)
    frames = [len(item.audio) for item in items if isinstance(item, Frame)]
    whole = sum(sizes)
    assert frames == [320] * (whole // 320) + [whole % 320] * (whole % 320 > 0)
    assert audio_of(items).tobytes() == samples(0, whole)
    assert items[-1] == AudioCommitted(0, whole)


def test_requests_stay_behind_the_audio_before_them_and_turns_begin_where_the_last_ended() -> None:
    async def use(inputs: Inputs, _clock: Clock) -> None:
        inputs.append(samples(0, 640))
        inputs.put(ReplyCancelled())
        inputs.append(samples(640, 330))
        inputs.commit()
        inputs.put(ReplyRequested())
        inputs.append(samples(970, 320))
        inputs.commit()

    items = run(use)
    kinds = [type(item).__name__ for item in items]
    first = ["Frame", "Frame", "ReplyCancelled", "Frame", "Frame", "AudioCommitted", "ReplyRequested"]
    assert kinds == [*first, "Frame", "AudioCommitted"]
    assert [item for item in items if isinstance(item, AudioCommitted)] == [
        AudioCommitted(0, 970),
        AudioCommitted(970, 1290),
    ]


def test_what_was_cleared_is_in_no_turn() -> None:
    async def use(inputs: Inputs, _clock: Clock) -> None:
        inputs.append(samples(0, 320 + 100))
        inputs.clear()
        inputs.append(samples(5000, 320))
        inputs.commit()

    items = run(use)
    assert [type(item).__name__ for item in items] == ["Frame", "AudioCleared", "Frame", "AudioCommitted"]
    assert AudioCleared() in items and items[-1] == AudioCommitted(320, 640)
    assert audio_of(items)[320:].tobytes() == samples(5000, 320)


@pytest.mark.parametrize("audio_format", [PCM, PCMU, PCMA], ids=lambda each: each.name)
def test_nothing_of_what_was_cleared_rings_on_in_the_next_turn(audio_format: AudioFormat) -> None:
    loud = np.full(audio_format.rate, 0.9, np.float32)

    async def use(inputs: Inputs, _clock: Clock) -> None:
        inputs.append(audio_format.encode(loud))
        inputs.clear()
        inputs.append(audio_format.encode(loud * 0))
        inputs.commit()

    items = run(use, audio_format)
    cleared = items.index(AudioCleared())
    after = audio_of(items[cleared:])
    assert abs(len(after) - 16000) <= 1 and np.abs(after).max() < 0.01


def test_a_turn_that_the_session_ended_ends_the_buffer_too() -> None:
    async def use(inputs: Inputs, _clock: Clock) -> None:
        inputs.append(samples(0, 640))
        inputs.turn_ended(640)
        inputs.append(samples(640, 320))
        inputs.commit()

    assert run(use)[-1] == AudioCommitted(640, 960)


def test_a_change_of_format_loses_nothing_of_what_came_before() -> None:
    async def use(inputs: Inputs, _clock: Clock) -> None:
        inputs.append(PCM.encode(np.full(2400, 0.5, np.float32)))  # 100 ms
        inputs.change_format(PCMU)
        inputs.append(PCMU.encode(np.full(800, 0.5, np.float32)))
        inputs.change_format(PCMU)  # no change
        inputs.commit()

    heard = audio_of(run(use, PCM))
    assert abs(len(heard) - 3200) <= 2
    assert np.abs(heard[200:1400] - 0.5).max() < 0.02 and np.abs(heard[1900:3000] - 0.5).max() < 0.02


def test_audio_may_be_so_far_ahead_of_the_clock_and_no_further() -> None:
    async def use(inputs: Inputs, clock: Clock) -> None:
        inputs.append(samples(0, 16000))
        inputs.append(samples(16000, 16000))
        with pytest.raises(TooFast, match="2 s"):
            inputs.append(samples(32000, 16))
        await clock.sleep_until(clock.now_ns() + 1_000_000_000)
        inputs.append(samples(32000, 16000))
        with pytest.raises(TooFast):
            inputs.append(samples(48000, 16))
        await clock.sleep_until(clock.now_ns() + 100_000_000_000)
        inputs.append(samples(48000, 32000))  # silence is not saved up
        with pytest.raises(TooFast):
            inputs.append(samples(80000, 16))
        inputs.commit()

    assert audio_of(run(use, ahead_s=2)).tobytes() == samples(0, 80000)


def test_single_samples_count_like_any_others() -> None:
    async def use(inputs: Inputs, _clock: Clock) -> None:
        for at in range(1600):  # 100 ms
            inputs.append(samples(at, 1))
        with pytest.raises(TooFast):
            inputs.append(samples(1600, 1))

    run(use, ahead_s=0.1)


def test_what_is_put_in_later_comes_out_later() -> None:
    async def main() -> list[str]:
        inputs = Inputs(loop.clock, EXACT, 1)
        seen: list[str] = []

        async def watch(items: AsyncIterator[Input]) -> None:
            async for item in items:
                seen.append(type(item).__name__)

        watching = asyncio.create_task(watch(aiter(inputs)))
        await asyncio.sleep(1)
        assert seen == []
        inputs.append(samples(0, 320))
        await asyncio.sleep(1)
        assert seen == ["Frame"]
        inputs.close()
        await watching
        return seen

    loop = VirtualLoop()
    assert run_virtual(main(), loop) == ["Frame"]
