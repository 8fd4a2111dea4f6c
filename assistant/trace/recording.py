"""Recording a trace: what came in, what the models did, what was played, and how long all of it took."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from asr.audio import RATE
from assistant.audio import Clip
from assistant.config import Config
from assistant.models.pool import recognition_threads
from assistant.runtime import Clock, Span
from assistant.runtime.machine import machine, usable_threads
from assistant.session.events import Listener, ReplyDone, SessionEvent
from assistant.session.ring import Frame
from assistant.session.session import Input, Session
from assistant.session.sink import Audio, Sink
from assistant.trace.digest import audio_digest
from assistant.trace.errors import TraceError
from assistant.trace.provenance import model_digests
from assistant.trace.taps import VOICE, Notes, RecordingTap
from assistant.trace.writer import Files, Writer
from llm.cpu.model import default_threads

FORMAT = 2
META = "meta.json"
LABELS = ("speech_start_sample", "speech_end_sample", "pauses", "pause_kinds", "over_reply_ms")
"""Of a clip, which a trace keeps."""
SECTIONS = ("turn", "asr", "llm", "tts")
_FRAMES = 50  # a line, one second


class Recording:
    """A trace that is being written into `folder`; `said` is told if it ends early.

    Its `tap` goes to the pool; sessions go through `run`. Raises TraceError: the folder is there already, or
    cannot be written, or the language model is on another machine.
    """

    def __init__(self, folder: Path, config: Config, clock: Clock, said: Callable[[str], None]) -> None:
        if config.llm.is_remote:
            raise TraceError(f"{folder}: a language model on another machine cannot be recorded")
        try:
            folder.mkdir(parents=True)
            meta = json.dumps(_meta(config, model_digests(config)), indent=1) + "\n"
            (folder / META).write_text(meta, encoding="utf-8")
            writer = Writer(folder, said)
        except FileExistsError as error:
            raise TraceError(f"{folder}: is there already; a trace wants a folder of its own") from error
        except OSError as error:
            raise TraceError(f"{folder}: cannot be written ({error.strerror})") from error
        self._notes = Notes(writer, clock)
        self.tap = RecordingTap(self._notes)

    def close(self) -> bool:
        """Write what waits; whether the trace is whole."""
        return self._notes.writer.close()

    def span(self, span: Span) -> None:
        """Write a span down: an exporter for a `Recorder`."""
        notes = self._notes
        notes.put(lambda _: _span(span, notes.since(span.start_ns), notes.since(span.end_ns)))

    def clip(self, session: str, clip: Clip, start_ns: int, rate: int) -> None:
        """A clip begins at `start_ns`; its labels count samples at `rate`."""
        at = self._notes.since(start_ns)
        self._notes.put(
            lambda _: {
                "is": "clip",
                "session": session,
                "at": at,
                "file": clip.name,
                "text": clip.reference,
                "rate": rate,
                **{key: getattr(clip, key) for key in LABELS},
            }
        )

    async def run(self, session: Session, name: str, source: AsyncIterable[Input], sink: Sink) -> None:
        """`session.run(source, sink)`, with all that goes in and out written down."""
        at = self._notes.now_ns()
        self._notes.put(lambda _: {"is": "session", "session": name, "at": at})
        session.attach(_Replies(self._notes, name))
        played = _Played(sink, self._notes, name)
        try:
            await session.run(_heard(source, self._notes, name), played)
        finally:
            ended = self._notes.now_ns()
            self._notes.put(lambda _: {"is": "over", "session": name, "at": ended})


def reply_times(event: ReplyDone, since: Callable[[int], int]) -> dict[str, Any]:
    """The times of a reply that is over, in nanoseconds since the recording began."""
    of = event.boundaries
    return {
        "voice_end": since(event.voice_end_ns),
        "decided": since(event.decided_ns),
        "ends": {name: since(ns) for name, ns in of.ends_ns.items()} if of else None,
        "starts": {name: since(ns) for name, ns in of.starts_ns.items()} if of else None,
    }


class _Replies(Listener):
    """Writes down each reply that is over."""

    def __init__(self, notes: Notes, session: str) -> None:
        super().__init__()
        self._notes, self._session = notes, session

    def push(self, event: SessionEvent) -> None:
        if not isinstance(event, ReplyDone):
            return
        line = {
            "is": "reply",
            "session": self._session,
            "at": self._notes.now_ns(),
            "number": event.number,
            "transcript": event.transcript,
            "reply": event.reply,
            "heard": event.heard,
            "interrupted": event.interrupted,
            "reopened": event.reopened,
            "sounded": event.sounded,
            "underruns": event.underruns,
            **reply_times(event, self._notes.since),
        }
        self._notes.put(lambda _: line)


class _Played:
    """A sink whose audio and whose silences are written down."""

    def __init__(self, sink: Sink, notes: Notes, session: str) -> None:
        self._sink, self._notes, self._session = sink, notes, session

    @property
    def position(self) -> int:
        return self._sink.position

    async def write(self, audio: Audio, sample_rate: int) -> int:
        start_ns = await self._sink.write(audio, sample_rate)
        at, sounds = self._notes.now_ns(), self._notes.since(start_ns)

        def line(files: Files) -> dict[str, Any]:
            first = files.chunk(VOICE.format(rate=sample_rate), audio_digest(audio), audio, sample_rate)
            place = {"rate": sample_rate, "audio": [first, len(audio)]}
            return {"is": "played", "session": self._session, "at": at, "sounds": sounds, **place}

        self._notes.put(line)
        return start_ns

    async def drain(self) -> None:
        await self._sink.drain()

    def pause(self) -> None:
        self._sink.pause()
        self._note("pause")

    def resume(self) -> None:
        self._sink.resume()
        self._note("resume")

    def gain(self, level: float) -> None:
        self._sink.gain(level)
        self._note("gain", level=level)

    def stop(self) -> None:
        self._sink.stop()
        self._note("stop")

    def _note(self, what: str, **more: float) -> None:
        at, position = self._notes.now_ns(), self._sink.position
        line = {"is": "silence", "session": self._session, "at": at, "what": what, "position": position}
        self._notes.put(lambda _: {**line, **more})


async def _heard(source: AsyncIterable[Input], notes: Notes, session: str) -> AsyncIterator[Input]:
    """What `source` gives, written down: frames a second at a time, anything else as it comes."""
    frames: list[tuple[int, Frame]] = []
    try:
        async for item in source:
            if isinstance(item, Frame):
                frames.append((notes.now_ns(), item))
            else:
                notes.input(session, item)
            if len(frames) >= _FRAMES or not isinstance(item, Frame):
                _note_frames(frames, notes, session)
                frames = []
            yield item
    finally:
        _note_frames(frames, notes, session)


def _note_frames(frames: list[tuple[int, Frame]], notes: Notes, session: str) -> None:
    if not frames:
        return

    def line(files: Files) -> dict[str, Any]:
        for _, frame in frames:
            files.sound(heard_file(session), frame.audio, RATE)
            if frame.detect is not None:
                files.sound(detected_file(session), frame.detect, RATE)
        return {
            "is": "frames",
            "session": session,
            "samples": [len(frame.audio) for _, frame in frames],
            "came": [at for at, _ in frames],
            "recorded": [notes.since(frame.end_ns) for _, frame in frames],
            "detect": [frame.detect is not None for _, frame in frames].count(True) == len(frames),
        }

    notes.put(line)


def heard_file(session: str) -> str:
    """The file of what the recognizer of a session heard."""
    return f"in-{session}.flac"


def detected_file(session: str) -> str:
    """The file of what its voice detector heard, where that was other audio."""
    return f"detect-{session}.flac"


def _span(span: Span, start: int, end: int) -> dict[str, Any]:
    more = {"reply": span.reply} if span.reply is not None else {}
    attributes = {"attributes": dict(span.attributes)} if span.attributes else {}
    return {
        "is": "span",
        "name": span.name,
        "on": span.track,
        "session": span.session,
        "began": start,
        "ended": end,
        **more,
        **attributes,
    }


def _meta(config: Config, models: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    sections = {name: _changed(getattr(config, name), getattr(Config(), name)) for name in SECTIONS}
    sections["llm"].pop("remote", None)
    if config.llm.is_path:
        sections["llm"]["model"] = Path(config.llm.model).name
    if config.llm.adapter_is_path:
        sections["llm"]["adapter"] = f"./{Path(config.llm.adapter or '').name}"  # the slash makes it a path
    threads = config.llm.threads or default_threads()
    return {
        "format": FORMAT,
        "machine": machine(),
        "cores": usable_threads(),
        "threads": {"asr": recognition_threads(config.llm.sessions), "llm_pass": threads},
        "models": list(models),
        "config": {name: keys for name, keys in sections.items() if keys},
    }


def _changed(section: Any, default: Any) -> dict[str, Any]:  # noqa: ANN401  # dataclasses
    """What of a section is not as by default: a default that changes later is to change a simulation."""
    keys = {}
    for field in fields(section):
        value, usual = getattr(section, field.name), getattr(default, field.name)
        if value != usual:
            keys[field.name] = _changed(value, usual) if is_dataclass(value) else value
    return keys
