"""What was played, and what of it was heard, on virtual time. Audio has 1 kHz, so a sample is 1 ms."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.runtime import VirtualLoop, run_virtual
from assistant.session.conversation import AssistantItem
from assistant.session.playback import Playback
from assistant.session.sink import Audio, PacedSink
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

    def sound(self) -> list[float]:
        """What sounded, joined."""
        return np.concatenate([np.zeros(0), *(audio for _, audio in self.sink.recorded)]).tolist()

    def heard(self) -> str:
        """The words heard by now, as the conversation has them."""
        return AssistantItem("item_1", tuple(self.playback.spoken), self.playback.heard_ms).text

    async def until(self, ms: float) -> None:
        await self.loop.clock.sleep_until(round(ms * MS))


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
    heard: dict[float, str] = {}

    async def main() -> None:
        playing = asyncio.create_task(room.play(chunk("One", 300), chunk(" two", 400), chunk(" three.", 500)))
        for ms in (0, 319, 320, 719.9, 720, 1219, 1220):
            await room.until(ms)
            heard[ms] = room.heard()
        await playing

    room.run(main())
    assert heard == {
        0: "",
        319: "",
        320: "One",
        719.9: "One",
        720: "One two",
        1219: "One two",
        1220: "One two three.",
    }


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
        await room.until(1319)
        assert room.heard() == "-"
        await room.until(1320)
        assert room.heard() == "- One *"

    room.run(main())
    assert room.recorded() == [(1020, 300), (1320, 300)]
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
    assert (room.heard(), room.playback.heard_samples) == ("", 230)  # also long after


def test_an_interruption_between_two_chunks_keeps_the_first_whole(room: Room) -> None:
    async def main() -> None:
        playing = asyncio.create_task(room.play(chunk("One", 300), chunk(" two", 300), chunk(" three.", 500)))
        await asyncio.sleep(0.320)
        room.playback.stop()
        playing.cancel()
        await asyncio.wait([playing])

    room.run(main())
    assert room.recorded() == [(20, 300)]
    assert (room.heard(), room.playback.heard_samples) == ("One", 300)


def test_stopping_before_the_first_sample_sounds_leaves_silence(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 100))
        room.playback.stop()

    room.run(main())
    assert room.recorded() == []


@pytest.mark.parametrize(("stopped_ms", "heard"), [(10, False), (69, False), (71, True), (500, True)])
def test_what_was_stopped_before_its_first_audible_sample_was_never_heard(
    room: Room, stopped_ms: int, heard: bool
) -> None:
    """The chunk sounds from 20 ms on, and begins with 50 ms of silence."""

    async def main() -> None:
        await room.play(chunk("One", 1000, silent_ms=50))
        assert room.playback.audible_ns == 70 * MS and not room.playback.sounded
        await room.until(stopped_ms)
        room.playback.stop()
        await room.until(5000)
        assert room.playback.sounded is heard

    room.run(main())


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


# Pauses, loudness, position


def ramp(start: int, count: int) -> Audio:
    """Samples that tell which they are."""
    return np.arange(start + 1, start + count + 1, dtype=np.float32)


async def write(room: Room, audio: Audio) -> None:
    await room.sink.write(audio, RATE)


@pytest.mark.parametrize("pause_ms", [120, 121, 123, 319, 320, 321, 400, 619, 620, 1000])
def test_after_a_pause_it_goes_on_at_the_very_sample(room: Room, pause_ms: int) -> None:
    async def main() -> None:
        for start in (0, 300):
            await write(room, ramp(start, 300))  # the second has room at 120
        await room.until(pause_ms)
        room.sink.pause()
        before = room.sink.position
        await room.until(pause_ms + 5000)
        assert room.sink.position == before
        assert len(room.sound()) == before
        room.sink.resume()
        await room.sink.drain()
        assert room.sink.position == 600

    room.run(main())
    assert room.sound() == ramp(0, 600).tolist()


def test_a_pause_in_the_latency_of_a_piece_and_a_second_pause_lose_nothing(room: Room) -> None:
    async def main() -> None:
        await write(room, ramp(0, 150))
        await write(room, ramp(150, 100))
        room.sink.pause()
        room.sink.pause()
        assert (room.sink.position, room.sound()) == (0, [])
        await room.until(1000)
        room.sink.resume()  # sounds from 1020
        await room.until(1100)
        room.sink.pause()
        assert room.sink.position == 80
        room.sink.resume()  # from 1120
        room.sink.resume()
        await room.sink.drain()
        assert room.now_ms == 1120 + 170

    room.run(main())
    assert room.sound() == ramp(0, 250).tolist()
    assert [start for start, _ in room.recorded()] == [1020, 1120, 1190]


def test_a_write_waits_through_a_pause_and_comes_behind_what_was_held(room: Room) -> None:
    async def main() -> None:
        await write(room, ramp(0, 300))
        writing = asyncio.create_task(write(room, ramp(300, 100)))  # has room at 120
        await room.until(100)
        room.sink.pause()
        await room.until(2000)
        assert not writing.done()
        room.sink.resume()
        await asyncio.sleep(0)
        room.sink.pause()
        await room.until(3000)
        assert not writing.done()
        room.sink.resume()  # 220 ms are left, from 3020 to 3240
        await writing
        assert room.now_ms == 3240 - AHEAD_MS
        await room.sink.drain()

    room.run(main())
    assert room.sound() == ramp(0, 400).tolist()


def test_a_resume_and_a_pause_in_one_moment_let_no_write_through(room: Room) -> None:
    async def main() -> None:
        await write(room, ramp(0, 100))
        room.sink.pause()
        writing = asyncio.create_task(write(room, ramp(100, 100)))
        await room.until(1000)
        room.sink.resume()
        room.sink.pause()
        await room.until(2000)
        assert not writing.done() and room.sound() == []
        room.sink.resume()
        await writing
        await room.sink.drain()

    room.run(main())
    assert room.sound() == ramp(0, 200).tolist()


def test_drain_waits_through_a_pause(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300))  # until 320
        draining = asyncio.create_task(room.playback.drain())
        await room.until(200)
        room.playback.pause()
        await room.until(5000)
        assert not draining.done()
        room.playback.resume()  # 120 ms are left, behind the latency
        await draining
        assert room.now_ms == 5140
        assert room.heard() == "One"

    room.run(main())


def test_drain_of_nothing_and_in_a_pause_after_the_end_returns_at_once(room: Room) -> None:
    async def main() -> None:
        await room.sink.drain()
        assert room.now_ms == 0
        await room.play(chunk("One", 300))
        await room.until(320)
        room.playback.pause()
        await room.playback.drain()
        assert room.now_ms == 320

    room.run(main())


def test_a_stop_in_a_pause_drops_what_was_held_and_ends_the_pause(room: Room) -> None:
    async def main() -> None:
        await write(room, ramp(0, 300))
        await room.until(120)
        room.sink.pause()
        draining = asyncio.create_task(room.sink.drain())
        await room.until(1000)
        room.sink.stop()
        assert room.sink.position == 100
        await draining
        assert room.now_ms == 1000
        await write(room, ramp(500, 50))  # the next reply
        await room.sink.drain()
        assert room.sink.position == 150

    room.run(main())
    assert room.sound() == [*ramp(0, 100), *ramp(500, 50)]
    assert room.recorded() == [(20, 100), (1020, 50)]


def test_position_follows_the_sound_through_a_gap(room: Room) -> None:
    positions: list[int] = []

    async def main() -> None:
        assert room.sink.position == 0
        await write(room, ramp(0, 300))  # from 20 to 320
        for ms in (20, 21, 319, 320, 500):
            await room.until(ms)
            positions.append(room.sink.position)
        await write(room, ramp(300, 300))  # from 520, too late
        for ms in (519, 530, 820, 9000):
            await room.until(ms)
            positions.append(room.sink.position)

    room.run(main())
    assert positions == [0, 1, 299, 300, 300, 300, 310, 600, 600]


def test_heard_counts_from_where_the_reply_began(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("Before", 300))
        await room.playback.drain()
        room.playback = Playback(room.sink, room.loop.clock)
        await room.play(chunk("One", 300), chunk(" two", 300))  # from 340
        await room.until(740)
        assert (room.playback.heard_ms, room.heard()) == (400, "One")
        room.playback.pause()
        await room.until(2000)
        assert (room.playback.heard_ms, room.heard()) == (400, "One")
        room.playback.stop()
        assert (room.playback.heard_ms, room.heard()) == (400, "One")

    room.run(main())


def test_a_pause_is_no_underrun(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300))
        await room.until(100)
        room.playback.pause()
        playing = asyncio.create_task(room.play(chunk(" two", 300), chunk(" three", 300)))
        await room.until(2000)
        room.playback.resume()
        await playing
        await room.playback.drain()
        assert room.playback.underruns == 0
        await room.play(chunk(" late", 300))
        assert room.playback.underruns == 1

    room.run(main())


def levels(start: float, end: float, count: int) -> list[float]:
    """The loudness of each ms after a change: all of it takes 30 ms, 1 / 30 is a ms."""
    way = [start + ms / 30 * (1 if end > start else -1) for ms in range(count)]
    return [min(level, end) if end > start else max(level, end) for level in way]


def test_gain_applies_to_what_has_not_sounded_and_to_what_comes(room: Room) -> None:
    async def main() -> None:
        await write(room, np.ones(150, np.float32))
        await write(room, np.ones(150, np.float32))
        await room.until(120)
        room.sink.gain(0.5)
        await write(room, np.ones(100, np.float32))
        await room.until(220)
        room.sink.gain(1.0)
        await room.sink.drain()
        assert room.now_ms == 420

    room.run(main())
    assert room.sound() == pytest.approx([1.0] * 100 + levels(1.0, 0.5, 100) + levels(0.5, 1.0, 200))


def test_gain_may_be_nothing_and_come_back(room: Room) -> None:
    async def main() -> None:
        await write(room, np.ones(300, np.float32))
        await room.until(120)
        room.sink.gain(0.0)
        await room.until(220)
        room.sink.gain(1.0)
        await room.sink.drain()

    room.run(main())
    assert room.sound() == pytest.approx([1.0] * 100 + levels(1.0, 0.0, 100) + levels(0.0, 1.0, 100))


def test_gain_changes_its_mind_on_the_way(room: Room) -> None:
    """From 1 to 0.125 in 26 ms, but 0.6 is far enough; a second piece comes in the middle of it."""

    async def main() -> None:
        await write(room, np.ones(112, np.float32))
        await room.until(120)
        room.sink.gain(0.125)
        await room.until(132)
        room.sink.gain(1.0)
        await write(room, np.ones(100, np.float32))  # behind the latency, and so behind a gap
        await room.sink.drain()

    room.run(main())
    down, up = levels(1.0, 0.125, 12), levels(0.6, 1.0, 112)
    assert room.recorded() == [(20, 100), (120, 12), (152, 100)]
    assert room.sound() == pytest.approx([1.0] * 100 + down + up[20:][:12] + [1.0] * 88)


def test_a_change_in_the_middle_of_a_sample_begins_behind_it(room: Room) -> None:
    """The sample that sounds is taken from its beginning, which is before the change."""

    async def main() -> None:
        await write(room, np.ones(300, np.float32))
        await room.until(120.6)
        room.sink.gain(0.125)
        await room.until(220.6)
        room.sink.gain(1.0)
        await room.sink.drain()

    room.run(main())
    assert max(room.sound()) == 1.0 and min(room.sound()) == 0.125
    assert room.sound()[100:104] == pytest.approx([1.0, 1.0 - 0.4 / 30, 1.0 - 1.4 / 30, 1.0 - 2.4 / 30])


def test_a_reply_is_ducked_and_comes_back(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300, level=1.0))
        await room.until(120)
        room.playback.duck()
        await room.until(220)
        room.playback.unduck()
        room.playback.unduck()
        await room.playback.drain()
        assert room.heard() == "One"

    room.run(main())
    assert room.sound() == pytest.approx([1.0] * 100 + levels(1.0, 0.125, 100) + levels(0.125, 1.0, 100))


def test_a_ducked_reply_that_is_held_goes_on_at_its_own_loudness(room: Room) -> None:
    """It goes on behind the latency of 20 ms: of the 26 ms that the way up takes, 6 are left."""

    async def main() -> None:
        await room.play(chunk("One", 300, level=1.0))
        await room.until(120)
        room.playback.duck()
        await room.until(220)
        room.playback.pause()
        await room.until(1000)
        assert (room.playback.heard_ms, room.playback.left_ms) == (200, 100)
        room.playback.resume()
        await room.playback.drain()

    room.run(main())
    up = levels(0.125, 1.0, 120)[20:]
    assert room.sound() == pytest.approx([1.0] * 100 + levels(1.0, 0.125, 100) + up)
    assert room.recorded()[-1] == (1020, 100)


def test_the_reply_behind_one_that_was_ducked_and_stopped_is_as_loud_as_any(room: Room) -> None:
    async def main() -> None:
        await room.play(chunk("One", 300, level=1.0))
        await room.until(120)
        room.playback.duck()
        await room.until(220)
        room.playback.pause()
        room.playback.stop()
        await room.until(1000)
        await Playback(room.sink, room.loop.clock).play(chunk("Two", 100, level=1.0))
        await room.sink.drain()

    room.run(main())
    assert room.recorded()[-1] == (1020, 100)
    assert room.sound()[200:] == [1.0] * 100


def test_gain_in_a_pause_applies_to_what_is_held(room: Room) -> None:
    async def main() -> None:
        await write(room, np.ones(300, np.float32))
        await room.until(120)
        room.sink.pause()
        room.sink.gain(0.25)
        room.sink.resume()
        await room.sink.drain()

    room.run(main())
    assert room.sound() == pytest.approx([1.0] * 100 + levels(1.0, 0.25, 220)[20:])


@pytest.mark.parametrize("at_ms", [0, 10, 20, 150, 165, 170, 175, 400])
def test_gain_does_not_change_when_anything_sounds(room: Room, at_ms: int) -> None:
    async def main() -> None:
        await write(room, ramp(0, 150))  # from 20 to 170
        await write(room, ramp(150, 30))  # to 200
        await room.until(at_ms)
        room.sink.gain(2.0)
        for ms in range(at_ms, 401, 7):
            await room.until(ms)
            assert room.sink.position == min(180, max(0, ms - 20))
        await room.sink.drain()
        assert room.now_ms <= 401

    room.run(main())
    starts = [start + offset for start, length in room.recorded() for offset in range(length)]
    assert starts == [20 + n for n in range(180)]


RATES = st.sampled_from([1000, 8000, 24000])
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 900)),
    st.tuples(st.just("advance"), st.sampled_from([0.01, 1.0, 7.3, 40.0, 250.0])),
    st.tuples(st.just("gain"), st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    st.sampled_from([("pause", 0), ("resume", 0), ("stop", 0)]),
)


@given(RATES, st.lists(STEPS, min_size=10, max_size=40))
def test_whatever_is_done_what_sounds_is_what_was_written_and_not_dropped(
    rate: int, steps: list[tuple[str, float]]
) -> None:
    """Samples are numbered as they are written. What is to sound is kept apart: a list, and its cuts."""
    room = Room()
    kept: list[float] = []  # what was written and not dropped
    last = 0
    changed = False  # the loudness
    writes: list[asyncio.Task[None]] = []

    async def write_numbers(count: int) -> None:
        nonlocal last
        numbers = np.arange(last + 1, last + count + 1, dtype=np.float32)
        last += count
        await room.sink.write(numbers, rate)
        kept.extend(numbers.tolist())

    async def write_all(queue: "asyncio.Queue[int]") -> None:
        while True:
            await write_numbers(await queue.get())

    def check() -> None:
        recorded = [
            min(len(audio), max(0, (room.loop.clock.now_ns() - start_ns) * rate // 1_000_000_000))
            for start_ns, audio in room.sink.recorded
        ]
        pieces = list(zip(room.sink.recorded, recorded, strict=True))
        sounded = np.concatenate([np.zeros(0), *(audio[:n] for (_, audio), n in pieces)])
        assert len(sounded) == room.sink.position <= len(kept)
        loudness = sounded / kept[: len(sounded)]
        times_ms = [start_ns / MS + np.arange(n) * 1000 / rate for (start_ns, _), n in pieces]
        taken_ms = np.diff(np.concatenate([np.zeros(0), *times_ms]))
        assert (np.abs(np.diff(loudness)) <= taken_ms / 30 + 1e-4).all(), "a step, or another sample"
        assert (loudness >= 0).all() and (loudness <= 2.0001).all()
        if not changed:
            assert (loudness == 1).all()

    async def main() -> None:
        nonlocal changed
        queue: asyncio.Queue[int] = asyncio.Queue()
        writes.append(asyncio.create_task(write_all(queue)))
        before = 0
        for step, amount in steps:
            match step:
                case "write":
                    queue.put_nowait(int(amount))
                case "advance":
                    await asyncio.sleep(amount / 1e3)
                case "gain":
                    room.sink.gain(amount)
                    changed = True
                case "pause":
                    room.sink.pause()
                case "resume":
                    room.sink.resume()
                case "stop":
                    room.sink.stop()
                    del kept[room.sink.position :]
            assert room.sink.position >= before, "what has sounded cannot be taken back"
            before = room.sink.position
            check()
        room.sink.resume()
        await asyncio.sleep(100)
        writes[0].cancel()
        await asyncio.wait(writes)
        await room.sink.drain()
        check()
        assert room.sink.position == len(kept)

    room.run(main())
