"""What happens to the devices and the machine of a live room."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from assistant.microphone.bench.live_room import script

GONE_S = 8.0
"""Seconds for which what goes away stays away."""
_BUSY_S = 5.0
_SERVER_S = 10.0

Fault = Callable[[Path, Mapping[str, str]], None]
"""Given the folder of `room.sh` and the environment of its server; returns when all is as before."""


def unplug(tools: Path, environment: Mapping[str, str]) -> None:
    """The microphone is unplugged, and plugged in again."""
    _room(tools, environment, "unplug", "mic")
    time.sleep(GONE_S)
    _room(tools, environment, "plug", "mic")
    _room(tools, environment, "default", "mic")


def cut(tools: Path, environment: Mapping[str, str]) -> None:
    """Every stream ends, as when a USB device goes away."""
    _room(tools, environment, "cut")


def busy(_tools: Path, _environment: Mapping[str, str]) -> None:
    """All cores have something else to do."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
    ]
    time.sleep(_BUSY_S)
    for process in spinning:
        process.kill()
        process.wait()


def crash(tools: Path, environment: Mapping[str, str]) -> None:
    """The sound server is killed, and starts again as it was."""
    folder = Path(environment["AUDIO_ROOM"])
    server = Path("/proc") / (folder / "server.pid").read_text().strip()
    command = [word for word in (server / "cmdline").read_text().split("\0") if word]
    settings = dict(each.split("=", 1) for each in (server / "environ").read_text().split("\0") if each)
    _room(tools, environment, "crash")
    for name in ("native", "cli"):
        (folder / name).unlink(missing_ok=True)
    time.sleep(GONE_S)
    with (folder / "server.log").open("a") as log:
        started = subprocess.Popen(
            command, env=settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (folder / "server.pid").write_text(f"{started.pid}\n")
    _wait(environment)
    for device in ("speaker", "air", "mic"):
        _room(tools, environment, "plug", device)
    for words in (("set-default-sink", "speaker"), ("set-default-source", "mic")):
        subprocess.run(["pactl", *words], env=environment, check=True)


def _wait(environment: Mapping[str, str]) -> None:
    deadline_s = time.monotonic() + _SERVER_S
    while subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline_s:
            raise OSError("the sound server does not start again")
        time.sleep(0.05)


def _room(tools: Path, environment: Mapping[str, str], *words: str) -> None:
    subprocess.run([script(tools), *words], env=environment, check=True)
