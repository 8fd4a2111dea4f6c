"""The loudspeaker as a session's sink: it knows what has sounded, by the clock of the converter."""

import asyncio

from assistant.audio import Resampler
from assistant.microphone.devices.feed import Feed
from assistant.microphone.devices.playing import Playing
from assistant.microphone.devices.port import Audio
from assistant.runtime import Clock
from assistant.session.sink import duration_ns

AHEAD_MS = 200
_POLL_NS = 5_000_000


class SpeakerSink:
    """Plays on the stream that is attached; without one it waits, and goes on where it was.

    Of a device that went away, what it had been given counts as sounded; so does, from `stop` on, what a
    device cannot give back any more.
    """

    def __init__(self, clock: Clock, volume: float = 100) -> None:
        self._clock = clock
        self._volume, self._level = volume, 1.0
        self.playing: Playing | None = None
        self.underruns = 0  # gaps inside of replies
        self._feed: Feed | None = None
        self._attached, self._going = asyncio.Event(), asyncio.Event()
        self._going.set()
        self.rate = 24000  # of what was written last
        self._resampler: Resampler | None = None
        self._held_ns = 0.0  # of what was written, still in the resampler
        self._written = 0
        self._base = 0  # position up to which all has sounded
        self._closed_s = 0.0  # sound since then on streams that are closed
        self._given = 0  # what the present stream had been given then
        self._end_ns = 0  # when all that was written will have sounded
        self._expecting = False  # more of the reply comes: silence is a gap in it
        self._moved = False  # to another stream since the last `write`

    def attach(self, rate: int) -> Feed:
        """What the next stream, of `rate`, takes from; `begin` comes when it runs."""
        old, self._feed = self._feed, Feed(rate, self._level * self._volume / 100)
        if old is not None:
            changed = old.rate != rate and self._resampler is not None
            more = self._resampler.flush() if changed and self._resampler else self._feed.nothing
            old.move(self._feed, more)
            self._resampler = Resampler(self.rate, rate) if changed else self._resampler
        return self._feed

    def begin(self, playing: Playing) -> None:
        """`playing` takes from the feed now."""
        self.playing, self._given = playing, 0
        self._attached.set()

    def detach(self) -> None:
        """The stream is closed."""
        self._attached.clear()
        self._moved = True
        if self.playing is not None:
            self._closed_s += (self.playing.given - self._given) / self.playing.rate
            self.playing = None

    @property
    def position(self) -> int:
        """See Sink."""
        sounded_s = self._closed_s
        if self.playing is not None:
            sounded_s += (self.playing.sounded(self._clock.now_ns()) - self._given) / self.playing.rate
        return min(self._written, self._base + max(0, int(sounded_s * self.rate + 1e-6)))

    @property
    def sounding(self) -> bool:
        """Whether anything of a reply is still to be heard."""
        return self._written > self._base

    async def write(self, audio: Audio, sample_rate: int) -> int:
        """See Sink."""
        if sample_rate != self.rate:
            await self.drain()
            self.rate = sample_rate
        feed, playing = await self._room()
        if self._resampler is None:
            self._resampler, self._held_ns = Resampler(sample_rate, feed.rate), 0.0
        played = self._resampler.push(audio)
        with feed.lock:
            waiting = len(feed)
            silence = feed.push(played)
        gap = silence > 0 or self._moved or not self._expecting
        self.underruns += gap and self._expecting
        self._moved = False
        start_ns = playing.sounds_at_ns(waiting) + round(self._held_ns) if gap else self._end_ns
        self._held_ns += duration_ns(len(audio), sample_rate) - duration_ns(len(played), feed.rate)
        self._end_ns = start_ns + duration_ns(len(audio), sample_rate)
        self._written += len(audio)
        self._expecting = True
        return start_ns

    async def _room(self) -> tuple[Feed, Playing]:
        """Wait until it plays, and has little enough to. A pause, or a loss, may come while this waits."""
        while True:
            await self._going.wait()
            await self._attached.wait()
            if self._feed is None or self.playing is None or not self._going.is_set():
                continue
            over_ns = duration_ns(len(self._feed), self._feed.rate) - AHEAD_MS * 1_000_000
            if over_ns <= 0:
                return self._feed, self.playing
            await self._clock.sleep_until(self._clock.now_ns() + over_ns)

    async def drain(self) -> None:
        """See Sink."""
        while self.sounding:
            feed, playing = await self._room()
            if self._resampler is not None:
                with feed.lock:
                    feed.push(self._resampler.flush())
                self._resampler = None
            now_ns = self._clock.now_ns()
            if not len(feed) and playing.sounded(now_ns) == playing.given:
                self._over()
                return
            await self._clock.sleep_until(max(self._end_ns, now_ns + _POLL_NS))

    def pause(self) -> None:
        """See Sink."""
        self._going.clear()
        if self._feed is not None:
            with self._feed.lock:
                self._feed.pause()

    def resume(self) -> None:
        """See Sink."""
        if self._feed is not None:
            with self._feed.lock:
                self._feed.resume()
                waiting = len(self._feed)
            if self.playing is not None:
                self._end_ns = self.playing.sounds_at_ns(waiting) + round(self._held_ns)
        self._going.set()

    def gain(self, level: float) -> None:
        """See Sink."""
        self._level = level
        self._scale()

    @property
    def volume(self) -> float:
        """Percent of what is written; setting it concerns what waits, too."""
        return self._volume

    @volume.setter
    def volume(self, percent: float) -> None:
        self._volume = percent
        self._scale()

    def _scale(self) -> None:
        if self._feed is not None:
            with self._feed.lock:
                self._feed.gain(self._level * self._volume / 100)

    def stop(self) -> None:
        """See Sink."""
        if self._feed is not None:
            with self._feed.lock:
                self._feed.stop()
        sound_s = self._closed_s
        if self.playing is not None:
            sound_s += (self._all_given() - self._given) / self.playing.rate
        self._written = min(self._written, self._base + max(0, int(sound_s * self.rate + 1e-6)))
        self._over()
        self._going.set()

    def _over(self) -> None:
        """All that was written has sounded, or will without fail."""
        self._base, self._closed_s = self._written, 0.0
        self._given = self._all_given()
        self._resampler, self._held_ns, self._expecting = None, 0.0, False

    def _all_given(self) -> int:
        """What the stream was given, and what it will take of the feed."""
        if self.playing is None or self._feed is None:
            return 0
        with self._feed.lock:
            return self.playing.given + len(self._feed)
