"""The microphone as a source, on virtual time: frames, their times, and what was played beside them."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from fake_port import IN_LATENCY_S, MICROPHONE, OUT_LATENCY_S, SPEAKER, FakePort
from fakes import microphone, position
from plain import DEAF, Plain
from rig import MS, Rig

from assistant.microphone.devices.port import Audio
from assistant.microphone.echo.canceller import Cleaned, EchoCanceller
from assistant.microphone.echo.duplex import MONITOR, NO_ECHO, UNKNOWN, Duplex
from assistant.microphone.source import MicrophoneSource
from assistant.session.ring import Frame
from assistant.session.session import Input
from assistant.session.turn import AudioCommitted, ReplyCancelled

PER_MS = 16
RATE = 16000


class Collected:
    """Everything a source gave, with when it came."""

    def __init__(self, rig: Rig, opened: Callable[[], EchoCanceller] = Plain) -> None:
        self.rig = rig
        self.items: list[tuple[float, Input]] = []
        self.awake: list[float] = []
        self.source = MicrophoneSource(
            rig.streams,
            open_canceller=opened,
            on_awake=lambda: self.awake.append(rig.now_ms),
            tell=rig.told.append,
        )

    async def until(self, ms: float) -> None:
        async def collect() -> None:
            async for item in self.source:
                self.items.append((self.rig.now_ms, item))

        task = asyncio.create_task(collect())
        await self.rig.until(ms)
        self.source.close()
        await task

    @property
    def frames(self) -> list[Frame]:
        return [item for _, item in self.items if isinstance(item, Frame)]

    @property
    def audio(self) -> Audio:
        return np.concatenate([frame.audio for frame in self.frames])


def counting() -> Rig:
    """A microphone in which every sample is its own number."""
    return Rig(FakePort(sound=microphone))


def collect(rig: Rig, ms: float, meanwhile: Callable[[Collected], None] = lambda _: None) -> Collected:
    found: list[Collected] = []

    async def main() -> None:
        found.append(Collected(rig))
        meanwhile(found[0])
        await found[0].until(ms)

    rig.run(main)
    return found[0]


def test_frames_have_20_ms_and_the_time_of_their_last_sample() -> None:
    found = collect(counting(), 1000)
    assert {len(frame.audio) for frame in found.frames} == {320}
    assert position(found.audio) == (0, 320 * len(found.frames)) and len(found.frames) >= 48
    for number, (came_ms, frame) in enumerate(found.items, 1):
        assert isinstance(frame, Frame)
        assert frame.end_ns == pytest.approx(number * 20 * MS, abs=1000)
        assert came_ms == pytest.approx(number * 20 + IN_LATENCY_S * 1000, abs=0.1)


def test_a_device_at_44100_hz_is_heard_at_16000() -> None:
    rate = 44100
    device = replace(MICROPHONE, rate=rate)

    def tone(start: int, count: int) -> Audio:
        return np.sin(2 * np.pi * 440 * np.arange(start, start + count) / rate).astype(np.float32)

    found = collect(Rig(FakePort(device, SPEAKER, sound=tone)), 1000)
    turns = 2 * np.pi * 440 * np.arange(len(found.audio)) / 16000
    waves = np.stack([np.sin(turns), np.cos(turns)], axis=1)[400:]
    parts = np.linalg.lstsq(waves, found.audio[400:], rcond=None)[0]
    assert np.hypot(*parts) == pytest.approx(1, abs=0.01)
    assert np.abs(waves @ parts - found.audio[400:]).max() < 0.01
    assert abs(np.arctan2(parts[1], parts[0])) / (2 * np.pi * 440) < 0.0002  # seconds late
    ends = [frame.end_ns / MS for frame in found.frames]
    assert ends == pytest.approx([20 * n for n in range(1, len(ends) + 1)], abs=0.05)


def test_what_is_lost_is_silence_and_what_follows_has_its_own_time() -> None:
    found = collect(
        counting(), 1000, lambda c: c.rig.loop.call_at(0.5, lambda: c.rig.port.stream("input").lose(480))
    )
    audio = found.audio
    (silent,) = np.nonzero(audio[1:] == 0)
    assert len(silent) == 480 and np.ptp(silent) == 479
    assert position(audio[silent[-1] + 2 :])[0] == silent[-1] + 2  # every sample is where its number says
    assert found.frames[-1].end_ns == pytest.approx(len(audio) / 16 * MS, abs=1000)


def test_muted_it_gives_silence_of_the_same_length() -> None:
    def mute(found: Collected) -> None:
        found.rig.loop.call_at(0.5, lambda: setattr(found.source, "muted", True))

    found = collect(counting(), 1000, mute)
    assert found.audio[: 400 * PER_MS][-1] != 0 and not found.audio[520 * PER_MS :].any()
    assert len(found.audio) >= 960 * PER_MS


def test_what_is_asked_for_comes_behind_the_audio_before_it() -> None:
    def press(found: Collected) -> None:
        found.rig.loop.call_at(0.5, lambda: found.source.ask(ReplyCancelled(7)))
        found.rig.loop.call_at(0.6, lambda: found.source.commit(100 * PER_MS, 600 * PER_MS))

    found = collect(counting(), 1000, press)
    asked = [(ms, item) for ms, item in found.items if not isinstance(item, Frame)]
    assert asked == [
        (500, ReplyCancelled(7)),
        (pytest.approx(615, abs=0.1), AudioCommitted(100 * PER_MS, 600 * PER_MS)),
    ]


def test_listening_begins_with_the_first_sample_that_is_not_zero() -> None:
    """As Bluetooth takes a while to wake up."""

    def asleep(start: int, count: int) -> Audio:
        return np.where(np.arange(start, start + count) < 700 * PER_MS, 0, 0.001).astype(np.float32)

    rig = Rig(FakePort(sound=asleep))
    found = collect(rig, 2000)
    (awake_ms,) = found.awake  # by the end of that frame
    assert 710 <= awake_ms - IN_LATENCY_S * 1000 <= 720 and rig.told == []


def test_a_second_of_exact_zeros_is_told_once_with_its_remedy() -> None:
    rig = Rig(FakePort(sound=lambda _, count: np.zeros(count, np.float32)))
    found = collect(rig, 5000)
    (line,) = rig.told
    assert line.startswith("the microphone gives nothing but zeros: ") and "\n" not in line
    assert found.awake == []


@pytest.mark.parametrize("level", [1.0, -1.0])
def test_full_scale_and_dc_go_through_as_they_are(level: float) -> None:
    rig = Rig(FakePort(sound=lambda _, count: np.full(count, level, np.float32)))
    found = collect(rig, 500)
    assert (found.audio == level).all() and rig.told == []


class Split(EchoCanceller):
    """Gives the detector half of what the recognizer hears, in blocks of 256, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(None)
        self.microphone = self.reference = self.waiting = np.zeros(0, np.float32)
        self.opened = 0

    def open(self) -> "Split":
        self.opened += 1
        return self

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        self.microphone = np.concatenate([self.microphone, microphone])
        self.reference = np.concatenate([self.reference, reference])
        self.waiting = np.concatenate([self.waiting, microphone])
        whole = len(self.waiting) // 256 * 256
        block, self.waiting = self.waiting[:whole], self.waiting[whole:]
        return Cleaned(block, block / 2)


