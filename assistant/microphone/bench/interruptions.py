"""Clips over replies, through a whole session: `python -m assistant.microphone.bench.interruptions CLIPS...`.

The folders' index names of each clip its `kind`: backchannel, stop or takeover. A question is asked in the
assistant's own voice, and each clip is laid over the reply to it, in real time. No devices are used: the
microphone has the question and the clip, dry, with noise at -60 dBFS, and a sink that only keeps time records
the reply.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
from rich.console import Console

from asr.audio import RATE, AudioSpan
from asr.stabilize import Partial
from asr.words import Hypothesis
from assistant.audio import FRAME_MS, INDEX, AudioError, Clip, ClipError, find_clips, read_clip, to_asr_rate
from assistant.config import Config, ConfigError, LlmConfig, read_config
from assistant.microphone.bench.narrator import narrator
from assistant.microphone.bench.over_reply import (
    AUDIBLE,
    Audio,
    Kind,
    Outcome,
    is_intact,
    last_audible_ns,
    longest_gap_ms,
    summary,
    table,
)
from assistant.models.load import load_pool, locate
from assistant.models.pool import ModelPool, Tap
from assistant.models.speech import load_speaker, locate_voice
from assistant.models.store import ModelStore, ModelStoreError
from assistant.runtime import Clock, Recorder
from assistant.runtime.machine import machine
from assistant.session.events import Listener, ReplyContinued, ReplyDone, ReplyHeld
from assistant.session.ring import Frame
from assistant.session.scheduled import Transcriber
from assistant.session.session import Session, SessionConfig
from assistant.session.sink import PacedSink
from assistant.trace.summary import write_json
from llm.remote.config import RemoteConfig

QUESTION = "When were the first trains built?"
REPLY = (
    "Steam engines pulled the first trains in England about two hundred years ago and people have wondered "
    "ever since then how fast a train could possibly go."
)  # 8 s without a pause: a reply that is silent just then would seem to be stopped at once
MOMENTS_S = (0.3, 1.5, 3.5)
_ASKED_S, _LIMIT_S = 0.5, 40.0
_NOISE = 10 ** (-60 / 20)
_QUIETEST = 0.125  # what a ducked reply sounds at


class Heard(Tap):
    """Keeps the final transcripts of each session."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}

    def transcriber(self, model: Transcriber, session: str) -> Transcriber:
        """See Tap."""
        return _Heard(model, self.texts.setdefault(session, []))


class _Heard:
    def __init__(self, model: Transcriber, texts: list[str]) -> None:
        self._model, self._texts = model, texts

    def begin(self, start_sample: int = 0) -> None:
        self._model.begin(start_sample)

    def partial(self, span: AudioSpan) -> Partial:
        return self._model.partial(span)

    def final(self, span: AudioSpan) -> Hypothesis:
        found = self._model.final(span)
        self._texts.append(found.text)
        return found


