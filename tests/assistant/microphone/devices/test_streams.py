"""Streams that are lost and found again, on virtual time."""

import asyncio
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from fake_port import MICROPHONE, SPEAKER, FakePort
from rig import Rig

from assistant.microphone.devices.defaults import Defaults
from assistant.microphone.devices.errors import DeviceBusy, NoDevice, RateRefused
from assistant.microphone.devices.port import Device
from assistant.microphone.devices.streams import Wanted
from assistant.runtime import run_virtual

USB = Device(8, "USB", "ALSA", inputs=2, outputs=2, rate=44100)


def watched(rig: Rig, main) -> None:  # noqa: ANN001
    """Run `main` while the streams are watched."""

    async def both() -> None:
        watch = asyncio.create_task(rig.streams.run())
        try:
            await main()
        finally:
            watch.cancel()

    rig.run(both)


def test_each_stream_has_its_devices_own_rate_and_the_loudspeaker_two_channels() -> None:
    rig = Rig()

    async def main() -> None:
        speaker, microphone = rig.port.streams
        assert (microphone.device.rate, microphone.channels) == (16000, 1)
        assert (speaker.device.rate, speaker.channels) == (48000, 2)
        assert microphone.latency_s == speaker.latency_s == 0.06

    rig.run(main)


def test_no_stream_stays_open_if_one_cannot_be_opened() -> None:
    rig = Rig()
    rig.port.refused["Mic"] = DeviceBusy("Mic is held")

    async def main() -> None:
        with pytest.raises(DeviceBusy):
            await rig.open()
        assert not any(stream.open for stream in rig.port.streams)

    run_virtual(main(), rig.loop)


@pytest.mark.parametrize("lost", ["input", "output"])
def test_a_device_that_ends_is_looked_for_until_it_is_back(lost: str) -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(1000)
        gone = MICROPHONE if lost == "input" else SPEAKER
        rig.port.plugged.remove(gone)
        rig.port.stream(lost).end()  # type: ignore[arg-type]
        await rig.until(4500)
        assert not any(stream.open for stream in rig.port.streams)
        rig.port.plugged.append(gone)
        await rig.until(5600)
        assert rig.port.stream("input").first and rig.port.stream("output").first

    watched(rig, main)
    no = str(NoDevice("input" if lost == "input" else "output"))
    assert rig.told == [
        f"{'Mic' if lost == 'input' else 'Speaker'}, ALSA is gone: looking for the devices again",
        no,  # once, however often it is looked for
        "going on with Mic, ALSA and Speaker, ALSA",
    ]
    assert rig.port.refreshes == 5  # at 1.0, 2.0, 3.0, 4.0 and 5.0 s


@pytest.mark.parametrize("direction", ["input", "output"])
def test_a_stream_that_calls_no_more_is_lost_after_half_a_second(direction: str) -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(1000)
        rig.port.stream(direction).stalled = True  # type: ignore[arg-type]
        await rig.until(1400)
        assert rig.streams.losses == 0
        await rig.until(1800)
        assert rig.streams.losses == 1 and rig.port.stream("input").first

    watched(rig, main)


def test_a_process_that_was_late_itself_loses_nothing() -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(1000)
        rig.loop.advance(5.0)  # nothing of it ran, no callback either
        await rig.until(9000)

    watched(rig, main)
    assert rig.told == []


def test_a_machine_that_slept_opens_its_devices_again() -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(1000)
        rig.port.epoch_s += 3600
        await rig.until(1100)
        assert rig.streams.recording is not None
        rig.streams.recording.skip()  # who reads it sees the jump
        await rig.until(1400)

    watched(rig, main)
    assert rig.told[0] == "the machine slept, or its clock was set: looking for the devices again"
    assert len(rig.told) == 2


