"""`assistant talk` and its devices in a room without hardware: real PortAudio, a real sound server, real time."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import room as rooms
import soundfile
import soxr
from pages import ROOT

RATE = 48000
CLIP = ROOT / "traces" / "000.flac"
WORDS = "What is the capital of France?"
BEGIN_S = 6.0  # of the clip, by when the models are loaded
SPEECH_END_S = BEGIN_S + 52169 / 24000  # by the label

_reason = rooms.unsupported_reason()
pytestmark = [pytest.mark.realtime, pytest.mark.skipif(_reason is not None, reason=_reason or "")]


@pytest.fixture
def room() -> Iterator[rooms.Room]:
    with rooms.room() as opened:
        yield opened


def user(path: Path, seconds: float) -> None:
    """What the microphone hears: a room's noise, and the clip in it."""
    track = np.random.default_rng(0).standard_normal(int(seconds * RATE)) * 10 ** (-70 / 20)
    clip, rate = soundfile.read(CLIP)
    spoken = soxr.resample(clip, rate, RATE)
    track[int(BEGIN_S * RATE) :][: len(spoken)] += spoken
    soundfile.write(path, track, RATE)


@pytest.mark.models
def test_a_question_is_heard_and_answered_aloud(room: rooms.Room, tmp_path: Path) -> None:
    user(tmp_path / "user.wav", 20)
    room.record(tmp_path / "speaker.wav")
    room.say(tmp_path / "user.wav")
    command = [sys.executable, "-c", "from assistant.cli import main; main()", "talk"]
    done = subprocess.run(
        [*command, "--seconds", "12", "--json", str(tmp_path / "talk.json")],
        env={**room.environment, "HOME": str(Path.home())},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    room.close()
    assert done.returncode == 0, done.stderr
    (turn,) = json.loads((tmp_path / "talk.json").read_text())["turns"]
    assert turn["transcript"] == WORDS and not turn["interrupted"] and turn["underruns"] == 0
    assert "Paris" in turn["heard"]
    lines = done.stdout.splitlines()
    assert lines[0] == "listening" and lines.count(f"you:       {WORDS}") == 1
    assert lines.count(f"assistant: {turn['heard']}") == 1 and len(lines) == 4
    assert done.stderr == ""
    sound, rate = soundfile.read(tmp_path / "speaker.wav")
    loud_s = np.flatnonzero(np.abs(sound) > 10 ** (-50 / 20)) / rate
    assert loud_s[0] > SPEECH_END_S and loud_s[-1] - loud_s[0] > 1.0
    level = np.sqrt(np.mean(sound[int(loud_s[0] * rate) : int(loud_s[-1] * rate)] ** 2))
    assert -35 < 20 * np.log10(level) < -10


def test_devices_are_listed_by_name(room: rooms.Room) -> None:
    done = run(room, "from assistant.cli import main; main()", "devices")
    assert done.returncode == 0, done.stderr
    microphones, speakers = done.stdout.split("Loudspeakers")
    assert "  * default, ALSA  (" in microphones and "    mic, ALSA  (" in microphones
    assert "    speaker, ALSA  (" in speakers


WATCHED = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
from assistant.microphone.portaudio import PortAudio, native_messages_dropped
from assistant.microphone.sink import SpeakerSink
from assistant.microphone.streams import Streams, Wanted
from assistant.runtime import Clock

async def blocks(streams):
    while not (streams.recording and streams.playing and streams.playing.end and list(streams.recording.read())):
        await streams.woken.wait()
        streams.woken.clear()

async def main(thread):
    loop, clock = asyncio.get_running_loop(), Clock()
    blocking = lambda call: loop.run_in_executor(thread, call)
    tell = lambda line: print(line, flush=True)
    streams = Streams(await blocking(PortAudio), Wanted("mic", "speaker"), SpeakerSink(clock), clock, blocking, tell)
    await streams.open()
    watch = asyncio.create_task(streams.run())
    await blocks(streams)
    print("sounds", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)  # the server has crashed, and runs again
    while not streams.losses or streams.recording is None:
        await asyncio.sleep(0.05)
    await blocks(streams)
    print("sounds again", flush=True)
    watch.cancel()
    await streams.close()

with native_messages_dropped(), ThreadPoolExecutor(1) as thread:
    asyncio.run(main(thread))
"""


def test_a_server_that_crashes_is_found_again(room: rooms.Room) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED],
        env=room.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdin and program.stdout and program.stderr
            assert program.stdout.readline() == "sounds\n", program.stderr.read()
            room.crash()
            assert program.stdout.readline().endswith("looking for the devices again\n")
            room.start()
            print(file=program.stdin, flush=True)
            rest = program.stdout.read().splitlines()
        finally:
            program.kill()
    assert rest[-2:] == ["going on with mic, ALSA and speaker, ALSA", "sounds again"]


def run(room: rooms.Room, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=room.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