def test_a_canceller_may_cut_blocks_of_its_own_and_frames_keep_their_times() -> None:
    rig, split = counting(), Split()

    async def main() -> None:
        found = Collected(rig, split.open)
        await found.until(1000)
        end = 0
        for frame in found.frames:
            end += len(frame.audio)
            assert frame.end_ns == pytest.approx(end / 16 * MS, abs=1000)
            assert frame.detect is not None and (frame.detect == frame.audio / 2).all()
        assert end % 256 == 0 and position(found.audio) == (0, end)

    rig.run(main)


def echoing(slip: Callable[[Rig], None], seconds: float) -> Split:
    """A microphone that hears the loudspeaker 20 ms later, as in a large room, while noise is played."""
    rig, split = Rig(), Split()
    speaker_rate = SPEAKER.rate

    def echo(start: int, count: int) -> Audio:
        played = rig.port.streams[0].sound()
        at_s = np.arange(start, start + count) / 16000 - OUT_LATENCY_S - 0.020
        numbers = np.round(at_s * speaker_rate).astype(int)
        known = (numbers >= 0) & (numbers < len(played))
        return np.where(known, played[numbers * known] if len(played) else 0, 0).astype(np.float32)

    async def main() -> None:
        rig.port.sound = echo
        found = Collected(rig, split.open)
        noise = np.random.default_rng(0).standard_normal(int(24000 * (seconds - 0.5))).astype(np.float32)
        smooth = np.convolve(noise, np.ones(16) / 16, "same").astype(np.float32) * 0.2

        async def play() -> None:
            for start in range(0, len(smooth), 2400):
                await rig.sink.write(smooth[start : start + 2400], 24000)

        writing = asyncio.create_task(play())
        slip(rig)
        await found.until(seconds * 1000)
        await writing

    rig.run(main)
    return split