def test_another_default_is_taken_when_the_old_one_goes_and_a_named_one_is_waited_for() -> None:
    def lost_with(wanted: Wanted) -> list[str]:
        rig = Rig(FakePort(MICROPHONE, SPEAKER, USB))

        async def main() -> None:
            streams = await rig.open(wanted)
            watch = asyncio.create_task(streams.run())
            await rig.until(1000)
            rig.port.plugged.remove(MICROPHONE)
            rig.port.stream("input").end()
            await rig.until(3500)
            watch.cancel()
            await streams.close()

        run_virtual(main(), rig.loop)
        return rig.told

    assert lost_with(Wanted())[-1] == "going on with USB, ALSA and Speaker, ALSA"
    assert lost_with(Wanted(input="mic"))[1:] == ["no microphone is called 'mic'; there are: USB, ALSA"]


def test_a_recording_goes_on_with_the_new_stream() -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(500)
        before = rig.streams.recording
        rig.port.stream("input").end()
        await rig.until(1000)
        assert rig.streams.recording is not None and rig.streams.recording is not before
        audio = np.concatenate([audio for _, audio in rig.streams.recording.read()])
        assert len(audio) == pytest.approx(0.5 * 16000, abs=16000 * 0.1)

    watched(rig, main)


@pytest.mark.parametrize(("takes", "rate"), [((16000,), 16000), ((8000, 16000), 16000), ((8000,), 8000)])
def test_a_device_that_refuses_its_own_rate_gets_another(takes: tuple[int, ...], rate: int) -> None:
    """As Bluetooth headsets do, which state 44.1 kHz."""
    headset = replace(MICROPHONE, rate=44100, outputs=1, default_output=True)
    rig = Rig(FakePort(headset))
    rig.port.rates[headset.name] = takes

    async def main() -> None:
        await rig.until(500)
        assert {stream.device.rate for stream in rig.port.streams} == {rate}
        assert rig.streams.recording is not None and rig.streams.playing is not None
        assert rig.streams.recording.rate == rig.streams.playing.rate == rate
        audio = np.concatenate([audio for _, audio in rig.streams.recording.read()])
        assert len(audio) == pytest.approx(0.485 * rate, abs=rate / 100)

    rig.run(main)


def test_a_device_that_refuses_every_rate_says_so_of_its_own() -> None:
    rig = Rig()
    rig.port.rates["Mic"] = ()

    async def main() -> None:
        with pytest.raises(RateRefused, match="at 16000 Hz"):
            await rig.open()
        assert not any(stream.open for stream in rig.port.streams)

    run_virtual(main(), rig.loop)


@pytest.mark.parametrize(("inputs", "opened"), [(1, 1), (2, 2), (8, 8), (32, 1), (128, 1)])
def test_all_of_a_microphones_channels_are_heard_but_not_those_that_a_plugin_makes_up(
    inputs: int, opened: int
) -> None:
    rig = Rig(FakePort(replace(MICROPHONE, inputs=inputs), SPEAKER))

    async def main() -> None:
        assert rig.port.stream("input").channels == opened

    rig.run(main)


OTHER = Device(9, "Headset", "ALSA", inputs=1, outputs=1, rate=16000)


def named_defaults(rig: Rig, wanted: Wanted, input_name: str, output_name: str) -> None:
    """Watch streams while the system's defaults become these; 6 s of it."""
    rig.defaults = Defaults("Mic, ALSA", "Speaker, ALSA")

    async def main() -> None:
        streams = await rig.open(wanted)
        watch = asyncio.create_task(streams.run())
        await rig.until(3000)
        rig.port.plugged = [
            replace(
                device,
                default_input=device.name == input_name,
                default_output=device.name == output_name,
            )
            for device in (MICROPHONE, SPEAKER, OTHER)
        ]
        rig.defaults = Defaults(f"{input_name}, ALSA", f"{output_name}, ALSA")
        await rig.until(5200)
        watch.cancel()
        await streams.close()

    run_virtual(main(), rig.loop)


@pytest.mark.parametrize(
    ("input_name", "output_name"), [("Headset", "Speaker"), ("Mic", "Headset"), ("Headset", "Headset")]
)
def test_another_default_device_is_followed_within_two_seconds(input_name: str, output_name: str) -> None:
    rig = Rig(FakePort(MICROPHONE, SPEAKER, OTHER))
    named_defaults(rig, Wanted(), input_name, output_name)
    assert rig.told == [
        "the system has another default device: looking for the devices again",
        f"going on with {input_name}, ALSA and {output_name}, ALSA",
    ]


