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
_OBSERVED = "from assistant.cli import main; from assistant.microphone.bench.observed import run; run(main)"
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
        return lines(self.folder / "events.jsonl")

    def log(self) -> list[dict[str, Any]]:
        """Of the program under observation, if that is kept here."""
        path = self.folder / "log.jsonl"
        return lines(path) if path.exists() else []

    def talk(self) -> dict[str, Any]:
        """The program's report."""
        read: dict[str, Any] = json.loads((self.folder / "talk.json").read_text(encoding="utf-8"))
        return read


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def script(tools: Path) -> str:
    """`room.sh`."""
    return str((tools / "room.sh").resolve())


@contextmanager
def server(tools: Path) -> Iterator[Mapping[str, str]]:
    """A sound server started by `tools`/room.sh; the environment in which programs see its devices."""
    told = subprocess.run([script(tools), "start"], stdout=subprocess.PIPE, text=True, check=True).stdout
    settings = dict(line.removeprefix("export ").split("=", 1) for line in told.splitlines())
    environment = {**os.environ, **settings}
    try:
        yield environment
    finally:
        subprocess.run([script(tools), "stop"], env=environment, check=True)


@contextmanager
def talking(
    environment: Mapping[str, str], folder: Path, words: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """`assistant talk *words` under observation; raises OSError if it ends with an error."""
    folder.mkdir(parents=True, exist_ok=True)
    observed = [sys.executable, "-c", _OBSERVED, str(folder / "log.jsonl")]
    with (folder / "talk.txt").open("w") as printed:
        talk = subprocess.Popen(
            [*observed, "talk", "--json", str(folder / "talk.json"), *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        try:
            yield talk
        finally:
            talk.terminate()
            code = talk.wait(30)
    if code:
        raise OSError(f"assistant talk ended with {code}: see {folder / 'talk.txt'}")


@contextmanager
def air(
    tools: Path,
    environment: Mapping[str, str],
    folder: Path,
    room: Room,
    said: Sequence[Said],
    after_s: float = 3,
) -> Iterator[subprocess.Popen[bytes]]:
    """What is between loudspeaker and microphone, recorded into `folder` until `after_s` behind all clips."""
    folder.mkdir(parents=True, exist_ok=True)
    echo = "off" if room.gain_db == OFF_DB else str(room.gain_db - _REPLY_OVER_USER_DB)
    words = [
        *("--echo-gain", echo, "--delay-ms", str(max(0.0, room.delay_ms - _ROOM_MS))),
        *("--t60", str(room.t60_s), "--drive", str(room.drive)),
        *("--drift-ppm", str(room.drift_ppm), "--seed", str(room.seed)),
        *("--after-user", str(after_s), "--seconds", str(_LIMIT_S)),
        *("--record", str(folder), "--events", str(folder / "events.jsonl")),
        *(word for each in said for word in ("--user", f"{each.clip.path.resolve()}@{each.when}")),
    ]
    process = subprocess.Popen([sys.executable, str(tools / "room.py"), *words], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        code = process.wait(30)
    if code:
        raise OSError(f"the room ended with {code}")


def converse(
    tools: Path, folder: Path, room: Room, said: Sequence[Said], words: Sequence[str] = ()
) -> Recorded:
    """Say the clips to `assistant talk *words` in `room`, and record it all into `folder`.

    Raises OSError where the room or the program fails.
    """
    with (
        server(tools) as environment,
        talking(environment, folder, words) as talk,
        air(tools, environment, folder, room, said) as between,
    ):
        while between.poll() is None and talk.poll() is None:
            time.sleep(0.1)
    return Recorded(folder, tuple(said))
