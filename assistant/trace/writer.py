"""Writing a trace: one thread in the background, behind a bounded queue, so that nothing waits for a disk."""

import gzip
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from hashlib import blake2b
from pathlib import Path
from time import thread_time
from typing import Any, TextIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from assistant.trace.digest import pcm

Line = Mapping[str, Any]

EVENTS = "events.jsonl.gz"
_WAITING = 20_000  # lines that may wait: some half a minute of a conversation
_MOST_BYTES = 400_000_000  # of lines before they are packed, and of audio
_PAUSE_S = 0.25


class Files:
    """The files of a trace while they are written; used by one thread."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._folder = folder
        self._stack = ExitStack()
        events = gzip.open(folder / EVENTS, "wt", encoding="utf-8", compresslevel=5)  # noqa: SIM115  # see `end`
        self._events: TextIO = self._stack.enter_context(events)
        self._sounds: dict[str, soundfile.SoundFile] = {}
        self._hashes: dict[str, Any] = {}
        self._chunks: dict[str, int] = {}  # where in its file each chunk of speech begins
        self.samples: dict[str, int] = {}
        self.lines = 0
        self.bytes = 0

    def write(self, line: Line) -> None:
        """One line of events."""
        text = json.dumps(line, separators=(",", ":"), ensure_ascii=False)
        self._events.write(text + "\n")
        self.lines += 1
        self.bytes += len(text)

    def sound(self, name: str, audio: NDArray[np.float32], rate: int) -> int:
        """Append `audio` [n] to the FLAC file `name`; the number of its first sample there."""
        if name not in self._sounds:
            sound = soundfile.SoundFile(
                self._folder / name, "w", rate, 1, subtype="PCM_16", format="FLAC", closefd=True
            )
            self._sounds[name] = self._stack.enter_context(sound)
            self._hashes[name], self.samples[name] = blake2b(digest_size=16), 0
        samples = pcm(audio)
        self._sounds[name].write(samples)
        self._hashes[name].update(samples.tobytes())
        start = self.samples[name]
        self.samples[name] += len(samples)
        self.bytes += 2 * len(samples)
        return start

    def chunk(self, name: str, digest: str, audio: NDArray[np.float32], rate: int) -> int:
        """As `sound`, but a chunk that the file holds already is not written again."""
        if digest not in self._chunks:
            self._chunks[digest] = self.sound(name, audio, rate)
        return self._chunks[digest]

    def end(self) -> None:
        """Write the last line, which says what the audio files hold, and close all files; raises OSError."""
        audio = {name: [self.samples[name], self._hashes[name].hexdigest()] for name in self._sounds}
        self.write({"is": "end", "lines": self.lines + 1, "audio": audio})
        self._stack.close()

    def abandon(self) -> None:
        """Close what can be closed: without its last line a trace is known to be cut off."""
        for sound in self._sounds.values():
            _quietly(sound.close)
        _quietly(self._events.close)


def _quietly(close: Callable[[], object]) -> None:
    with suppress(OSError, soundfile.SoundFileError):
        close()


class Writer:
    """A thread that carries out what it is given; `said` is told in one line if it has to end early."""

    def __init__(self, folder: Path, said: Callable[[str], None], waiting: int = _WAITING) -> None:
        """Raises OSError."""
        self._files, self._said, self._most = Files(folder), said, waiting
        self._queue: deque[Callable[[Files], None]] = deque()
        self._closing = threading.Event()
        self.over = False
        """Nothing more is taken."""
        self.busy_s = 0.0
        """Processor time that the thread took, once it is over."""
        self._thread = threading.Thread(target=self._run, name="trace", daemon=True)
        self._thread.start()

    def put(self, write: Callable[[Files], None]) -> None:
        """Let the thread call `write`; callable from any thread, and never waits."""
        if self.over:
            return
        if len(self._queue) >= self._most:
            self._end(f"the disk is behind by {self._most} lines")
            return
        self._queue.append(write)

    def close(self) -> bool:
        """Write what waits; whether the trace is whole."""
        self._closing.set()
        self._thread.join()
        return not self.over

    def _end(self, why: str) -> None:
        if not self.over:
            self.over = True
            self._said(f"the recording ends here: {why}; the conversation goes on")

    def _run(self) -> None:
        try:
            while not (self._closing.wait(_PAUSE_S) or self.over):
                self._drain()
            self._drain()
            if not self.over:
                self._files.end()
        except (OSError, soundfile.SoundFileError) as error:
            self._end(getattr(error, "strerror", None) or " ".join(str(error).split()))
        if self.over:
            self._files.abandon()
        self.busy_s = thread_time()

    def _drain(self) -> None:
        for _ in range(len(self._queue)):
            if self.over:
                break
            self._queue.popleft()(self._files)
        if self._files.bytes > _MOST_BYTES:
            self._end(f"it has reached {_MOST_BYTES // 10**6} MB")