def test_the_systems_default_is_nothing_to_who_named_a_device() -> None:
    rig = Rig(FakePort(MICROPHONE, SPEAKER, OTHER))
    named_defaults(rig, Wanted(input="mic"), "Headset", "Speaker")
    named_both = Rig(FakePort(MICROPHONE, SPEAKER, OTHER))
    named_defaults(named_both, Wanted("mic", "speaker"), "Headset", "Headset")
    assert rig.told == named_both.told == []


def test_a_default_that_cannot_be_asked_for_or_is_none_changes_nothing() -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(3000)
        rig.defaults = Defaults("Mic, ALSA", "Speaker, ALSA")
        await rig.until(6000)
        rig.defaults = Defaults(None, None)
        await rig.until(9000)

    watched(rig, main)
    assert rig.told == []


def test_fifty_losses_leave_the_tasks_threads_and_descriptors_of_the_first() -> None:
    rig = Rig()
    counts: list[tuple[int, int, int]] = []

    async def main() -> None:
        for loss in range(50):
            stream = rig.port.stream("input" if loss % 2 else "output")
            if loss % 5:
                stream.end()
            else:
                stream.stalled = True  # it stops without a word
            await rig.until(1000 * (loss + 1))
            assert rig.streams.losses == loss + 1 and sum(stream.open for stream in rig.port.streams) == 2
            open_files = len(os.listdir("/dev/fd"))  # noqa: PTH208  # it is not waited for
            counts.append((len(asyncio.all_tasks()), threading.active_count(), open_files))

    watched(rig, main)
    assert set(counts) == {counts[0]} and len(rig.told) == 100


def test_a_device_that_is_held_when_it_is_looked_for_again_is_told_once_and_then_taken() -> None:
    rig = Rig()

    async def main() -> None:
        await rig.until(1000)
        rig.port.refused["Mic"] = DeviceBusy("Mic is held by another program")
        rig.port.stream("input").end()
        await rig.until(4500)
        del rig.port.refused["Mic"]
        await rig.until(5500)

    watched(rig, main)
    assert len(rig.told) == 3 and rig.told[1].startswith("Mic is held by another program: ")


def test_gaps_of_a_busy_machine_are_one_line_when_they_are_over() -> None:
    rig = Rig()

    async def main() -> None:
        async def listen() -> None:
            while True:
                await rig.until(rig.now_ms + 20)
                if rig.streams.recording is not None:
                    list(rig.streams.recording.read())

        async def speak() -> None:
            while True:
                await rig.sink.write(np.full(2400, 0.1, np.float32), 24000)

        beside = [asyncio.create_task(listen()), asyncio.create_task(speak())]
        await rig.until(1000)
        for _ in range(5):
            rig.port.stream("input").lose(16 * 30)
            rig.port.stream("output").lose(48 * 40)
            await rig.until(rig.now_ms + 700)
        assert rig.told == []
        await rig.until(20_000)
        assert rig.told == [
            "the machine was too busy: 150 ms of the microphone were lost, "
            "and the loudspeaker ran dry 5 times"
        ]
        rig.port.stream("output").lose(48 * 40)
        await rig.until(60_000)
        assert len(rig.told) == 1  # not twice a minute
        await rig.until(70_000)
        assert rig.told[1:] == ["the machine was too busy: the loudspeaker ran dry once"]
        for task in beside:
            task.cancel()

    watched(rig, main)


def test_a_short_loss_is_one_line_and_its_end_another() -> None:
    """As when a sound server starts again."""
    rig = Rig()

    async def main() -> None:
        await rig.until(1000)
        rig.port.plugged.clear()
        rig.port.stream("output").end()
        await rig.until(2500)
        rig.port.plugged += [MICROPHONE, SPEAKER]
        await rig.until(4000)

    watched(rig, main)
    assert rig.told == [
        "Speaker, ALSA is gone: looking for the devices again",
        "going on with Mic, ALSA and Speaker, ALSA",
    ]
