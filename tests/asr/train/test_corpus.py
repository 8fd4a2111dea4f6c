"""Spans of recordings, told apart by their samples."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from asr.train.corpus import Corpus, Source, read_corpus, read_recording

CPU = torch.device("cpu")


def write(path: Path, samples: NDArray[np.int16], rate: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")


def constant(value: int, length: int) -> NDArray[np.int16]:
    return np.full(length, value, np.int16)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def draw(corpus: Corpus, count: int, length: int) -> NDArray[np.int64]:
    """As 16-bit samples."""
    drawn = corpus.draw(count, length, seeded())
    assert drawn.dtype == torch.float32
    return np.asarray((drawn * 32768).round().long())


def test_sources_are_drawn_by_weight_and_recordings_by_length(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.wav", constant(1, 4000))
    write(tmp_path / "a" / "deep" / "er" / "two.flac", constant(2, 12000))
    write(tmp_path / "b" / "three.wav", constant(3, 1000))
    (tmp_path / "a" / "notes.txt").write_text("no recording")
    corpus = read_corpus([Source(tmp_path / "a", 1), Source(tmp_path / "b", 3)], CPU)
    first = draw(corpus, 8000, 100)[:, 0]
    shares = [(first == value).mean() for value in (1, 2, 3)]
    assert shares == pytest.approx([0.25 * 0.25, 0.25 * 0.75, 0.75], abs=0.02)


def test_spans_lie_anywhere_in_a_recording_and_in_no_other(tmp_path: Path) -> None:
    write(tmp_path / "1.wav", np.arange(1000, 1300, dtype=np.int16))
    write(tmp_path / "2.wav", np.arange(-5000, -4600, dtype=np.int16))
    drawn = draw(read_corpus([Source(tmp_path, 1)], CPU), 5000, 60)
    assert (np.diff(drawn, axis=1) == 1).all()
    assert ((drawn[:, 0] >= 1000) | (drawn[:, -1] < -4600)).all()
    first = {int(value) for value in drawn[:, 0]}
    assert {1000, 1239, -5000, -4661} <= first
    assert first <= {*range(1000, 1241), *range(-5000, -4659)}
    assert len(first) > 570


def test_what_is_too_short_is_followed_by_what_comes_next(tmp_path: Path) -> None:
    for index, length in enumerate((30, 50, 40)):
        write(tmp_path / f"{index}.wav", constant(index + 1, length))
    corpus = read_corpus([Source(tmp_path, 1)], CPU)
    whole = np.repeat([1, 2, 3], [30, 50, 40])
    for row in draw(corpus, 200, 60):
        assert any((row == whole[at : at + 60]).all() for at in range(61))
    assert (draw(corpus, 3, 120) == whole).all()
    with pytest.raises(ValueError, match=r"a corpus of 0.0 s: too short for 0.0075625 s"):
        corpus.draw(1, 121, seeded())


def test_the_first_channel_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.stack([constant(5, 100), constant(7, 100)], axis=1))
    assert (read_recording(tmp_path / "a.wav") == constant(5, 100)).all()


def test_another_rate_is_refused_and_the_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "good.wav", constant(1, 100))
    write(tmp_path / "bad.wav", constant(1, 100), rate=8000)
    with pytest.raises(ValueError, match=r"bad\.wav: 8000 Hz; training reads 16000 Hz only"):
        read_corpus([Source(tmp_path, 1)], CPU)


def test_a_source_without_sound_is_refused(tmp_path: Path) -> None:
    full, empty = tmp_path / "full", tmp_path / "empty"
    write(full / "a.wav", constant(1, 100))
    empty.mkdir()
    with pytest.raises(ValueError, match="empty: no recordings in it"):
        read_corpus([Source(full, 1), Source(empty, 1)], CPU)
    write(empty / "a.wav", constant(1, 0))
    with pytest.raises(ValueError, match="empty: no recordings in it"):
        read_corpus([Source(full, 1), Source(empty, 1)], CPU)
    with pytest.raises(ValueError, match="nowhere: no recordings in it"):
        read_corpus([Source(tmp_path / "nowhere", 1)], CPU)
