"""What the scripts of the Python clients share; it imports nothing that comes with no client.

A script adapts its client to `Session` and calls `main`. What the client reports goes to `Heard`.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

SCENARIO_S = 45.0  # the longest, barge-in, takes about ten
CHUNK_MS = 40
QUIET = 500  # of 32767; below it a sample is not heard
INSTRUCTIONS = "You are a helpful assistant."


class NotApplicable(Exception):  # noqa: N818  # no error: the client has no such thing
    """The client cannot do this; the message says why."""


@dataclass(frozen=True)
class Options:
    """What a scenario asks of its session, beyond a client's own defaults."""

    text_only: bool = False
    manual: bool = False  # no turn detection
    weather: bool = False  # declares get_weather
    pcmu: bool = False  # G.711 mu-law both ways


@dataclass
class Reply:
    """What came of one response; `audio` as the session's format has it."""

    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    status: str = ""


@dataclass(frozen=True)
class Refusal:
    """An error of the server, as the client shows it."""

    code: str | None
    event_id: str | None


@dataclass
class Heard:
    """What the client has reported. `complaints` are the client's own: an event that it could not take."""

    transcripts: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    replies: asyncio.Queue[Reply] = field(default_factory=asyncio.Queue)
    refusals: asyncio.Queue[Refusal] = field(default_factory=asyncio.Queue)
    truncations: asyncio.Queue[int] = field(default_factory=asyncio.Queue)  # milliseconds
    current: Reply = field(default_factory=Reply)
    audible: asyncio.Event = field(default_factory=asyncio.Event)  # the present reply has begun to sound
    complaints: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)  # what came, by its name

    def saw(self, name: str) -> None:
        """Note that something came; what repeats itself is noted once."""
        if not self.seen or self.seen[-1] != name:
            self.seen.append(name)

    def sound(self, audio: bytes) -> None:
        """Take audio of the reply."""
        self.current.audio += audio
        self.audible.set()

    def finish(self, status: str) -> None:
        """The reply is over."""
        self.current.status = status
        self.replies.put_nowait(self.current)
        self.current = Reply()
        self.audible.clear()


class Session(ABC):
    """A connected client. What a client cannot do raises NotApplicable."""

    # Events that a server must refuse, each by the text or the fields in which the client lets one send it.
    malformed: tuple[str | dict[str, object], ...] = ()
    why_no_malformed = "the client gives no way to send a raw event"

    def __init__(self) -> None:
        self.heard = Heard()

    @abstractmethod
    async def ask(self, text: str) -> None:
        """Type something and want a reply."""

    @abstractmethod
    async def push(self, audio: bytes) -> None:
        """Send audio of the microphone."""

    @abstractmethod
    async def commit(self) -> None:
        """End the turn by hand, and want a reply."""

    @abstractmethod
    async def cancel(self) -> Refusal | None:
        """Cancel a response that is not there; what the client shows of the refusal, if anything."""

    @abstractmethod
    async def send_raw(self, event: str | dict[str, object]) -> None:
        """Send an event of `malformed`."""

    @abstractmethod
    async def create(self, item_id: str, text: str) -> None:
        """Put a user's message into the conversation, and wait until it is there."""

    @abstractmethod
    async def retrieve(self, item_id: str) -> str | None:
        """The text of a message as the server has it; None if it has none by that id."""

    @abstractmethod
    async def delete(self, item_id: str) -> None:
        """Delete an item, and wait until it is gone."""

    async def truncated(self) -> None:
        """Wait until the server has truncated a reply that had sounded for about two seconds."""
        if not 1000 <= (ms := await self.heard.truncations.get()) <= 10_000:
            raise AssertionError(f"truncated at {ms} ms")


@dataclass(frozen=True)
class Setup:
    """Where the server is, and the folder of the clips."""

    url: str
    clips: Path
    key: str = "sk-conformance"

    def clip(self, name: str) -> bytes:
        """Raw samples."""
        return (self.clips / name).read_bytes()


