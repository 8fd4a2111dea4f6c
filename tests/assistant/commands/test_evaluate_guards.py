"""`assistant eval guards` with a scripted recognizer: what is counted, for clips and for the spoken texts."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from asr.audio import AudioSpan
from assistant.commands import evaluate_guards
from assistant.commands.evaluate_guards import run_evaluate_guards

CLIP = Path(__file__).parents[3] / "traces" / "000.flac"


class Hello:
    """Reads the same in whatever it is given; full attention would read one word more."""

    def begin(self, start_sample: int = 0) -> None:
        """Forget nothing."""

    def partial(self, span: AudioSpan) -> SimpleNamespace:
        return SimpleNamespace(text="Hello", stable="", unstable="")

    def final(self, span: AudioSpan) -> SimpleNamespace:
        return SimpleNamespace(text="Hello.", words=())


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = SimpleNamespace(final=Hello(), full=None)
    monkeypatch.setattr(evaluate_guards, "load_recognizers", lambda *_: loaded)
    monkeypatch.setattr(evaluate_guards, "asr_paths", lambda _: None)
    monkeypatch.setattr(evaluate_guards, "fetch", lambda _, names: dict.fromkeys(names))
    monkeypatch.setattr(evaluate_guards, "Vad", lambda _: SimpleNamespace(reset=lambda: None))
    monkeypatch.setattr(evaluate_guards, "has_voice", lambda *_: False)
    monkeypatch.setattr(evaluate_guards, "unguarded", lambda *_: "Hello there.")


def rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_words_of_clips_are_counted_in_four_conditions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(CLIP, tmp_path / "a.flac")
    (tmp_path / "index.json").write_text(json.dumps([{"file": "a.flac", "text": "Hello there, friend."}]))
    run_evaluate_guards(tmp_path, None)
    printed = capsys.readouterr().out
    assert ["clips", "4", "12", "8", "4"] in rows(printed)
    assert "text for 24 of 24 sounds in which nothing is said, 0 behind the voice detector" in printed


def test_texts_of_three_kinds_are_spoken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = SimpleNamespace(audio=np.ones(2400, np.float32), sample_rate=24000)
    monkeypatch.setattr(evaluate_guards, "load_speaker", lambda *_: None)
    monkeypatch.setattr(evaluate_guards, "speak_text", lambda *_: [chunk])
    monkeypatch.setattr(evaluate_guards, "TEXTS", {"greetings": ["Hello there."], "others": ["Good night."]})
    run_evaluate_guards(None, None)
    printed = rows(capsys.readouterr().out)
    assert ["greetings", "4", "8", "8", "4"] in printed
    assert ["others", "4", "8", "0", "0"] in printed
