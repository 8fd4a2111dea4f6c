"""The system's default devices while streams run: PortAudio looks at them when it starts, and never again.

So another process looks, every two seconds, where the sound system does not move streams by itself: on macOS
and Windows. PulseAudio and PipeWire move them; ALSA alone has no default that changes.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from assistant.microphone.devices.choice import choose, label
from assistant.microphone.devices.errors import DeviceError, Direction
from assistant.microphone.devices.port import Device, Port
from assistant.microphone.devices.portaudio import PortAudio, native_messages_dropped

_ANSWER_S = 5.0
_END_S = 1.0


@dataclass(frozen=True)
class Defaults:
    """Labels of the default devices; None where there is none."""

    input: str | None
    output: str | None


AskDefaults = Callable[[], Awaitable[Defaults | None]]
"""What they are now; None if that cannot be known."""


def found(devices: tuple[Device, ...]) -> Defaults:
    """The default ones among these."""

    def default(direction: Direction) -> str | None:
        try:
            return label(choose(devices, direction, None))
        except DeviceError:
            return None

    return Defaults(default("input"), default("output"))


@asynccontextmanager
async def another_process() -> AsyncIterator[AskDefaults]:
    """Ask a process with a PortAudio of its own; without answers from it, None."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    questions, answers = child.stdin, child.stdout
    assert questions is not None and answers is not None, "both are pipes"

    async def ask() -> Defaults | None:
        with suppress(ConnectionError, TimeoutError):
            questions.write(b"\n")
            line = await asyncio.wait_for(answers.readline(), _ANSWER_S)
            return Defaults(**json.loads(line)) if line else None
        return None

    try:
        yield ask
    finally:
        questions.close()
        try:
            await asyncio.wait_for(child.wait(), _END_S)
        except TimeoutError:
            child.kill()
            await child.wait()


Follow = Callable[[], AbstractAsyncContextManager[AskDefaults]]


def follow_defaults(system: str = sys.platform) -> Follow | None:
    """What to ask on this system; None where nobody needs to."""
    return another_process if system in ("darwin", "win32") else None


def answer(port: Port) -> None:
    """Say the defaults for every line of standard input, until it ends."""
    for _ in sys.stdin:
        try:
            port.refresh()
            now = found(port.devices())
        except DeviceError:
            now = Defaults(None, None)
        print(json.dumps(vars(now)), flush=True)


if __name__ == "__main__":
    with native_messages_dropped(), suppress(KeyboardInterrupt):
        answer(PortAudio())
