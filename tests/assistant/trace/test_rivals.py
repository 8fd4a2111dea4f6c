"""Outcomes of rivals by hand, and the command on a clip whose windows are voiced where they are loud."""

import json
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.vad import VadState
from assistant.audio import Clip, write_wav
from assistant.session.stages import Audio
from assistant.trace import rivals as command
from assistant.trace.errors import TraceError
from assistant.trace.pauses import NO_PAUSE, UNLABELLED
from assistant.trace.rival_outcomes import Outcome, by_kind, decided, figures, grouped, lines, of_replay
from assistant.trace.rivals import Offline

PAUSED = Clip(
    Path("p.wav"),
    "one two",
    speech_end_sample=24000,
    pauses=((8000, 16000),),
    pause_kinds=("list",),
)
PLAIN = Clip(Path("q.wav"), "one", speech_end_sample=8000)


def test_the_wait_is_of_the_last_decision_in_the_clips_own_samples() -> None:
    """At 8 kHz the speech is over after 3 s; decisions are in samples at 16 kHz."""
    assert decided(PAUSED, 8000, [51200]) == Outcome(PAUSED, 200.0, ())
    assert decided(PAUSED, 8000, [24000, 51200]) == Outcome(PAUSED, 200.0, ("list",))
    assert decided(PAUSED, 8000, [40000]) == Outcome(PAUSED, None, (NO_PAUSE,))  # 0.5 s behind the pause
    assert decided(PAUSED, 8000, []) == Outcome(PAUSED, None, ())


def turn(file: str, reference: str, decision_ms: float | None, *early: str) -> dict[str, Any]:
    """A turn of a replay's report, as far as it is read."""
    parts = [] if decision_ms is None else [{"name": "endpoint.wait", "ms": decision_ms, "hidden_ms": 0.0}]
    starts = [{"ms": -100.0, "pause": kind, "heard": False} for kind in early]
    return {"file": file, "reference": reference, "parts": parts, "early": starts}


def test_a_replay_is_told_in_the_same_terms() -> None:
    turns = [turn("q.wav", "one", 310.5), turn("p.wav", "one two", -80.0, "list", "list")]
    assert of_replay([PAUSED, PLAIN], turns) == [
        Outcome(PAUSED, None, ("list", "list")),  # its last reply was a false start
        Outcome(PLAIN, 310.5, ()),
    ]
    assert of_replay([PLAIN], [turn("q.wav", "one", None)]) == [Outcome(PLAIN, None, ())]


def test_a_replay_of_other_clips_or_of_an_earlier_version_is_refused() -> None:
    with pytest.raises(TraceError, match="other clips"):
        of_replay([PLAIN], [turn("q.wav", "another", 100.0)])
    earlier = turn("q.wav", "one", 100.0)
    del earlier["early"]
    with pytest.raises(TraceError, match="earlier version"):
        of_replay([PLAIN], [earlier])


def wilson(count: int, of: int) -> tuple[float, float]:
    """The interval of 95 % by its formula."""
    z, share = 1.959963984540054, count / of
    centre, half = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (centre - half) / (1 + z * z / of), (centre + half) / (1 + z * z / of)


def test_figures_by_hand() -> None:
    outcomes = [
        Outcome(PAUSED, 600.0, ("list", NO_PAUSE)),
        Outcome(PAUSED, None, ("list",)),
        Outcome(PLAIN, 200.0, ()),
        Outcome(PLAIN, 400.0, ()),
    ]
    found = grouped(outcomes)
    everything = found["all"]
    assert everything.wait_ms == {"p50": 400, "p95": pytest.approx(580)}
    assert (everything.turns, everything.not_ended, everything.false_starts) == (4, 1, 2)
    assert everything.share is not None and everything.share.value == 0.5
    assert (everything.share.low, everything.share.high) == pytest.approx(wilson(2, 4))
    assert (found["with a pause"].false_starts, found["without a pause"].false_starts) == (2, 0)
    assert found["without a pause"].wait_ms["p50"] == 300
    assert by_kind(outcomes) == {"list": (2, 2), NO_PAUSE: (1, 4)}
    assert figures([]).share is None


def test_a_pause_without_a_kind_counts_as_unlabelled() -> None:
    clip = Clip(Path("r.wav"), speech_end_sample=24000, pauses=((8000, 16000),))
    assert by_kind([decided(clip, 16000, [12000])]) == {UNLABELLED: (1, 1), NO_PAUSE: (0, 1)}


