"""Streams that are lost and found again, on virtual time."""

import asyncio

import numpy as np
import pytest
from fake_port import MICROPHONE, SPEAKER, FakePort
from rig import Rig

from assistant.microphone.errors import DeviceBusy, NoDevice
from assistant.microphone.port import Device
from assistant.microphone.streams import Wanted
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
        "a sound device is gone: looking for the devices again",
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
