"""`assistant eval asr` on real clips, with scripted readers and the real recognizer; what it refuses."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer

from asr.audio import AudioSpan
from assistant.audio import ClipError
from assistant.commands import evaluate
from assistant.commands.evaluate import condition_names, mode_names, run_evaluate_asr
from assistant.models.catalog import load_catalog
from assistant.models.speech import ASR, VAD
from assistant.models.store import ModelStore

TRACES = Path(__file__).parents[3] / "traces"


@dataclass(frozen=True)
class Heard:
    """A partial or a final reading."""

    text: str
    stable: str = ""
    unstable: str = ""
    words: tuple[()] = ()


class OneLine:
    """A reader that writes the same down whatever it hears."""

    def __init__(self, line: str) -> None:
        self.line = line

    def begin(self, start_sample: int = 0) -> None:
        """Forget nothing."""

    def partial(self, span: AudioSpan) -> Heard:
        return Heard(self.line, "", self.line)

    def final(self, span: AudioSpan) -> Heard:
        return Heard(self.line)

    def transcribe(self, audio: np.ndarray) -> Heard:
        return Heard(self.line)


@dataclass(frozen=True)
class OneLiners:
    """All three readers."""

    streaming: OneLine
    final: OneLine
    full: OneLine


def install(readers: OneLiners, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command load these readers in place of the real ones."""
    monkeypatch.setattr(evaluate, "asr_paths", lambda _: None)
    monkeypatch.setattr(evaluate, "load_recognizers", lambda *_: readers)


def folder_of(count: int, folder: Path) -> list[dict[str, str]]:
    """Copy the first clips of the traces, with the text of the last replaced by "[bold] nonsense"."""
    entries = json.loads((TRACES / "index.json").read_text())[:count]
    for entry in entries:
        shutil.copy(TRACES / entry["file"], folder)
    entries[-1]["text"] = "[bold] nonsense"
    (folder / "index.json").write_text(json.dumps(entries))
    return list(entries)


def test_every_reader_and_condition_has_a_row_and_its_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = folder_of(2, tmp_path)
    said = right["text"]
    found = OneLiners(OneLine(said), OneLine(f"{said} {said} Thanks for watching."), OneLine(""))
    install(found, monkeypatch)
    run_evaluate_asr(tmp_path, tmp_path / "report.json", None, "far,clean", "all")
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report) == {"machine", "models", "streaming", "final", "full"}
    for name in ("streaming", "final", "full"):
        assert list(report[name]) == ["clean", "far"]
        assert [clip["file"] for clip in report[name]["far"]["clips"]] == [right["file"], wrong["file"]]
    assert report["streaming"]["clean"]["clips"][0]["wer"] == 0
    assert report["full"]["clean"]["summary"]["wer"] == 1  # every word is missing
    assert report["final"]["clean"]["summary"]["repeated"] == [right["file"], wrong["file"]]
    assert [model["name"] for model in report["models"]] == list(ASR)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows if "streaming" in row[:2]] == [
        ["clean", "streaming"],
        ["far", "streaming"],
    ]
    full = next(row for row in rows if row[:1] == ["full"])
    assert full[1] == "100"


def test_the_output_fits_on_one_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of(1, tmp_path)
    line = OneLine("Thank you.")
    install(OneLiners(line, line, line), monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    run_evaluate_asr(tmp_path, None, None, "all", "all")
    lines = capsys.readouterr().out.splitlines()
    assert "[bold] nonsense" in "\n".join(lines)
    assert len(lines) <= 24
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "…" not in "".join(lines)  # nothing was cut


def test_a_name_that_is_none() -> None:
    assert condition_names("telephone, clean") == ("clean", "telephone")
    assert condition_names("all") == ("clean", "noisy", "far", "telephone")
    assert mode_names("full,streaming") == ("streaming", "full")
    with pytest.raises(typer.BadParameter, match=r"--conditions: 'nosy' is none of .*did you mean 'noisy'"):
        condition_names("clean,nosy")
    with pytest.raises(typer.BadParameter, match="--modes: '' is none of"):
        mode_names("")


@pytest.mark.models
def test_noise_is_read_with_and_without_the_voice_detector(
    model_path: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_path(VAD)
    folder_of(1, tmp_path)
    found = OneLiners(OneLine(""), OneLine("you"), OneLine("Thank you."))
    install(found, monkeypatch)
    run_evaluate_asr(tmp_path, tmp_path / "report.json", None, noise=True)
    report = json.loads((tmp_path / "report.json").read_text())
    noise = report["noise"]
    assert [noise[name]["false"] for name in ("streaming", "final", "full")] == [0, 24, 24]
    assert noise["full"]["false_behind_vad"] <= 4  # it is not fooled by noise, hum, clicks and silence
    assert not [name for name in noise["full"]["behind_vad"] if "noise" in name or "silence" in name]
    assert {"name": VAD, "sha256": load_catalog()[VAD].sha256} in report["models"]
    assert "full: text for 24 of 24 sounds in which nothing is said" in capsys.readouterr().out


@pytest.mark.models
def test_clips_are_scored_against_the_index(
    model_path: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ASR:
        model_path(name)
    folder_of(2, tmp_path)
    run_evaluate_asr(tmp_path, tmp_path / "report.json", None)
    report = json.loads((tmp_path / "report.json").read_text())
    for name in ("streaming", "final", "full"):
        first, last = report[name]["clean"]["clips"]
        assert first["wer"] < 0.2  # a small model, but not that bad
        assert last["wer"] >= 1
    assert report["streaming"]["clean"]["summary"]["stable_retracted"] == 0
    assert report["streaming"]["clean"]["summary"]["stable_word_ms"]["words"] > 0
    catalog = ModelStore().catalog
    assert report["models"] == [{"name": name, "sha256": catalog[name].sha256} for name in ASR]
    assert report["machine"]["python"]
    output = capsys.readouterr().out
    assert "[bold] nonsense" in output
    wer = 100 * report["final"]["clean"]["summary"]["wer"]
    row = next(line.split() for line in output.splitlines() if line.split()[:1] == ["final"])
    assert float(row[1]) == pytest.approx(wer, abs=0.5)


def test_a_clip_without_a_text_cannot_be_scored(tmp_path: Path) -> None:
    folder_of(1, tmp_path)
    name = json.loads((tmp_path / "index.json").read_text())[0]["file"]
    (tmp_path / "index.json").write_text(json.dumps([{"file": name}]))
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ClipError, match='nothing to compare with: no "text"') as caught:
            run_evaluate_asr(path, None, None)
        assert name in str(caught.value)
