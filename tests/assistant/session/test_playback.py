"""What was played, and what of it was heard, on virtual time. Audio has 1 kHz, so a sample is 1 ms."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from virtual import VirtualLoop, run_virtual

from assistant.session.playback import PacedSink, Playback
from tts.stream import SpeechChunk

MS = 1_000_000
RATE = 1000
LATENCY_MS, AHEAD_MS = 20, 200


def chunk(text: str, ms: int, *, silent_ms: int = 0, level: float = 0.5) -> SpeechChunk:
    audio = np.full(ms, level, np.float32)
    audio[:silent_ms] = 0
    return SpeechChunk(audio, RATE, text)


class Room:
    """A sink and a playback, on a loop of their own."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.sink = PacedSink(self.loop.clock, latency_ms=LATENCY_MS, ahead_ms=AHEAD_MS)
        self.playback = Playback(self.sink, self.loop.clock)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        run_virtual(main, self.loop)

    @property
    def now_ms(self) -> float:
        return self.loop.clock.now_ns() / MS

    async def play(self, *chunks: SpeechChunk) -> None:
        for each in chunks:
            await self.playback.play(each)

    def recorded(self) -> list[tuple[float, int]]:
        """When each piece began to sound, and for how long, in ms."""
        return [(start_ns / MS, len(audio)) for start_ns, audio in self.sink.recorded]

    def heard(self, until_ms: float) -> str:
        return self.playback.text(round(until_ms * MS))


@pytest.fixture
def room() -> Room:
    return Room()


def test_chunks_sound_one_after_the_other_at_their_own_pace(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300), chunk(" two", 400), chunk(" three.", 500))
        assert room.playback.end_ns == (LATENCY_MS + 1200) * MS

    room.run(main())
    assert room.recorded() == [(20, 300), (320, 400), (720, 500)]
    assert room.playback.underruns == 0


def test_the_sink_takes_no_more_than_it_must_hold(room: Room) -> None:
    """A chunk is taken when less than 200 ms are still to sound: a later interruption has little to undo."""
    taken: list[float] = []

    async def main() -> None:
        for _ in range(4):
            await room.sink.write(np.ones(300, np.float32), RATE)
            taken.append(room.sink.recorded[-1][0] / MS)
            assert room.sink.recorded[-1][0] / MS - room.now_ms <= AHEAD_MS

    room.run(main())
    assert taken == [20, 320, 620, 920]


def test_a_chunk_is_known_as_soon_as_it_is_taken(room: Room) -> None:
    """Not when it has sounded: who interrupts a long first chunk has heard something."""

    async def main() -> None:
        playing = asyncio.create_task(room.play(chunk("A very long word", 3000), chunk(" more", 3000)))
        await asyncio.sleep(1)
        assert room.playback.audible_ns == LATENCY_MS * MS
        assert room.playback.end_ns == 3020 * MS
        await playing

    room.run(main())


def test_words_are_heard_when_their_last_sample_has_sounded(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300), chunk(" two", 400), chunk(" three.", 500))

    room.run(main())
    assert room.heard(0) == ""
    assert room.heard(319) == ""
    assert room.heard(320) == "One"
    assert room.heard(719.9) == "One"
    assert room.heard(720) == "One two"
    assert room.heard(1220) == "One two three."


def test_audible_begins_behind_the_latency_and_the_leading_silence(room: Room) -> None:
    async def main() -> None:
        assert room.playback.audible_ns is None
        await room.play(chunk("", 100, silent_ms=100))
        assert room.playback.audible_ns is None
        await room.play(chunk("soft", 100, level=0.003))  # below -50 dBFS, 0.00316
        assert room.playback.audible_ns is None
        await room.play(chunk("One", 300, silent_ms=70), chunk(" two", 300))

    room.run(main())
    assert room.playback.audible_ns == (20 + 200 + 70) * MS


def test_a_chunk_without_audio_sounds_at_once_and_is_no_gap(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("- ", 0))
        await asyncio.sleep(1)
        await room.play(chunk("One", 300), chunk(" *", 0), chunk(" two", 300))

    room.run(main())
    assert room.recorded() == [(1020, 300), (1320, 300)]
    assert room.heard(1320) == "- One *"
    assert room.playback.underruns == 0


def test_audio_that_comes_too_late_is_an_underrun(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300))  # until 320
        await asyncio.sleep(0.3)  # at 300 the latency takes the next to 320: just in time
        await room.play(chunk(" two", 300))  # until 620
        await asyncio.sleep(0.4)
        await room.play(chunk(" three", 300))
        await room.play(chunk(" four", 300))

    room.run(main())
    assert [start for start, _ in room.recorded()] == [20, 320, 720, 1020]
    assert room.playback.underruns == 1


def test_an_interruption_cuts_the_sound_now(room: Room) -> None:
    """The recording holds what sounded: the chunk on the air is cut, the next never sounded."""

    async def main() -> None:
        playing = asyncio.create_task(room.play(chunk("One", 300), chunk(" two", 100), chunk(" three.", 500)))
        await asyncio.sleep(0.250)
        room.playback.stop()
        playing.cancel()
        await asyncio.wait([playing])

    room.run(main())
    assert room.recorded() == [(20, 230)]
    assert room.heard(250) == ""


def test_an_interruption_between_two_chunks_keeps_the_first_whole(room: Room) -> None:
    async def main() -> None:
        playing = asyncio.create_task(room.play(chunk("One", 300), chunk(" two", 300), chunk(" three.", 500)))
        await asyncio.sleep(0.320)
        room.playback.stop()
        playing.cancel()
        await asyncio.wait([playing])

    room.run(main())
    assert room.recorded() == [(20, 300)]
    assert room.heard(320) == "One"


def test_stopping_before_the_first_sample_sounds_leaves_silence(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 100))
        room.playback.stop()

    room.run(main())
    assert room.recorded() == []


def test_stopping_after_the_last_sample_cuts_nothing(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 100))
        await asyncio.sleep(1)
        room.playback.stop()

    room.run(main())
    assert room.recorded() == [(20, 100)]


def test_the_next_reply_sounds_right_after_a_stop(room: Room) -> None:
    async def main() -> None:
        playing = asyncio.create_task(room.play(chunk("One", 5000)))
        await asyncio.sleep(0.5)
        room.playback.stop()
        playing.cancel()
        await asyncio.wait([playing])
        second = Playback(room.sink, room.loop.clock)
        await second.play(chunk("Again", 300))
        assert second.audible_ns == 520 * MS

    room.run(main())
    assert room.recorded() == [(20, 480), (520, 300)]
