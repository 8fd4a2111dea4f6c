"""The writer of a trace: whatever happens to it, who writes never waits and is told in one line."""

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.trace.errors import TraceError
from assistant.trace.trace import read_trace
from assistant.trace.writer import EVENTS, Files, Writer

LIMIT_S = 10.0


def line(number: int) -> Callable[[Files], None]:
    return lambda files: files.write({"is": "span", "number": number})


def read(folder: Path) -> list[dict[str, object]]:
    with gzip.open(folder / EVENTS, "rt") as file:
        return [json.loads(text) for text in file]


def test_lines_and_audio_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    said: list[str] = []
    writer = Writer(tmp_path, said.append)
    places: list[int] = []
    audio = np.array([0.5, -1.0, 2.0], np.float32)
    for number in range(3):
        writer.put(line(number))
        writer.put(lambda files: places.append(files.sound("a.flac", audio, 16000)))
        writer.put(lambda files: places.append(files.chunk("b.flac", "same", audio, 24000)))
    assert writer.close() and said == []
    *numbers, end = read(tmp_path)
    assert [each["number"] for each in numbers] == [0, 1, 2]
    assert end["is"] == "end" and end["lines"] == 4
    assert places == [0, 0, 3, 0, 6, 0]  # a chunk is kept once
    samples, rate = soundfile.read(tmp_path / "a.flac", dtype="int16")
    assert rate == 16000 and samples.tolist() == [16384, -32768, 32767] * 3
    assert len(soundfile.read(tmp_path / "b.flac")[0]) == 3


def test_a_writer_that_is_behind_ends_and_nobody_waits(tmp_path: Path) -> None:
    said: list[str] = []
    writer, stuck, going_on = Writer(tmp_path, said.append, waiting=10), threading.Event(), threading.Event()

    def slow(_: Files) -> None:
        stuck.set()
        assert going_on.wait(LIMIT_S)

    writer.put(slow)
    assert stuck.wait(LIMIT_S)
    for number in range(20):
        writer.put(line(number))
    assert said == ["the recording ends here: the disk is behind by 10 lines; the conversation goes on"]
    assert writer.over
    going_on.set()
    assert not writer.close()


def test_a_full_disk_ends_the_recording(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    (tmp_path / EVENTS).symlink_to("/dev/full")
    said: list[str] = []
    writer = Writer(tmp_path, said.append)
    writer.put(line(1))
    assert not writer.close()
    assert said == ["the recording ends here: No space left on device; the conversation goes on"]
    writer.put(line(2))  # nothing is raised
    assert len(said) == 1


def test_a_recording_that_ended_early_is_known_to_be_cut_off(tmp_path: Path) -> None:
    def full(_: Files) -> None:
        raise OSError(28, "No space left on device")

    writer = Writer(tmp_path, lambda _: None)
    writer.put(line(1))
    writer.put(full)
    assert not writer.close()
    (tmp_path / "meta.json").write_text('{"format": 1}')
    with pytest.raises(TraceError, match="is cut off after 1 lines"):
        read_trace(tmp_path)


def test_a_recording_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.trace.writer._MOST_BYTES", 1_000_000)
    said: list[str] = []
    writer = Writer(tmp_path, said.append)
    writer.put(lambda files: files.write({"is": "span", "text": "x" * 1_000_000}))
    assert not writer.close()
    assert said == ["the recording ends here: it has reached 1 MB; the conversation goes on"]
