"""`python -m asr.train.synthesize TEXTS FOLDER`: speech to learn from, spoken by Hibari on every core."""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import soxr
from hibari import SAMPLE_RATE, Hibari
from numpy.typing import NDArray

from asr.moonshine.config import RATE

_GAP = RATE // 4  # samples between two sentences
_LEVEL = 0.07  # RMS


def main(arguments: Sequence[str] | None = None) -> None:
    """Speak every line of TEXTS, `--sentences` to a file."""
    parser = argparse.ArgumentParser(prog="python -m asr.train.synthesize", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=100, help="in a file")
    options = parser.parse_args(arguments)
    lines = [line.strip() for line in options.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = [lines[at : at + options.sentences] for at in range(0, len(lines), options.sentences)]
    names = [options.folder / f"{index:05}.wav" for index in range(len(parts))]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        seconds = sum(pool.map(_speak, parts, names))
    print(f"{seconds / 3600:.2f} h in {len(parts)} files")


_voice: Hibari | None = None  # one a process


def _speak(lines: Sequence[str], path: Path) -> float:
    global _voice
    _voice = _voice or Hibari()
    pieces: list[NDArray[np.float32]] = []
    for line in lines:
        audio = soxr.resample(_voice(line), SAMPLE_RATE, RATE).astype(np.float32)
        rms = float(np.sqrt(np.mean(np.square(audio)))) or 1.0
        pieces += [audio * (_LEVEL / rms), np.zeros(_GAP, np.float32)]
    whole = np.concatenate(pieces).clip(-1, 1)
    soundfile.write(path, whole, RATE, subtype="PCM_16")
    return len(whole) / RATE


if __name__ == "__main__":
    main()
