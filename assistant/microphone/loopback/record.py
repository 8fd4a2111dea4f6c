"""Playing and recording at once, through the streams and the sink of a conversation."""

import asyncio
from contextlib import suppress

import numpy as np

from assistant.microphone.devices.errors import DeviceLost
from assistant.microphone.devices.playing import Playing
from assistant.microphone.devices.port import Audio
from assistant.microphone.devices.recording import Recording
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams
from assistant.microphone.loopback.take import Take

_AWAKE_S = 3.0  # that a Bluetooth microphone takes until it gives anything but zeros
_WAIT_S = 0.5
_CHUNK_S = 0.1


class _Taker:
    """Takes in what is played and recorded, whenever it is asked to."""

    def __init__(self, playing: Playing, recording: Recording) -> None:
        self.awake = False
        self._playing, self._recording = playing, recording
        self._played: list[Audio] = []
        self._recorded: list[Audio] = []
        self._first_played = self._next_played = playing.end
        self._first_recorded: int | None = None
        self._times: list[tuple[float, float, float, float]] = []  # of sample 0 and of buffers, ns

    def take(self) -> None:
        """Take in what is new; at least every 4 s, or it is gone."""
        called_ns, asked_ns = self._recording.called_ns, self._playing.called_ns
        end, next_recorded = self._playing.end, 0
        for start, audio in self._recording.read():
            self._first_recorded = start if self._first_recorded is None else self._first_recorded
            self._recorded.append(audio)
            self.awake = self.awake or bool(audio.any())
            next_recorded = start + len(audio)
        self._played.append(self._playing.sent(self._next_played, end - self._next_played))
        self._next_played = end
        self._playing.update()
        played, recorded = self._playing.timeline, self._recording.timeline
        if next_recorded and played.known:
            assert self._first_recorded is not None, "something was recorded"
            self._times.append(
                (
                    played.at_ns(self._first_played),
                    recorded.at_ns(self._first_recorded),
                    played.at_ns(end - self._playing.rate // 100) - asked_ns,
                    called_ns - recorded.at_ns(next_recorded - self._recording.rate // 100),
                )
            )

    def result(self, underruns: int) -> Take:
        """All that was taken in."""
        if not self._times:
            raise DeviceLost("no sound came from the devices")
        times = np.array(self._times)
        played_ns, recorded_ns, output_ns, input_ns = np.median(times, axis=0)
        low, high = np.percentile(times[:, 1] - times[:, 0], [5, 95])
        return Take(
            np.concatenate(self._played),
            self._playing.rate,
            played_ns,
            np.concatenate(self._recorded),
            self._recording.rate,
            recorded_ns,
            output_ns / 1e6,
            input_ns / 1e6,
            (high - low) / 2e6,
            self._recording.overflows,
            underruns,
        )


async def record(streams: Streams, sink: SpeakerSink, sound: Audio, rate: int) -> Take:
    """Play `sound` [n] at `rate` Hz on streams that are open, and record until its echo is over.

    Raises DeviceLost, in an ExceptionGroup, where one of both devices goes away meanwhile.
    """
    recording, playing = streams.recording, streams.playing
    assert recording and playing, "both are open"
    taker = _Taker(playing, recording)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(streams.run(), name="devices")
        latest_s = loop.time() + _AWAKE_S
        while not taker.awake and loop.time() < latest_s:
            await _next(streams, taker)
        play = group.create_task(_play(sink, sound, rate), name="play")
        while not play.done():
            await _next(streams, taker)
        end_s = loop.time() + _WAIT_S
        while loop.time() < end_s:
            await _next(streams, taker)
        watch.cancel()
    return taker.result(sink.underruns)


async def _next(streams: Streams, taker: _Taker) -> None:
    """Take in what comes next."""
    with suppress(TimeoutError):
        await asyncio.wait_for(streams.woken.wait(), _WAIT_S)
    streams.woken.clear()
    if streams.losses:
        raise DeviceLost("a sound device was lost while it was measured")
    taker.take()


async def _play(sink: SpeakerSink, sound: Audio, rate: int) -> None:
    size = round(_CHUNK_S * rate)
    for start in range(0, len(sound), size):
        await sink.write(sound[start : start + size], rate)
    await sink.drain()
