"""A live room: the sound server and the air of `audio_room`, and `assistant talk` in it."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.audio import Clip
from assistant.microphone.bench.rooms import Room

_ROOM_MS = 40  # that the air of audio_room takes itself
_REPLY_OVER_USER_DB = 8  # replies are at -20 dBFS, the user at -28
_LIMIT_S = 600
OFF_DB = -math.inf
"""The level of the echo in headphones."""


@dataclass(frozen=True)
class Said:
    """A clip that the user says, and when: as `room.py --user` takes it."""

    clip: Clip
    when: str


@dataclass(frozen=True)
class Recorded:
    """What is left of a conversation in a room."""

    folder: Path
    said: tuple[Said, ...]

    def events(self) -> list[dict[str, Any]]:
        """Of the room."""
        return _lines(self.folder / "events.jsonl")

    def log(self) -> list[dict[str, Any]]:
        """Of the program under observation."""
        return _lines(self.folder / "log.jsonl")

    def talk(self) -> dict[str, Any]:
        """The program's report."""
        read: dict[str, Any] = json.loads((self.folder / "talk.json").read_text(encoding="utf-8"))
        return read


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@contextmanager
def server(tools: Path) -> Iterator[Mapping[str, str]]:
    """A sound server started by `tools`/room.sh; the environment in which programs see its devices."""
    script = str((tools / "room.sh").resolve())
    told = subprocess.run([script, "start"], stdout=subprocess.PIPE, text=True, check=True).stdout
    settings = dict(line.removeprefix("export ").split("=", 1) for line in told.splitlines())
    environment = {**os.environ, **settings}
    try:
        yield environment
    finally:
        subprocess.run([script, "stop"], env=environment, check=True)


def converse(
    tools: Path, folder: Path, room: Room, said: Sequence[Said], words: Sequence[str] = ()
) -> Recorded:
    """Say the clips to `assistant talk *words` in `room`, and record it all into `folder`.

    Raises OSError and subprocess.CalledProcessError where the room or the program fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = str(folder / "log.jsonl")
    observed = [sys.executable, "-m", "assistant.microphone.bench.observed", log]
        observed = [sys.executable, "/tmp/dump.py", str(folder / "dump.npz"), log]
    with server(tools) as environment, (folder / "talk.txt").open("w") as printed:
        talk = subprocess.Popen(
            [*observed, "talk", "--json", str(folder / "talk.json"), *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        command = [sys.executable, str(tools / "room.py"), *words_of(room, said, folder)]
        air = subprocess.Popen(command, env=environment)
        try:
            while air.poll() is None and talk.poll() is None:
                time.sleep(0.1)
        finally:
            air.terminate()
            talk.terminate()
            codes = air.wait(30), talk.wait(30)
    if any(codes):
        told = folder / "talk.txt"
        raise OSError(f"the room ended with {codes[0]}, assistant talk with {codes[1]}: see {told}")
    return Recorded(folder, tuple(said))


def words_of(room: Room, said: Sequence[Said], folder: Path) -> list[str]:
    """The command line of `room.py`."""
    echo = "off" if room.gain_db == OFF_DB else str(room.gain_db - _REPLY_OVER_USER_DB)
    return [
        *("--echo-gain", echo, "--delay-ms", str(max(0.0, room.delay_ms - _ROOM_MS))),
        *("--t60", str(room.t60_s), "--drive", str(room.drive)),
        *("--drift-ppm", str(room.drift_ppm), "--seed", str(room.seed)),
        *("--after-user", "3", "--seconds", str(_LIMIT_S)),
        *("--record", str(folder), "--events", str(folder / "events.jsonl")),
        *(word for each in said for word in ("--user", f"{each.clip.path.resolve()}@{each.when}")),
    ]
