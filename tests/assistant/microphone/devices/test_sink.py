"""The loudspeaker as a sink, on a sound system that plays 60 ms after it asks.

A reply's audio has 24 kHz, the device 48.
"""

import asyncio

import numpy as np
import pytest
from fake_port import MICROPHONE, OUT_LATENCY_S, SPEAKER, FakePort
from rig import MS, Rig

from assistant.microphone.devices.port import Audio, Device
from assistant.microphone.devices.sink import SpeakerSink
from assistant.session.playback import Playback
from tts.stream import SpeechChunk

RATE = 24000
BLOCK_MS, LATENCY_MS = 10, OUT_LATENCY_S * 1000


@pytest.fixture
def rig() -> Rig:
    return Rig()


def tone(ms: float, level: float = 0.5) -> Audio:
    return np.full(round(ms * RATE / 1000), level, np.float32)


def chunk(ms: float, text: str = "word") -> SpeechChunk:
    return SpeechChunk(tone(ms), RATE, text)


def loud_ms(rig: Rig, number: int = 0) -> list[tuple[float, float]]:
    """When the loudspeaker of an opening sounded, from and to, to a millisecond."""
    stream = [stream for stream in rig.port.streams if stream.direction == "output"][number]
    loud = np.abs(stream.sound()) > 0.05
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    ms = [round(edge * 1000 / stream.device.rate + LATENCY_MS + stream.begun_s * 1000) for edge in edges]
    return list(zip(ms[::2], ms[1::2], strict=True))


