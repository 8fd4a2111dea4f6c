"""`assistant talk` under observation: a log of when it silenced a reply, and of what the process holds."""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.talk import Talk
from assistant.trace.replay import Replay

_EVERY_S = 2.0


def observe(log: Callable[[str, dict[str, float]], None]) -> None:
    """Let every `talk` of this process tell `log` what it does."""
    stop, pause, run = SpeakerSink.stop, SpeakerSink.pause, Talk.run

    def stopped(sink: SpeakerSink) -> None:
        if sink.sounding:
            log("stop", {})
        stop(sink)

    def paused(sink: SpeakerSink) -> None:
        log("stop", {})
        pause(sink)

    async def ran(talk: Talk) -> Replay:
        async def usage() -> None:
            while True:
                log("usage", _usage())
                await asyncio.sleep(_EVERY_S)

        watch = asyncio.create_task(usage(), name="usage")
        try:
            return await run(talk)
        finally:
            watch.cancel()

    setattr(SpeakerSink, "stop", stopped)  # noqa: B010  # mypy lets nobody assign a method
    setattr(SpeakerSink, "pause", paused)  # noqa: B010
    setattr(Talk, "run", ran)  # noqa: B010


def _usage() -> dict[str, float]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "memory_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        "cpu_s": time.process_time(),
    }


def run(main: Callable[[], None]) -> None:
    """`main` under observation; of the command line the first argument is the log, the others are its own."""
    path = sys.argv.pop(1)
    with Path(path).open("a", buffering=1, encoding="utf-8") as file:

        def log(event: str, more: dict[str, float]) -> None:
            file.write(json.dumps({"event": event, "monotonic_ns": time.monotonic_ns(), **more}) + "\n")

        log("start", {})
        observe(log)
        main()