Connect = Callable[[Setup, Options], AbstractAsyncContextManager[Session]]
Scenario = Callable[[Setup, Connect], Awaitable[None]]


class Microphone:
    """Sends audio in real time: what is said, else silence."""

    def __init__(self, session: Session, bytes_per_s: int, silence: bytes) -> None:
        self._session, self._silence = session, silence
        self._size = bytes_per_s * CHUNK_MS // 1000
        self._said = bytearray()

    def say(self, audio: bytes) -> None:
        """Say it from now on."""
        self._said += audio

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            chunk = bytes(self._said[: self._size])
            del self._said[: self._size]
            await self._session.push(
                chunk + self._silence * ((self._size - len(chunk)) // len(self._silence))
            )
            due += CHUNK_MS / 1000
            await asyncio.sleep(due - loop.time())


@asynccontextmanager
async def microphone(session: Session, *, pcmu: bool = False) -> AsyncIterator[Microphone]:
    """A microphone that is open; it says nothing yet."""
    mic = Microphone(session, 8000, b"\xff") if pcmu else Microphone(session, 48000, b"\0\0")
    task = asyncio.create_task(mic.run(), name="microphone")
    try:
        yield mic
    finally:
        task.cancel()
        await asyncio.wait([task])


def heard_s(audio: bytes, *, pcmu: bool = False) -> float:
    """Seconds of the audio that are loud enough to be heard."""
    if pcmu:
        return sum(abs(_expand(code)) > QUIET for code in audio) / 8000
    return sum(abs(sample) > QUIET for sample in array("h", bytes(audio))) / 24000


def _expand(code: int) -> int:
    """One byte of G.711 mu-law as a 16-bit sample."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
    return -magnitude if code & 0x80 else magnitude


def main(connect: Connect, scenarios: Mapping[str, Scenario], inapplicable: Mapping[str, str]) -> None:
    """Run the scenarios that the command line names, and print what came of each as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("scenario", nargs="+")
    args = parser.parse_args()
    # What a client prints must not come between.
    with os.fdopen(os.dup(1), "w") as results:
        os.dup2(2, 1)
        for name in args.scenario:
            began = time.monotonic()
            result, why = _outcome(name, Setup(args.url, args.clips), connect, scenarios, inapplicable)
            seconds = round(time.monotonic() - began, 1)
            line = {"scenario": name, "result": result, "why": why, "seconds": seconds}
            print(json.dumps(line), file=results, flush=True)
    sys.stdout.flush()


def _outcome(
    name: str,
    setup: Setup,
    connect: Connect,
    scenarios: Mapping[str, Scenario],
    inapplicable: Mapping[str, str],
) -> tuple[str, str]:
    """How it went, and why."""
    if name in inapplicable:
        return "n/a", inapplicable[name]
    heard: list[Heard] = []

    @asynccontextmanager
    async def watched(setup: Setup, options: Options) -> AsyncIterator[Session]:
        async with connect(setup, options) as session:
            heard.append(session.heard)
            yield session

    try:
        asyncio.run(asyncio.wait_for(scenarios[name](setup, watched), SCENARIO_S))
    except NotApplicable as why:
        return "n/a", str(why)
    except Exception as error:  # noqa: BLE001  # whatever a client raises is a finding
        why = "; ".join([*_causes(error), *(each for one in heard for each in one.complaints)])
        print(f"{name}: {why}; came {[one.seen for one in heard]}", file=sys.stderr, flush=True)
        return "failed", f"{why}; last came {', '.join([each for one in heard for each in one.seen][-4:])}"
    complaints = [each for one in heard for each in one.complaints]
    return ("failed", f"the client complains: {complaints[0]}") if complaints else ("ok", "")


def _causes(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in _causes(inner)]
    if isinstance(error, TimeoutError):
        return [f"not done in {SCENARIO_S:.0f} s"]
    return [f"{type(error).__name__}: {error}"]
