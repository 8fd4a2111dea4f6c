"""Traces that cannot be used: each is refused in one line that names the file."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hand_trace import changed, lines, write

from assistant.trace import trace
from assistant.trace.errors import TraceError
from assistant.trace.trace import read_trace


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(TraceError) as error:
        read_trace(folder)
    message = str(error.value)
    assert message.startswith(str(folder)) and "\n" not in message
    for part in parts:
        assert part in message


def test_a_whole_one_is_read(tmp_path: Path) -> None:
    found = read_trace(write(tmp_path / "t"))
    assert found.config.llm.system_prompt == "Be brief."
    assert len(found.sessions[0].frames) == 150 and len(found.sessions[0].audio) == 48000
    assert float(found.voice[24000][0]) == 8000 / 32768
    assert {call.stage: len(call.steps) for call in found.calls}["llm.reply"] == 4


def test_no_trace(tmp_path: Path) -> None:
    refused(tmp_path / "none", "No such file")


def test_cut_off_between_two_lines(tmp_path: Path) -> None:
    refused(write(tmp_path / "t", end=False), "events.jsonl.gz: is cut off after 39 lines")


def test_cut_off_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "t") / "events.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-100])
    refused(path.parent, "is cut off after")


def test_damaged(tmp_path: Path) -> None:
    path = write(tmp_path / "t") / "events.jsonl.gz"
    path.write_bytes(b"not gzip at all")
    refused(path.parent, "is damaged")
    with gzip.open(path, "wt") as file:
        file.write('{"is": "session"}\n{"is": \n')
    refused(path.parent, "line 2 is not JSON")


def test_another_version(tmp_path: Path) -> None:
    refused(write(tmp_path / "t", format=3), "is of format 3; this version reads 1 and 2")


def test_a_final_transcript_that_does_not_tell_how_it_ends(tmp_path: Path) -> None:
    """Before format 2 none did."""
    gave = {"text": "Yes?", "tokens": [], "accepted": 0, "words": []}
    of = changed(lines(), "asr.final", gave=gave)
    refused(write(tmp_path / "t", of), "line 36: a final transcript without ending")
    assert read_trace(write(tmp_path / "earlier", of, format=1)).format == 1


def test_a_configuration_of_another_version(tmp_path: Path) -> None:
    refused(write(tmp_path / "t", config={"turn": {"patience_ms": 3}}), "unknown key 'turn.patience_ms'")


def test_an_audio_file_that_is_missing(tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    (folder / "in-s.flac").unlink()
    refused(folder, "in-s.flac")


def test_audio_that_was_not_recorded(tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    other = np.ones(48000, np.int16)
    soundfile.write(folder / "in-s.flac", other, 16000, subtype="PCM_16", format="FLAC")
    refused(folder, "in-s.flac", "its digest differs")


def test_frames_that_the_audio_does_not_hold(tmp_path: Path) -> None:
    short = [{**line, "samples": [321] * 150} if line["is"] == "frames" else line for line in lines()]
    refused(write(tmp_path / "t", short), "in-s.flac", "48150 samples")


@pytest.mark.parametrize(
    "change",
    [{"began": 5, "ended": 4}, {"asked": 9, "began": 5, "ended": 6}, {"asked": -1}],
)
def test_a_call_whose_times_run_backwards(tmp_path: Path, change: dict[str, int]) -> None:
    refused(write(tmp_path / "t", changed(lines(), "asr.final", **change)), "line 36: times run backwards")


def test_a_step_beyond_its_call(tmp_path: Path) -> None:
    refused(write(tmp_path / "t", changed(lines(), "tts.speak", ended=5)), "times run backwards")


def test_a_session_that_is_over_before_it_began(tmp_path: Path) -> None:
    of = [*lines(), {"is": "over", "session": "s", "at": -1}]
    refused(write(tmp_path / "t", of), f"line {len(of)}: times run backwards: [0, -1]")


def test_frames_that_come_backwards(tmp_path: Path) -> None:
    back = [{**line, "came": line["came"][::-1]} if line["is"] == "frames" else line for line in lines()]
    refused(write(tmp_path / "t", back), "line 3: times run backwards")


def test_a_line_without_what_it_needs(tmp_path: Path) -> None:
    less = [{k: v for k, v in line.items() if k != "input"} for line in lines()]
    refused(write(tmp_path / "t", less), "KeyError: 'input'")


def test_a_call_of_no_session(tmp_path: Path) -> None:
    refused(write(tmp_path / "t", changed(lines(), "asr.final", session="other")), "no session 'other'")


def test_a_gigabyte(tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    os.truncate(folder / "events.jsonl.gz", 2**30)
    refused(folder, "has 1073 MB")


def test_a_small_file_that_unpacks_to_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "t", [*lines(), *({"is": "span"} for _ in range(2000))])
    packed = (folder / "events.jsonl.gz").stat().st_size
    monkeypatch.setattr(trace, "_MOST_BYTES", 20_000)
    assert packed < 20_000
    refused(folder, "when unpacked")


def test_a_line_is_not_longer_than_all_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_MOST_BYTES", 20_000)
    folder = write(tmp_path / "t")
    with gzip.open(folder / "events.jsonl.gz", "wt") as file:
        file.write(json.dumps({"is": "x" * 1_000_000}))
    refused(folder, "when unpacked")