def test_a_reply_sounds_when_it_was_said_that_it_would(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        start_ns = await rig.sink.write(tone(300), RATE)
        assert start_ns / MS == pytest.approx(170, abs=0.1)  # the block that is asked for at 110
        await rig.sink.drain()
        assert rig.now_ms == pytest.approx(470, abs=6)
        assert rig.sink.position == 300 * RATE // 1000 and rig.sink.underruns == 0

    rig.run(main)
    assert loud_ms(rig) == [(170, 470)]


def test_the_position_is_what_the_converter_has_played(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        await rig.sink.write(tone(300), RATE)
        assert rig.sink.position == 0
        for ms in (170, 200, 333, 460):
            await rig.until(ms)
            assert rig.sink.position * 1000 / RATE == pytest.approx(ms - 170, abs=0.1)
        await rig.until(600)
        in_resampler = 300 * RATE // 1000 - rig.sink.position
        assert 0 < in_resampler <= 20 * RATE // 1000
        await rig.sink.drain()
        assert rig.sink.position == 300 * RATE // 1000

    rig.run(main)


def test_a_write_waits_until_200_ms_are_left(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        first_ns = await rig.sink.write(tone(1000), RATE)
        second_ns = await rig.sink.write(tone(100), RATE)
        assert second_ns == first_ns + 1000 * MS
        assert rig.now_ms == pytest.approx(110 + 1000 - 200, abs=25)
        await rig.sink.drain()

    rig.run(main)
    assert loud_ms(rig) == [(170, 1270)]


def test_what_is_missing_is_silence_and_what_comes_later_is_heard_later(rig: Rig) -> None:
    playback: list[Playback] = []

    async def main() -> None:
        await rig.until(105)
        playback.append(Playback(rig.sink, rig.loop.clock))
        await playback[0].play(chunk(200, "One"))
        await rig.until(605)  # 200 ms were over at 310
        await playback[0].play(chunk(200, " two"))
        await rig.until(690)
        assert playback[0].heard_ms == pytest.approx(200 + 690 - 670, abs=12)
        await playback[0].drain()
        assert playback[0].heard_ms == 400

    rig.run(main)
    assert (rig.sink.underruns, playback[0].underruns) == (1, 1)
    (first, second) = loud_ms(rig)
    assert first[0] == 170 and second[1] - 670 == pytest.approx(210, abs=11)


def test_a_stop_fades_within_5_ms_and_what_the_device_holds_is_heard(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        playback = Playback(rig.sink, rig.loop.clock)
        await playback.play(chunk(1000))
        await rig.until(405)
        playback.stop()
        # Asked for up to 410, 60 ms before it sounds, and 5 ms of fading.
        assert playback.heard_ms == pytest.approx(405 - 105 + 0, abs=11)
        assert rig.sink.position * 1000 / RATE == pytest.approx(playback.heard_ms, abs=0.1)
        await rig.sink.drain()
        await rig.until(600)
        assert rig.sink.position * 1000 / RATE == pytest.approx(playback.heard_ms, abs=0.1)

    rig.run(main)
    ((start, end),) = loud_ms(rig)
    assert start == 170 and end - 470 == pytest.approx(5, abs=1.5)


def test_the_reply_after_a_stop_counts_from_its_own_begin(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        first = Playback(rig.sink, rig.loop.clock)
        await first.play(chunk(1000))
        await rig.until(405)
        first.stop()
        second = Playback(rig.sink, rig.loop.clock)
        await second.play(chunk(300))
        await rig.until(475)  # the first is just silent
        assert second.heard_ms == pytest.approx(0, abs=6)
        await second.drain()
        assert second.heard_ms == 300

    rig.run(main)


def test_no_edge_is_steeper_than_a_fade(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        ramp = np.linspace(0, 0.5, RATE // 10, dtype=np.float32)
        await rig.sink.write(np.concatenate([ramp, tone(900)]), RATE)
        await rig.until(300)
        rig.sink.pause()
        await rig.until(400)
        rig.sink.resume()
        await rig.until(500)
        rig.sink.gain(0.2)
        await rig.until(600)
        rig.sink.stop()

    rig.run(main)
    sound = rig.port.streams[0].sound()
    assert np.abs(np.diff(sound)).max() < 0.5 / (48 * 5) * 1.5
    assert np.abs(np.diff(sound[48 * 460 : 48 * 560])).max() < 0.5 / (48 * 30) * 1.01  # the gain's ramp
    assert sound[48 * 560] == pytest.approx(0.1, abs=0.01)  # at the wanted loudness


def test_a_reply_that_is_ducked_and_held_goes_on_at_the_very_sample() -> None:
    """It falls silent in 5 ms; the rest of it comes as late as it was held for."""

    def play(*, hold: bool) -> Audio:
        rig = Rig()

        async def main() -> None:
            await rig.until(105)
            noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE).astype(np.float32)
            playback = Playback(rig.sink, rig.loop.clock)
            playing = asyncio.create_task(playback.play(SpeechChunk(noise, RATE, "word")))
            if hold:
                await rig.until(205)
                playback.duck()
                await rig.until(305)
                playback.pause()  # the block at 310 has the fade
                await rig.until(505)
                playback.resume()  # in the block at 510
            await playing
            await playback.drain()
            assert playback.heard_samples == RATE and rig.sink.position == RATE

        rig.run(main)
        return rig.port.streams[0].sound()

    plain, held = play(hold=False), play(hold=True)
    np.testing.assert_array_equal(held[: 48 * 210], plain[: 48 * 210])
    np.testing.assert_allclose(held[48 * 240 : 48 * 310], plain[48 * 240 : 48 * 310] * 0.125, atol=1e-6)
    assert not held[48 * 315 : 48 * 510].any()
    np.testing.assert_array_equal(held[48 * 540 : 48 * 1200], plain[48 * 345 : 48 * 1005])


def test_a_pause_keeps_every_sample(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        await rig.sink.write(tone(300), RATE)
        await rig.until(205)
        rig.sink.pause()
        await rig.until(400)
        paused = rig.sink.position
        assert paused * 1000 / RATE == pytest.approx(105, abs=6)
        await rig.until(505)
        assert rig.sink.position == paused
        rig.sink.resume()
        await rig.sink.drain()
        assert rig.sink.position == 300 * RATE // 1000

    rig.run(main)
    played = sum(end - start for start, end in loud_ms(rig))
    assert played == pytest.approx(300, abs=3)


def test_a_stop_in_a_pause_and_one_while_a_write_waits(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        await rig.sink.write(tone(300), RATE)
        rig.sink.pause()
        waiting = asyncio.create_task(rig.sink.write(tone(300), RATE))
        await rig.until(300)
        waiting.cancel()
        rig.sink.stop()
        await rig.sink.drain()
        assert rig.sink.position == 120  # the 5 ms of the fade

    rig.run(main)
    ((start, end),) = loud_ms(rig)
    assert end - start <= 5


def test_an_underrun_of_the_device_moves_what_follows(rig: Rig) -> None:
    async def main() -> None:
        await rig.until(105)
        await rig.sink.write(tone(600), RATE)
        await rig.until(300)
        rig.port.stream("output").lose(480 * 5)  # 50 ms of silence that nobody was asked for
        await rig.until(600)
        assert rig.sink.position * 1000 / RATE == pytest.approx(600 - 170 - 50, abs=0.2)
        await rig.sink.drain()
        assert rig.now_ms == pytest.approx(820, abs=6)

    rig.run(main)


def test_the_reply_goes_on_at_another_rate_when_its_device_is_lost() -> None:
    other = Device(9, "Other", "ALSA", 0, 2, 44100, default_output=True)
    rig = Rig(FakePort(MICROPHONE, SPEAKER))

    async def main() -> None:
        watch = asyncio.create_task(rig.streams.run())
        await rig.until(105)
        playback = Playback(rig.sink, rig.loop.clock)
        await playback.play(chunk(800))
        await rig.until(405)
        rig.port.plugged = [MICROPHONE, other]
        rig.port.stream("output").end()
        await playback.drain()
        assert playback.heard_ms == 800
        watch.cancel()

    rig.run(main)
    first, second = loud_ms(rig, 0), loud_ms(rig, 1)
    assert sum(end - start for start, end in (*first, *second)) == pytest.approx(800, abs=15)
    assert [stream.device.name for stream in rig.port.streams if stream.direction == "output"] == [
        "Speaker",
        "Other",
    ]


def test_the_volume_changes_within_a_reply_without_a_click_and_the_reference_has_it(rig: Rig) -> None:
    sent: list[Audio] = []

    async def main() -> None:
        await rig.until(105)
        ramp = np.linspace(0, 0.5, RATE // 10, dtype=np.float32)
        await rig.sink.write(np.concatenate([ramp, tone(900)]), RATE)
        await rig.until(405)
        rig.sink.volume = 25  # of what waits, too
        await rig.until(605)
        rig.sink.volume = 50
        await rig.until(805)
        assert rig.streams.playing is not None
        sent.append(rig.streams.playing.sent(0, 48 * 800))
        rig.sink.stop()

    rig.run(main)
    sound = rig.port.streams[0].sound()
    assert [sound[48 * ms] for ms in (400, 440, 600, 620, 800)] == pytest.approx(
        [0.5, 0.125, 0.125, 0.25, 0.25], abs=1e-3
    )
    assert np.abs(np.diff(sound[48 * 300 : 48 * 800])).max() < 0.5 / (48 * 30) * 1.01
    np.testing.assert_array_equal(sent[0], sound[: 48 * 800])


def test_the_volume_holds_from_the_first_sample_and_beside_a_gain(rig: Rig) -> None:
    rig.sink = SpeakerSink(rig.loop.clock, 50)

    async def main() -> None:
        await rig.until(105)
        await rig.sink.write(tone(800), RATE)
        await rig.until(305)
        rig.sink.gain(0.2)
        await rig.until(505)
        rig.sink.volume = 100
        await rig.until(705)
        rig.sink.gain(1.0)
        await rig.until(805)
        rig.sink.stop()

    rig.run(main)
    sound = rig.port.streams[0].sound()
    loud = sound[: 48 * 300] > 0.3  # the resampler overshoots at the edge by less
    assert not loud.any()
    assert [sound[48 * ms] for ms in (300, 500, 700, 800)] == pytest.approx([0.25, 0.05, 0.1, 0.5], abs=1e-3)


def test_another_device_plays_at_the_same_volume() -> None:
    other = Device(9, "Other", "ALSA", 0, 2, 44100, default_output=True)
    rig = Rig(FakePort(MICROPHONE, SPEAKER))

    async def main() -> None:
        watch = asyncio.create_task(rig.streams.run())
        await rig.until(105)
        rig.sink.volume = 50
        playback = Playback(rig.sink, rig.loop.clock)
        await playback.play(chunk(800))
        await rig.until(405)
        rig.port.plugged = [MICROPHONE, other]
        rig.port.stream("output").end()
        await playback.drain()
        watch.cancel()

    rig.run(main)
    second = [stream for stream in rig.port.streams if stream.direction == "output"][1].sound()
    assert np.median(second[np.abs(second) > 0.05]) == pytest.approx(0.25, abs=1e-3)
