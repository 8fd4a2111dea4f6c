"""Clips as clients send them."""

from pathlib import Path

import numpy as np
import pytest
from recordings import TRACES

from assistant.audio import Clip, find_clips, write_wav
from assistant.server.bench.clips import speak, speakable, write_folder


def test_a_clip_is_sent_as_samples_at_24_khz(tmp_path: Path) -> None:
    tone = (0.5 * np.sin(np.arange(4800) * 2 * np.pi * 440 / 48000)).astype(np.float32)
    write_wav(tmp_path / "a.wav", tone, 48000)
    spoken = speak(Clip(tmp_path / "a.wav", speech_end_sample=2400))
    samples = np.frombuffer(spoken.audio, "<i2") / 32768
    assert len(samples) == pytest.approx(2400, abs=2)
    assert spoken.voice_end_s == 0.05
    assert np.abs(samples[400:2000]).max() == pytest.approx(0.5, abs=0.01)
    crossings = np.diff(np.signbit(samples)).sum()
    assert crossings == pytest.approx(0.1 * 2 * 440, abs=2)


def test_every_third_clip() -> None:
    everyone = find_clips(TRACES)
    assert [spoken.clip for spoken in speakable([TRACES], 3)] == everyone[::3]


def test_a_folder_of_some_clips_keeps_their_order_and_labels(tmp_path: Path) -> None:
    some = [find_clips(TRACES)[index] for index in (7, 2, 7)]
    found = find_clips(write_folder(some, tmp_path / "half"))
    assert [clip.path.read_bytes() for clip in found] == [clip.path.read_bytes() for clip in some]
    for name in ("reference", "speech_start_sample", "speech_end_sample", "sample_rate", "pauses"):
        assert [getattr(clip, name) for clip in found] == [getattr(clip, name) for clip in some], name