class KeepingSink(PacedSink):
    """Keeps what one reply was given as, when it was first heard, and whether it was ducked."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.given: list[Audio] = []
        self.rate = RATE
        self.heard_ns: int | None = None
        self.ducked = False

    async def write(self, audio: Audio, sample_rate: int) -> int:
        """See Sink."""
        start_ns = await super().write(audio, sample_rate)
        self.given.append(audio)
        self.rate = sample_rate
        loud = np.flatnonzero(np.abs(audio) >= AUDIBLE)
        if self.heard_ns is None and loud.size:
            self.heard_ns = start_ns + int(loud[0]) * 1_000_000_000 // sample_rate
        return start_ns

    def forget(self) -> None:
        """Nothing was heard yet."""
        self.given, self.heard_ns, self.ducked = [], None, False
        self.recorded.clear()
        self._unscaled.clear()

    def gain(self, level: float) -> None:
        """See Sink."""
        self.ducked = self.ducked or level < 1
        super().gain(level)


@dataclass(frozen=True)
class Spoken:
    """A clip at 16 kHz, and its first voiced sample."""

    clip: Clip
    kind: Kind
    audio: Audio
    voice_sample: int


class OverReply:
    """One conversation: the question, and a clip `moment_s` after the first audible sample of the reply."""

    def __init__(self, clock: Clock, spoken: Spoken, moment_s: float, question: Audio) -> None:
        self.sink = KeepingSink(clock)
        self._clock, self._spoken, self._moment_s, self._question = clock, spoken, moment_s, question
        self._voice_ns: int | None = None  # when its first voiced sample is recorded
        self._texts_before = 0
        self.done: ReplyDone | None = None
        self.held = self.went_on = False

    async def run(self, session: Session, texts: list[str]) -> Outcome:
        """Hold it; `texts` are what the session's recognizer understands."""
        listener = session.subscribe()
        await session.run(self._frames(listener, texts), self.sink)
        return self._outcome(texts)

    async def _frames(self, listener: Listener, texts: list[str]) -> AsyncIterator[Frame]:
        """The microphone until the reply is over over which the clip is said."""
        size, rng = RATE * FRAME_MS // 1000, np.random.default_rng(0)
        said, start_ns = np.zeros(round(_ASKED_S * RATE), np.float32), self._clock.now_ns()
        said = np.concatenate([said, self._question])
        for number in range(round(_LIMIT_S * 1000 / FRAME_MS)):
            begin_ns = start_ns + number * FRAME_MS * 1_000_000
            if self._voice_ns is None and self._is_due(begin_ns):
                said, self._texts_before = self._spoken.audio, len(texts)
                self._voice_ns = begin_ns + self._spoken.voice_sample * 1_000_000_000 // RATE
            piece, said = said[:size], said[size:]
            audio = np.pad(piece, (0, size - len(piece))) + rng.normal(0, _NOISE, size).astype(np.float32)
            await self._clock.sleep_until(begin_ns + FRAME_MS * 1_000_000)
            yield Frame(audio, begin_ns + FRAME_MS * 1_000_000)
            self._follow(listener)
            if self.done is not None and self._voice_ns is not None:
                return

    def _is_due(self, now_ns: int) -> bool:
        heard_ns = self.sink.heard_ns
        return heard_ns is not None and now_ns >= heard_ns + self._moment_s * 1e9

    def _follow(self, listener: Listener) -> None:
        for event in listener.drain():
            self.held = self.held or isinstance(event, ReplyHeld)
            self.went_on = self.went_on or isinstance(event, ReplyContinued)
            if isinstance(event, ReplyDone):
                self._note(event)

    def _note(self, event: ReplyDone) -> None:
        if self._voice_ns is None:
            self.sink.forget()  # the question was cut into, or is answered again
        elif self.done is None:
            self.done = event

    def _outcome(self, texts: list[str]) -> Outcome:
        sink, spoken = self.sink, self._spoken
        stopped = self.done is not None and self.done.interrupted
        silent_ns = last_audible_ns(sink.recorded, sink.rate)
        silent_ms = None
        if stopped and silent_ns is not None and self._voice_ns is not None:
            silent_ms = max(0.0, (silent_ns - self._voice_ns) / 1e6)
        over = self.done is not None and not stopped and self._voice_ns is not None
        nothing = np.zeros(0, np.float32)
        recorded = np.concatenate([nothing, *(audio for _, audio in sink.recorded)])
        given = np.concatenate([nothing, *sink.given])
        intact = is_intact(recorded, given, _QUIETEST) if over else None
        return Outcome(
            f"{spoken.clip.path.parent.name}/{spoken.clip.name}",
            spoken.kind,
            spoken.clip.reference or "",
            self._moment_s,
            " | ".join(texts[self._texts_before :]),
            sink.ducked,
            self.held,
            self.went_on,
            stopped,
            silent_ms,
            longest_gap_ms(sink.recorded, sink.rate) if self.went_on else None,
            intact,
            float((recorded == given).mean()) if intact else None,
        )