def test_the_table() -> None:
    rivals = {
        "silence 500 ms": [Outcome(PAUSED, 512.0, ("list",)), Outcome(PLAIN, 512.0, ())],
        "this assistant": [Outcome(PAUSED, None, ()), Outcome(PLAIN, 300.4, ())],
    }
    assert [" ".join(line.split()) for line in lines(rivals)] == [
        "silence 500 ms this assistant",
        "wait from the last voiced sample to the decision, p50 / p95 (ms)",
        "without a pause 512 / 512 300 / 300",
        "all 512 / 512 300 / 300",
        "not ended since 0 1",
        "turns with a false start (95 %)",
        "with a pause 1 of 1 (21-100 %) 0 of 1 (0-79 %)",
        "without a pause 0 of 1 (0-79 %) 0 of 1 (0-79 %)",
        "all 1 of 2 (9-91 %) 0 of 2 (0-66 %)",
        "by the pause in which it was",
        "list 1 of 1 (21-100 %) 0 of 1 (0-79 %)",
        "no pause 0 of 2 (0-66 %) 0 of 2 (0-66 %)",
    ]


class LoudIsVoiced:
    """A voice detector of one stream at a time."""

    def __init__(self, _model: Path | None = None) -> None:
        self._state: VadState | None = None

    def probabilities(self, windows: Sequence[Audio], states: Sequence[VadState]) -> list[float]:
        (window,) = windows
        return [float(np.abs(window).max() > 0.1)]


class LongIsComplete:
    """Takes turns of more than two seconds for complete."""

    def __init__(self, _model: Path | None = None) -> None: ...

    def probability(self, turn: Audio) -> float:
        return float(len(turn) > 2 * 16000)


def folder(path: Path, **labels: object) -> Path:
    """A clip of 16 kHz: voice from 512 to 1024 ms and from 1536 to 2560, and two seconds of silence."""
    audio = np.zeros(4560 * 16, np.float32)
    for start_ms, end_ms in ((512, 1024), (1536, 2560)):
        audio[start_ms * 16 : end_ms * 16 : 2] = 0.5
        audio[start_ms * 16 + 1 : end_ms * 16 : 2] = -0.5
    path.mkdir()
    write_wav(path / "a.wav", audio, 16000)
    entry = {
        "file": "a.wav",
        "text": "so, yes",
        "speech_start_sample": 512 * 16,
        "pauses": [[1024 * 16, 1536 * 16]],
        "pause_kinds": ["filler"],
        "speech_end_sample": 2560 * 16,
    }
    (path / "index.json").write_text(json.dumps([{**entry, **labels}]))
    return path


def test_a_clip_under_each_rival(tmp_path: Path) -> None:
    """The pause is 16 windows long: 512 ms. Smart Turn is asked at 1216 ms of 1.2 s, and at 2752 of 2.7."""
    (clip,) = command.labelled([folder(tmp_path / "clips")])
    offline = Offline(LoudIsVoiced(), LongIsComplete())
    assert offline.outcomes(clip) == {
        "silence 500 ms": Outcome(clip, 512.0, ("filler",)),
        "silence 800 ms": Outcome(clip, 800.0, ()),
        "Smart Turn": Outcome(clip, 192.0, ()),
    }
    assert len(offline.smart_turn_ms) == 2


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "fetch", lambda _, names: dict.fromkeys(names, Path("none")))
    monkeypatch.setattr(command, "Vad", LoudIsVoiced)
    monkeypatch.setattr(command, "TurnEnd", LongIsComplete)


@pytest.mark.usefixtures("models")
def test_the_command_with_a_replay_that_was_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, out = tmp_path / "replay.json", tmp_path / "out.json"
    report.write_text(json.dumps({"turns": [turn("a.wav", "so, yes", 345.0)]}))
    command.main([str(folder(tmp_path / "clips")), "--replayed", str(report), "--json", str(out)])
    printed = capsys.readouterr().out
    assert "silence 500 ms" in printed and "345 / 345" in printed and "Smart Turn took" in printed
    rivals = json.loads(out.read_text())["rivals"]
    assert list(rivals) == ["silence 500 ms", "silence 800 ms", "Smart Turn", "this assistant"]
    assert rivals["silence 500 ms"]["turns"] == [
        {"file": "a.wav", "text": "so, yes", "wait_ms": 512.0, "early": ["filler"]}
    ]
    assert rivals["this assistant"]["figures"]["all"]["wait_ms"] == {"p50": 345, "p95": 345}


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("labels", "report", "message"),
    [
        ({"speech_end_sample": None}, {"turns": []}, "speech_end_sample"),
        ({}, {"turns": []}, "other clips"),
        ({}, {}, "no report"),
        ({}, [], "no report"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: dict[str, Any], report: object, message: str
) -> None:
    (tmp_path / "replay.json").write_text(json.dumps(report))
    with pytest.raises(SystemExit) as ended:
        command.main([str(folder(tmp_path / "clips", **labels)), "--replayed", str(tmp_path / "replay.json")])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_two_clips_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(folder(tmp_path / "clips"))
    with pytest.raises(SystemExit):
        command.main([path, path])
    assert "another clip has its name" in capsys.readouterr().err
