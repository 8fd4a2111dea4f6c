"""`assistant eval long-form` on real clips, with a transcriber that was told what to say."""

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.audio import AudioSpan
from assistant.audio import ClipError
from assistant.commands import evaluate_long_form
from assistant.commands.evaluate_long_form import run_evaluate_long_form
from assistant.trace.summary import ReportError

TRACES = Path(__file__).parents[3] / "traces"


@dataclass(frozen=True)
class Heard:
    """A partial or a final reading."""

    text: str
    stable: str = ""
    unstable: str = ""
    words: tuple[()] = ()


@dataclass
class OneLine:
    """A reader that writes the same down whatever it hears."""

    line: str
    heard: list[NDArray[np.float32]] = field(default_factory=list)

    def begin(self, start_sample: int = 0) -> None:
        self.heard = []

    def partial(self, span: AudioSpan) -> Heard:
        self.heard.append(span.audio)
        return Heard(self.line)

    def final(self, span: AudioSpan) -> Heard:
        return Heard(self.line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One clip of the traces."""
    entry = json.loads((TRACES / "index.json").read_text())[0]
    shutil.copy(TRACES / entry["file"], tmp_path)
    (tmp_path / "index.json").write_text(json.dumps([entry | {"text": "Turn on the light"}]))
    return tmp_path


def install(line: str, monkeypatch: pytest.MonkeyPatch) -> OneLine:
    reader = OneLine(line)
    monkeypatch.setattr(evaluate_long_form, "asr_paths", lambda _: None)
    monkeypatch.setattr(evaluate_long_form, "load_transcriber", lambda *_: reader)
    return reader


def test_the_table_and_the_report_have_every_minute(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = install("turn on the light " * 3 + "off", monkeypatch)
    run_evaluate_long_form(folder, 1.05, folder / "report.json", None)
    report = json.loads((folder / "report.json").read_text())
    assert set(report) == {"machine", "long_form"}
    talk = report["long_form"]
    seconds = sum(map(len, reader.heard)) / 16_000
    assert 63 <= seconds < 63 + 15
    assert [len(minute["partial_ms"]) for minute in talk["minutes"]] == [375, -(-(seconds - 60) // 0.16)]
    assert all(minute["resident_mb"] > 1 for minute in talk["minutes"])
    words = talk["words"]
    assert words["reference_words"] % 4 == 0 and words["reference_words"] > 12
    lost = words["reference_words"] - 12
    assert words["deletions"] + words["substitutions"] == lost
    assert talk["wer"] == pytest.approx(lost / words["reference_words"])
    assert talk["text"] == reader.line
    output = capsys.readouterr().out
    rows = [line.split() for line in output.splitlines()]
    assert [row[0] for row in rows if re.fullmatch(r"\d+", row[0])] == ["1", "2"]
    assert f"word error rate {talk['wer']:.2%}: of {words['reference_words']} words" in output


def test_a_talk_without_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("Turn on the light.", monkeypatch)
    run_evaluate_long_form(folder, 0.01, None, None)
    assert "word error rate 0.00%: of 4 words 0 wrong, 0 lost, 0 too many" in capsys.readouterr().out


def test_what_cannot_be_read_or_written_is_refused_before_anything_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_long_form, "load_transcriber", None)
    with pytest.raises(ReportError, match="cannot be written"):
        run_evaluate_long_form(folder, 1, folder, None)
    with pytest.raises(ClipError, match="no such file or folder"):
        run_evaluate_long_form(folder / "nowhere", 1, None, None)
