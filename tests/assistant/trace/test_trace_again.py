"""The clips of a trace, taken out of what came in."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hand_trace import write

from assistant.trace.again import lines_of
from assistant.trace.errors import TraceError
from assistant.trace.trace import RecordedSession, Trace, read_trace

FRAME_NS = 20_000_000
RAMP = (np.arange(48000) / 65536).astype(np.float32)  # every sample tells where it is


def clip(at_ms: int, file: str, **more: object) -> dict[str, Any]:
    labels = {"text": file, "rate": 24000, "speech_end_sample": 9000, **more}
    return {"at": at_ms * 1_000_000, "file": file, **labels}


def session(name: str, clips: list[dict[str, Any]], inputs: Sequence[dict[str, Any]] = ()) -> RecordedSession:
    audio = np.zeros_like(RAMP)
    for start in (clip["at"] * 16 // 1_000_000 for clip in clips):  # each is half a second long
        audio[start : start + 8000] = RAMP[start : start + 8000]
    frames = [((n + 1) * FRAME_NS, (n + 1) * FRAME_NS, 320) for n in range(150)]
    return RecordedSession(name, 0, frames, audio, clips=clips, inputs=list(inputs))


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return read_trace(write(tmp_path / "t"))


def test_clips_are_where_they_began_without_the_silence_that_followed(trace: Trace, tmp_path: Path) -> None:
    first = clip(0, "a.flac", pauses=[[3000, 6000]], pause_kinds=["list"], speech_start_sample=1500)
    over = clip(1000, "a.flac", over_reply_ms=300)
    sessions = session("line-0", [first, over]), session("line-1", [first]), session("line-0.1", [first])
    lines = lines_of(replace(trace, sessions=sessions), tmp_path)
    assert [[len(clips) for clips in line] for line in lines] == [[2, 1], [1]]
    one, two = lines[0][0]
    for found, start in ((one, 0), (two, 16000)):
        audio, rate = soundfile.read(found.path, dtype="float32")
        assert rate == 16000
        np.testing.assert_allclose(audio, RAMP[start : start + 8000], atol=1 / 32768)
    assert (one.reference, one.speech_start_sample, one.speech_end_sample) == ("a.flac", 1000, 6000)
    assert (one.pauses, one.pause_kinds, one.over_reply_ms) == (((2000, 4000),), ("list",), None)
    assert two.over_reply_ms == 300


@pytest.mark.parametrize("file", ["../../out.flac", "/out.flac"])
def test_a_clip_is_written_nowhere_else(trace: Trace, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    (((found,),),) = lines_of(replace(trace, sessions=(session("s", [clip(0, file)]),)), folder)
    assert found.path.parent.parent == folder and not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize(
    "of",
    [
        session("s", []),
        session("s", [clip(0, "a")], inputs=[{"what": "Typed"}]),
    ],
    ids=["no clips", "typed"],
)
def test_what_was_no_replay_is_refused(trace: Trace, tmp_path: Path, of: RecordedSession) -> None:
    with pytest.raises(TraceError, match="s was not fed with clips alone"):
        lines_of(replace(trace, sessions=(of,)), tmp_path)