def clips_of(folders: Sequence[Path]) -> list[Spoken]:
    """The clips of a known kind; raises ClipError where there is none, and AudioError."""
    found = []
    for folder in folders:
        clips = find_clips(folder)
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        for clip, entry in zip(clips, entries, strict=True):
            if entry.get("kind") in get_args(Kind) and clip.speech_start_sample is not None:
                audio, rate = read_clip(clip)
                voice_sample = clip.speech_start_sample * RATE // rate
                found.append(Spoken(clip, cast(Kind, entry["kind"]), to_asr_rate(audio, rate), voice_sample))
    if not found:
        raise ClipError("no clip has a kind: backchannel, stop or takeover")
    return found


def question(config: Config) -> Audio:
    """The question in the assistant's voice, at 16 kHz, with half of its loudness."""
    speaker = load_speaker(config.tts, locate_voice(config.tts, ModelStore()))
    chunks = list(speaker.speak(QUESTION, should_stop=lambda: False))
    audio = np.concatenate([chunk.audio for chunk in chunks])
    return to_asr_rate(audio, chunks[0].sample_rate) * np.float32(0.5)


async def converse(
    pool: ModelPool, heard: Heard, config: Config, clips: Sequence[Spoken], moments_s: Sequence[float]
) -> AsyncIterator[Outcome]:
    """Each clip at each moment, one after the other, each in a session of its own."""
    clock, asked = Clock(), question(config)
    settings = SessionConfig(config.llm.system_prompt, config.turn, config.asr)
    for spoken in clips:
        for moment_s in moments_s:
            name = f"{spoken.clip.name}-{moment_s}"
            stages = pool.open(name)
            try:
                session = Session(stages, settings, clock, Recorder(0), name)
                over = OverReply(clock, spoken, moment_s, asked)
                yield await over.run(session, heard.texts.setdefault(name, []))
            finally:
                await stages.close()


async def _measure(
    options: argparse.Namespace, config: Config, clips: Sequence[Spoken], console: Console
) -> list[Outcome]:
    heard, found = Heard(), list[Outcome]()
    pool = load_pool(config, locate(config, ModelStore()), Clock(), heard)
    try:
        async for outcome in converse(pool, heard, config, clips, options.moments):
            found.append(outcome)
            told = "stopped" if outcome.stopped else "went on" if outcome.went_on else "not held"
            silent = "" if outcome.silent_ms is None else f" {outcome.silent_ms:.0f} ms"
            console.print(f"{outcome.text} {outcome.moment_s:g} s: {told}{silent} {outcome.understood!r}")
    finally:
        pool.close()
    return found


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m assistant.microphone.bench.interruptions", description=__doc__
    )
    parser.add_argument("clips", nargs="+", type=Path, help="Folders of clips.")
    parser.add_argument(
        "--moments", nargs="+", type=float, default=list(MOMENTS_S), help="Seconds into the reply."
    )
    parser.add_argument("--config", type=Path, help="Settings in TOML.")
    parser.add_argument("--json", type=Path, help="Write all results.")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    options = parse(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=150)
    try:
        config, clips = read_config(options.config), clips_of(options.clips)
        with narrator([REPLY, "All right."]) as url:
            remote = RemoteConfig(url=url, model="narrator")
            config = replace(config, llm=LlmConfig(remote=remote))
            found = asyncio.run(_measure(options, config, clips, console))
    except (AudioError, ClipError, ConfigError, ModelStoreError, OSError) as error:
        raise SystemExit(f"assistant.microphone.bench.interruptions: {error}") from error
    console.print(table(found))
    if options.json:
        results = [asdict(outcome) for outcome in found]
        write_json(options.json, {"machine": machine(), "summary": summary(found), "results": results})


if __name__ == "__main__":
    main()