def lag(split: Split, start_s: float, end_s: float) -> int:
    """By how many samples the echo is behind the reference between these times."""
    span = slice(int(start_s * 16000), int(end_s * 16000))
    heard, reference = split.microphone[span], split.reference[span]
    size = 1 << 15
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(reference, size))
    return int(np.argmax(np.fft.irfft(spectrum, size)))


def test_the_reference_is_what_sounded_when_the_microphone_recorded() -> None:
    """The reference is 16 ms early, so the echo is 36 ms behind it, whatever the devices hold."""
    split = echoing(lambda _: None, 1.5)
    assert lag(split, 0.25, 1.0) == pytest.approx(36 * PER_MS, abs=2)


@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("slip_ms", [8, 30, 120])
def test_the_reference_follows_a_loudspeaker_that_slips(slip_ms: int, tells: bool) -> None:
    """As it does when a busy machine lets it run dry. The filter would have to learn another room."""
    slip = slip_ms * SPEAKER.rate // 1000
    split = echoing(
        lambda rig: rig.loop.call_at(1, lambda: rig.port.stream("output").lose(slip, tells=tells)), 2.5
    )
    assert lag(split, 0.25, 1.0) == lag(split, 1.5, 2.0) == pytest.approx(36 * PER_MS, abs=2)


def test_another_device_gets_a_canceller_of_its_own() -> None:
    rig, split = counting(), Split()

    async def main() -> None:
        watch = asyncio.create_task(rig.streams.run())
        found = Collected(rig, split.open)
        rig.loop.call_at(0.5, lambda: rig.port.stream("input").end())
        await found.until(1500)
        watch.cancel()
        assert split.opened == 2
        assert len(found.audio) / PER_MS == pytest.approx(1450, abs=60)
        ends = [frame.end_ns for frame in found.frames]
        assert ends == sorted(ends) and ends[-1] == pytest.approx(1480 * MS, abs=20 * MS)

    rig.run(main)


def deaf(duplex: Duplex) -> tuple[Rig, Collected]:
    """A second with a sound of 200 ms in it."""
    rig = Rig()
    found: list[Collected] = []

    async def main() -> None:
        found.append(Collected(rig, lambda: Plain(duplex)))
        sound = np.full(4800, 0.1, np.float32)

        async def play() -> None:
            await rig.until(300)
            await rig.sink.write(sound, 24000)
            await rig.sink.drain()

        playing = asyncio.create_task(play())
        await found[0].until(1500)
        await playing

    rig.run(main)
    return rig, found[0]


def test_where_echo_cannot_be_cancelled_a_reply_is_silence_to_the_detector_until_300_ms_after_it() -> None:
    rig, found = deaf(DEAF)
    (line,) = rig.told
    assert line == f"not listening while the assistant speaks: {DEAF.reason}"
    stream = rig.port.streams[0]
    loud_ms = np.flatnonzero(stream.sound()) / 48 + OUT_LATENCY_S * 1000
    begin_ms, end_ms = loud_ms[0], loud_ms[-1]
    assert end_ms - begin_ms == pytest.approx(200, abs=1) and all(frame.audio.any() for frame in found.frames)
    for frame in found.frames:
        assert frame.detect is not None
        over_ms = frame.end_ns / MS
        ignored = over_ms > begin_ms and over_ms - 20 < end_ms + 300
        assert frame.detect.any() == (not ignored), over_ms


def test_where_nothing_of_it_is_heard_the_detector_hears_all() -> None:
    rig, found = deaf(NO_ECHO)
    assert rig.told == [] and all(frame.detect is not None and frame.detect.any() for frame in found.frames)


