"""Reading recordings freely with a streaming encoder, in torch: what training is judged by, not its loss."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.moonshine.config import EOS, RATE, Windows
from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.local import LocalEncoder
from asr.moonshine.vocabulary import text_of
from asr.train.labels import read, token_limit

_GRAIN = 2 * RATE  # clips are filled with silence up to a multiple of this, to be read together
_BATCH = 64


class Said(NamedTuple):
    """A recording [n] at 16 kHz and what is said in it."""

    name: str
    audio: NDArray[np.float32]
    text: str


@torch.no_grad()
def transcripts(
    encoder: Encoder | LocalEncoder,
    decoder: Decoder,
    vocabulary: Sequence[bytes],
    clips: Sequence[Said],
    windows: Windows | None,
) -> dict[str, str]:
    """What is read of each clip; with full attention if `windows` is None."""
    texts: dict[str, str] = {}
    device = next(decoder.parameters()).device
    for audio, names in _batches(clips):
        heard = torch.from_numpy(audio).to(device)
        hidden = encoder(heard) if windows is None else encoder(heard, windows)
        tokens = read(decoder, hidden, token_limit(heard.shape[1]))
        texts.update(zip(names, _texts(tokens, vocabulary), strict=True))
    return texts


def _batches(clips: Sequence[Said]) -> list[tuple[NDArray[np.float32], list[str]]]:
    by_length: dict[int, list[Said]] = {}
    for clip in clips:
        by_length.setdefault(-(-len(clip.audio) // _GRAIN) * _GRAIN, []).append(clip)
    batches = []
    for length, group in by_length.items():
        for first in range(0, len(group), _BATCH):
            part = group[first : first + _BATCH]
            audio = np.stack([np.pad(clip.audio, (0, length - len(clip.audio))) for clip in part])
            batches.append((audio, [clip.name for clip in part]))
    return batches


def _texts(tokens: Tensor, vocabulary: Sequence[bytes]) -> list[str]:
    rows = tokens.tolist()
    return [text_of(row[: row.index(EOS)] if EOS in row else row, vocabulary) for row in rows]
