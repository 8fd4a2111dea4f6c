"""A live room: the sound server and the air of `audio_room`, and `assistant talk` in it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.audio import Clip
from assistant.microphone.bench.rooms import Room

_ROOM_MS = 40  # that the air of audio_room takes itself
_REPLY_OVER_USER_DB = 8  # replies are at -20 dBFS, the user at -28
_LIMIT_S = 900


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
    air = [
        *("--echo-gain", "off" if room.gain_db <= -90 else str(room.gain_db - _REPLY_OVER_USER_DB)),
        *("--delay-ms", str(max(0.0, room.delay_ms - _ROOM_MS)), "--t60", str(room.t60_s)),
        *("--drive", str(room.drive), "--drift-ppm", str(room.drift_ppm), "--seed", str(room.seed)),
        *("--after-user", "3", "--seconds", str(_LIMIT_S)),
        *("--record", str(folder), "--events", str(folder / "events.jsonl")),
    ]
    users = [word for each in said for word in ("--user", f"{each.clip.path.resolve()}@{each.when}")]
    observed = [sys.executable, *(["/tmp/dump.py", str(folder/"dump.npz")] if os.environ.get("DUMP") else ["-m", "assistant.microphone.bench.observed"]), str(folder / "log.jsonl")]
    with server(tools) as environment, (folder / "talk.txt").open("w") as printed:
        talk = subprocess.Popen(
            [*observed, "talk", "--json", str(folder / "talk.json"), *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        try:
            subprocess.run([sys.executable, str(tools / "room.py"), *air, *users], env=environment, check=True)
        finally:
            talk.terminate()
            code = talk.wait(30)
    if code:
        raise OSError(f"assistant talk ended with {code}: see {folder / 'talk.txt'}")
    return Recorded(folder, tuple(said))
