"""Processor time of this process by what its threads do."""

import threading
from collections.abc import Mapping

import psutil

WORKERS = ("vad", "asr", "llm", "tts")
LOOP = "loop"
NATIVE = "native"
"""Threads that Python did not start: here those of the language model's products."""


def cpu_by_thread() -> Mapping[str, float]:
    """Seconds of processor time by the names of WORKERS, LOOP (the main thread), NATIVE and of all others."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().native_id
    found: dict[str, float] = dict.fromkeys((*WORKERS, LOOP, NATIVE), 0.0)
    for thread in psutil.Process().threads():
        name = LOOP if thread.id == main else names.get(thread.id, NATIVE)
        found[name] = found.get(name, 0.0) + thread.user_time + thread.system_time
    return found


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    """Seconds between two readings, by name."""
    return {name: after[name] - before.get(name, 0.0) for name in after}
