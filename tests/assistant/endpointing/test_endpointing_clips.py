"""The parts of the clips: by voice, and without a text in two of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assistant.audio import ClipError
from assistant.endpointing.clips import parts_of


def write_clips(folder: Path, *said: tuple[str, str], **more: object) -> Path:
    folder.mkdir()
    entries = []
    for number, (voice, text) in enumerate(said):
        soundfile.write(folder / f"{number}.wav", np.zeros(8000), 16000)
        entry = {"file": f"{number}.wav", "voice": voice, "text": text, "sample_rate": 16000}
        entries.append({**entry, "speech_end_sample": 7000, **more})
    (folder / "index.json").write_text(json.dumps(entries))
    return folder


def test_voices_are_dealt_into_parts(tmp_path: Path) -> None:
    first = write_clips(
        tmp_path / "first", ("af_heart", "One."), ("bm_daniel", "Two."), ("af_bella", "Three.")
    )
    second = write_clips(tmp_path / "second", ("heart", "Four."), ("af_bella", "Three."))
    texts = {part: [clip.reference for clip in clips] for part, clips in parts_of([first, second]).items()}
    assert texts == {"fit": ["Three.", "Four.", "Three."], "choose": ["Two."], "report": ["One."]}


def test_a_text_in_two_parts_is_an_error_however_it_is_written(tmp_path: Path) -> None:
    first = write_clips(tmp_path / "first", ("af_heart", "Turn it on."))
    second = write_clips(tmp_path / "second", ("af_bella", "turn it on"))
    with pytest.raises(ClipError, match='"turn it on" is said in the parts fit and report'):
        parts_of([first, second])


@pytest.mark.parametrize("key", ["voice", "text", "sample_rate", "speech_end_sample"])
def test_a_clip_without_a_label_is_named(tmp_path: Path, key: str) -> None:
    folder = write_clips(tmp_path / "clips", ("af_heart", "One."), **{key: None})
    with pytest.raises(ClipError, match=r"0\.wav: needs"):
        parts_of([folder])
