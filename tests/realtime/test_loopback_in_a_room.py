"""`assistant doctor --loopback` in a room without hardware: PortAudio, a sound server, real time."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import room as rooms
import soundfile
from pages import ROOT

_reason = rooms.unsupported_reason()
pytestmark = [pytest.mark.realtime, pytest.mark.skipif(_reason is not None, reason=_reason or "")]

MAIN = "from assistant.cli import main; main()"
RATE = 48000


@pytest.fixture
def room(tmp_path: Path) -> Iterator[rooms.Room]:
    with rooms.room() as opened:
        noise = np.random.default_rng(0).normal(0, 10 ** (-70 / 20), 60 * RATE)
        soundfile.write(tmp_path / "noise.wav", noise, RATE)
        opened.say(tmp_path / "noise.wav")
        yield opened


def loopback(room: rooms.Room) -> tuple[int, str]:
    """The exit code, and what was printed."""
    program = subprocess.run(
        [sys.executable, "-c", MAIN, "doctor", "--loopback", "--seconds", "8"],
        env={**room.environment, "COLUMNS": "250"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not program.stderr, program.stderr
    return program.returncode, program.stdout


def test_an_open_loudspeaker_is_measured(room: rooms.Room) -> None:
    room.echo(150)
    code, printed = loopback(room)
    found = re.search(r"its echo is ([-+.\d]+) dB .* round trip +(\d+) ms", printed, re.DOTALL)
    assert found, printed
    assert abs(float(found[1])) < 1.0
    assert 150 < int(found[2]) < 600  # the delay that was set, and the buffers' of a busy machine
    wrong = re.findall(r"^ (?:warn|fail) ", printed, re.MULTILINE)
    assert code == (1 if wrong else 0), printed


def test_a_loudspeaker_that_is_not_heard_is_told(room: rooms.Room) -> None:
    code, printed = loopback(room)
    assert code == 1
    assert "loudspeaker: with headphones all is well; else turn it up" in printed
