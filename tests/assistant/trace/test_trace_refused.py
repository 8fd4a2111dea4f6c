"""What cannot be used, through the commands: one line, exit code 2, and nothing written or changed."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ended import Command
from hand_trace import changed, lines, write


def cut_off(folder: Path) -> None:
    events = write(folder) / "events.jsonl.gz"
    events.write_bytes(events.read_bytes()[:-100])


def another_version(folder: Path) -> None:
    write(folder, format=3)


def earlier_version(folder: Path) -> None:
    write(folder, format=1)


def missing_audio(folder: Path) -> None:
    (write(folder) / "voice-24000.flac").unlink()


def other_audio(folder: Path) -> None:
    other = np.ones(48000, np.int16)
    soundfile.write(write(folder) / "in-s.flac", other, 16000, subtype="PCM_16", format="FLAC")


def other_models(folder: Path) -> None:
    write(folder, models=[{"name": "silero-vad-v6", "sha256": "0" * 64}])


def times_backwards(folder: Path) -> None:
    write(folder, changed(lines(), "asr.final", began=5, ended=4))


def a_gigabyte(folder: Path) -> None:
    os.truncate(write(folder) / "events.jsonl.gz", 2**30)


TRACES = (
    (cut_off, "events.jsonl.gz: is cut off after"),
    (another_version, "meta.json: is of format 3"),
    (earlier_version, "is of format 1, and 2 can be simulated; `assistant trace record "),
    (missing_audio, "voice-24000.flac: "),
    (other_audio, "in-s.flac: is not the audio that was recorded"),
    (other_models, "was recorded with another model silero-vad-v6"),
    (times_backwards, "events.jsonl.gz: line 36: times run backwards"),
    (a_gigabyte, "events.jsonl.gz: has 1073 MB"),
)


@pytest.fixture
def good(tmp_path: Path, assistant: Command) -> Path:
    """A folder with a trace, and its baseline beside it."""
    write(tmp_path / "good" / "t")
    ended = assistant("trace", "gate", tmp_path / "good", "--baseline", tmp_path / "b.json", "--update")
    assert (ended.code, ended.err) == (0, "")
    return tmp_path / "good"


@pytest.mark.parametrize(("spoil", "message"), TRACES)
def test_a_trace_is_refused_by_every_command(
    tmp_path: Path, good: Path, assistant: Command, spoil: Callable[[Path], None], message: str
) -> None:
    """Behind one that is good: of that nothing is written either."""
    spoil(tmp_path / "bad")
    baseline, report = tmp_path / "b.json", tmp_path / "report.json"
    before = baseline.read_bytes()
    traces = (good, tmp_path / "bad")
    for command in (
        ("simulate", *traces, "--json", report),
        ("gate", *traces, "--baseline", baseline),
        ("gate", *traces, "--baseline", baseline, "--update"),
        *([] if spoil in (earlier_version, other_models) else [("show", *traces)]),  # it is drawn as it was
    ):
        ended = assistant("trace", *command)
        assert (ended.code, ended.out) == (2, ""), command
        assert ended.err.startswith(f"assistant: {tmp_path / 'bad'}") and message in ended.err
        assert ended.err.count("\n") == 1 and ended.err.endswith("\n")
        assert baseline.read_bytes() == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "bad", "good"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"traces": {"other": {}}}, "is for other traces: it has no turn t/yes.flac"),
        ({"budgets": {"tts.frist_chunk": {"p50": 3}}}, "a budget for 'tts.frist_chunk', which is no part"),
        ({"format": 2}, "is of format 2"),
        ({"lost": {"t": {"failures": "1"}}}, "lost has to be numbers"),
    ],
)
def test_a_baseline_is_refused(
    tmp_path: Path, good: Path, assistant: Command, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    before = path.read_bytes()
    ended = assistant("trace", "gate", good, "--baseline", path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"assistant: {path}: ") and message in ended.err
    assert path.read_bytes() == before


def test_a_baseline_that_is_cut_off(tmp_path: Path, good: Path, assistant: Command) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(path.read_bytes()[:-20])
    for update in ((), ("--update",)):
        ended = assistant("trace", "gate", good, "--baseline", path, *update)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "is no baseline" in ended.err