def test_what_is_no_number_is_silence_and_nothing_more() -> None:
    def broken(start: int, count: int) -> Audio:
        audio = microphone(start, count)
        audio[start % 1600 // 160 :: 7] = [np.nan, np.inf, -np.inf][start // 160 % 3]
        return audio

    found = collect(Rig(FakePort(sound=broken)), 1000)
    exact = microphone(0, len(found.audio))
    kept = found.audio == exact
    assert len(exact) >= 960 * PER_MS and not found.audio[~kept].any() and 0.8 < kept.mean() < 0.9


@pytest.mark.parametrize("block_ms", [[10], [1], [64], [2.5, 13, 0.0625, 40]])
@pytest.mark.parametrize("burst", [1, 8])
def test_blocks_of_any_size_and_in_bursts_are_the_same_frames(block_ms: list[float], burst: int) -> None:
    rig = counting()
    rig.port.block_ms, rig.port.burst = itertools.cycle(block_ms), burst
    found = collect(rig, 1500)
    assert position(found.audio)[0] == 0 and len(found.audio) >= (1485 - burst * max(block_ms) - 20) * PER_MS
    assert rig.told == []
    ends = [frame.end_ns / MS for frame in found.frames]
    assert ends == pytest.approx([20 * number for number in range(1, len(ends) + 1)], abs=0.01)


@pytest.mark.parametrize("live", [0, 5])
def test_of_eight_channels_the_one_that_lives_is_heard(live: int) -> None:
    def loud(start: int, count: int) -> Audio:
        return microphone(start + 40_000, count)

    rig = Rig(FakePort(replace(MICROPHONE, inputs=8), SPEAKER, sound=loud))
    rig.port.live = live
    found = collect(rig, 500)
    assert position(found.audio) == (40_000, 40_000 + len(found.audio)) and len(found.audio) >= 460 * PER_MS


@pytest.mark.parametrize(("back_ms", "silent_ms"), [(1200, 1000), (10_000, 2000)])
def test_between_a_loss_and_a_return_there_is_silence_so_that_a_turn_ends(
    back_ms: int, silent_ms: int
) -> None:
    """Of all the time until it was found again, at 1.5 s, but of two seconds at the most."""
    rig = Rig(FakePort(sound=lambda _, count: np.full(count, 0.01, np.float32)))

    async def main() -> None:
        watch = asyncio.create_task(rig.streams.run())
        found = Collected(rig)

        def unplug() -> None:
            rig.port.plugged.remove(MICROPHONE)
            rig.port.stream("input").end()

        rig.loop.call_at(0.5, unplug)
        rig.loop.call_at(back_ms / 1000, lambda: rig.port.plugged.append(MICROPHONE))
        await found.until(back_ms + 2000)
        watch.cancel()
        silent = np.flatnonzero(found.audio == 0)
        assert np.ptp(silent) == len(silent) - 1  # one run
        assert len(silent) / PER_MS == pytest.approx(silent_ms, abs=60)
        assert found.source.end == len(found.audio)
        assert found.frames[-1].end_ns == pytest.approx((back_ms + 2000) * MS, abs=60 * MS)

    rig.run(main)


def test_the_microphones_return_from_zeros_is_told() -> None:
    def unplugged(start: int, count: int) -> Audio:
        at = np.arange(start, start + count)
        return np.where((at > RATE) & (at < 8 * RATE), 0, 0.001).astype(np.float32)

    rig = Rig(FakePort(sound=unplugged))
    found = collect(rig, 10_000)
    assert len(rig.told) == 2 and rig.told[0].startswith("the microphone gives nothing but zeros: ")
    assert rig.told[1] == "the microphone is heard again" and len(found.awake) == 2


class Verdicts(Plain):
    """Takes the microphone for the loudspeaker's monitor now and then."""

    blocks = 0

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        self.blocks += 1
        self.duplex = MONITOR if self.blocks // 50 % 2 else UNKNOWN
        return super().push(microphone, reference)


def test_a_monitor_in_the_microphones_place_is_told_each_time_and_its_end_too() -> None:
    rig = Rig()

    async def main() -> None:
        await Collected(rig, Verdicts).until(4500)

    rig.run(main)
    deaf = f"not listening while the assistant speaks: {MONITOR.reason}"
    back = "the microphone is back: listening while the assistant speaks"
    assert rig.told == [deaf, back, deaf, back]
