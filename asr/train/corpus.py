"""Speech to learn from: folders of recordings on the device, as one long row of samples."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.audio import RATE

_SUFFIXES = {".ogg", ".flac", ".wav"}


@dataclass(frozen=True)
class Source:
    """A folder of recordings, and how much of the training is drawn from it."""

    folder: Path
    weight: float


@dataclass(frozen=True)
class Corpus:
    """`samples` [n] int16; recording i is samples[starts[i] : ends[i]] and is drawn with `shares[i]`."""

    samples: Tensor
    starts: Tensor  # [recordings] int64
    ends: Tensor  # [recordings] int64
    shares: Tensor  # [recordings] float, by length within a source, by weight between sources

    def draw(self, count: int, length: int, generator: torch.Generator) -> Tensor:
        """`count` random spans of `length` samples, [count, length] float32 in -1 to 1.

        Recordings shorter than that are followed by what comes next in the corpus. Raises ValueError if all
        of it is shorter.
        """
        if length > len(self.samples):
            raise ValueError(f"a corpus of {len(self.samples) / RATE:.1f} s: too short for {length / RATE} s")
        device = self.samples.device
        rows = torch.multinomial(self.shares, count, replacement=True, generator=generator)
        room = (self.ends[rows] - self.starts[rows] - length).clamp(min=1)
        at = (torch.rand(count, generator=generator, device=device) * room).long()
        first = (self.starts[rows] + at).clamp(max=len(self.samples) - length)
        index = first[:, None] + torch.arange(length, device=device)
        return self.samples[index].float() / 32768


def read_corpus(sources: Iterable[Source], device: torch.device) -> Corpus:
    """Read all recordings of `sources`; raises ValueError for a source without any, or at another rate."""
    pieces: list[NDArray[np.int16]] = []
    shares: list[float] = []
    with ThreadPoolExecutor() as pool:  # libsndfile releases the GIL
        for source in sources:
            files = sorted(path for path in source.folder.rglob("*") if path.suffix in _SUFFIXES)
            read = list(pool.map(read_recording, files))
            total = sum(map(len, read))
            if not total:
                raise ValueError(f"{source.folder}: no recordings in it")
            shares += [source.weight * len(piece) / total for piece in read]
            pieces += read
    ends = np.cumsum([len(piece) for piece in pieces])
    starts = ends - [len(piece) for piece in pieces]
    return Corpus(
        torch.from_numpy(np.concatenate(pieces)).to(device),
        torch.from_numpy(starts).to(device),
        torch.from_numpy(ends).to(device),
        torch.tensor(shares, device=device),
    )


def read_recording(path: Path) -> NDArray[np.int16]:
    """The first channel of `path`, [n] at 16 kHz; raises ValueError for another rate."""
    audio, rate = soundfile.read(path, dtype="int16", always_2d=True)
    if rate != RATE:
        raise ValueError(f"{path}: {rate} Hz; training reads {RATE} Hz only: resample it first")
    mono: NDArray[np.int16] = audio[:, 0]
    return mono
