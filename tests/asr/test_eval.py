"""The evaluation: errors, times and order, worked out by hand from a scripted reader."""

import json

import numpy as np
import pytest

from asr.eval import evaluate
from asr.moonshine import Hypothesis

SECOND = np.zeros(16000, np.float32)


class ScriptedReader:
    """Returns its lines in turn, each of which takes `ms`; insists on a `begin` before each."""

    def __init__(self, script: list[tuple[str, int]]) -> None:
        self.script = list(script)
        self.lengths: list[int] = []
        self.now_ns = 0
        self._begun = False

    def begin(self) -> None:
        self._begun = True

    def final(self, audio: np.ndarray) -> Hypothesis:
        assert self._begun
        self._begun = False
        self.lengths.append(len(audio))
        text, ms = self.script.pop(0)
        self.now_ns += ms * 1_000_000
        return Hypothesis(text, (), 0)


CLIPS = [
    ("a.wav", SECOND, "Turn on the light."),
    ("b.wav", np.zeros(48000, np.float32), "What time is it now?"),
    ("c.wav", SECOND, "Stop."),
]
# a: right but for the spelling; b: "is it" lost and "now" wrong, 3 of 5; c: one word put in, 1 of 1
SCRIPT = [("turn on the light", 100), ("What time new", 300), ("Stop it.", 50)]


def test_errors_and_times_by_hand() -> None:
    reader = ScriptedReader(SCRIPT)
    result = evaluate(CLIPS, reader, lambda: reader.now_ns)
    assert reader.script == []
    assert reader.lengths == [16000, 48000, 16000]
    assert [clip.name for clip in result.clips] == ["a.wav", "b.wav", "c.wav"]
    assert [clip.words.wer for clip in result.clips] == [0, 3 / 5, 1]
    assert [clip.ms for clip in result.clips] == [100, 300, 50]
    assert [clip.audio_s for clip in result.clips] == [1, 3, 1]
    assert result.words.wer == 4 / 10  # not the mean of the clips' rates
    assert result.real_time_factor == pytest.approx(0.45 / 5)


def test_character_errors_by_hand() -> None:
    reader = ScriptedReader([("stop", 1), ("shop it", 1)])
    result = evaluate([("a", SECOND, "Stop."), ("b", SECOND, "stop it")], reader)
    assert [clip.characters.wer for clip in result.clips] == [0, 1 / 7]
    assert result.characters.wer == 1 / 11


def test_the_worst_clips_come_first_and_right_ones_not_at_all() -> None:
    reader = ScriptedReader(SCRIPT)
    result = evaluate(CLIPS, reader)
    assert [clip.name for clip in result.worst(10)] == ["b.wav", "c.wav"]
    assert [clip.name for clip in result.worst(1)] == ["b.wav"]


def test_the_report_survives_json() -> None:
    reader = ScriptedReader(SCRIPT)
    report = evaluate(CLIPS, reader, lambda: reader.now_ns).to_dict()
    assert json.loads(json.dumps(report)) == report
    summary = report["summary"]
    assert (summary["clips"], summary["audio_s"], summary["wer"]) == (3, 5, 0.4)
    # b: "time is it now" -> "time new" has one substitution and two deletions
    assert summary["words"] == {"substitutions": 1, "insertions": 1, "deletions": 2, "reference_words": 10}
    assert summary["ms"] == {"p50": 100, "p95": pytest.approx(280)}
    assert report["clips"][2]["file"] == "c.wav"
    assert report["clips"][2]["transcript"] == "Stop it."
    assert report["clips"][2]["ms"] == 50


def test_nothing_to_read_and_silence_have_no_errors() -> None:
    nothing = evaluate([], ScriptedReader([]))
    assert (nothing.words.wer, nothing.real_time_factor, nothing.worst(5)) == (0, 0, [])
    assert nothing.to_dict()["summary"]["ms"] == {"p50": None, "p95": None}
    silent = evaluate([("a", SECOND, ""), ("b", SECOND, "")], ScriptedReader([("", 1), ("You know.", 1)]))
    assert [clip.words.wer for clip in silent.clips] == [0, 2]
