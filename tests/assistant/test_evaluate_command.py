"""`assistant eval asr` on real clips with the real recognizer, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.clips import ClipError
from assistant.commands.evaluate import run_evaluate_asr
from assistant.model_catalog import load_catalog
from assistant.speech_models import ASR

TRACES = Path(__file__).parents[2] / "traces"


def folder_of(count: int, folder: Path) -> list[dict[str, str]]:
    """Copy the first clips of the traces, with the text of the last replaced by "[bold] nonsense"."""
    entries = json.loads((TRACES / "index.json").read_text())[:count]
    for entry in entries:
        shutil.copy(TRACES / entry["file"], folder)
    entries[-1]["text"] = "[bold] nonsense"
    (folder / "index.json").write_text(json.dumps(entries))
    return list(entries)


@pytest.mark.models
def test_clips_are_scored_against_the_index(
    model_path: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ASR:
        model_path(name)
    right, wrong = folder_of(2, tmp_path)
    run_evaluate_asr(tmp_path, tmp_path / "report.json", None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [clip["file"] for clip in report["clips"]] == [right["file"], wrong["file"]]
    assert report["clips"][0]["wer"] < 0.2  # a small model, but not that bad
    assert report["clips"][1]["wer"] >= 1
    assert report["models"] == [{"name": name, "sha256": load_catalog()[name].sha256} for name in ASR]
    assert report["machine"]["python"]
    output = capsys.readouterr().out
    assert "[bold] nonsense" in output
    assert f"word error rate {report['summary']['wer']:.2%}" in output


def test_a_clip_without_a_text_cannot_be_scored(tmp_path: Path) -> None:
    folder_of(1, tmp_path)
    name = json.loads((tmp_path / "index.json").read_text())[0]["file"]
    (tmp_path / "index.json").write_text(json.dumps([{"file": name}]))
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ClipError, match='nothing to compare with: no "text"') as caught:
            run_evaluate_asr(path, None, None)
        assert name in str(caught.value)
