"""Clips to learn from, drawn and transcribed beforehand: the teacher's words need hundreds of passes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.audio import RATE
from asr.decode import token_limit
from asr.moonshine.config import BOS, EOS
from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.train.augment import change_speed
from asr.train.corpus import Corpus

_SPEEDS = (0.8, 0.85, 0.9, 0.95, 1.0, 1.0, 1.05, 1.1, 1.15, 1.25)
_BATCH_S = 4096  # seconds of audio transcribed at once


@dataclass(frozen=True)
class Clips:
    """Clips of one length and the teacher's words for them."""

    audio: Tensor  # [N, n] float16
    tokens: Tensor  # [N, limit] int32, without the first token, EOS from the end on
    counts: Tensor  # [N] int64, on the CPU: tokens of each clip, with one EOS

    @property
    def seconds(self) -> float:
        """The length of one clip."""
        return self.audio.shape[1] / RATE

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random clips, [count, n] float32, and their tokens up to the longest of them, [count, T].

        `generator` is one of the CPU.
        """
        rows = torch.randint(len(self.audio), (count,), generator=generator)
        longest = int(self.counts[rows].max())  # known here without waiting for the device
        rows = rows.to(self.audio.device)
        return self.audio[rows].float(), self.tokens[rows, :longest].long()


def draw_clips(
    corpus: Corpus,
    teacher: Encoder,
    decoder: Decoder,
    seconds: float,
    count: int,
    generator: torch.Generator,
) -> Clips:
    """About `count` clips of `seconds` at varied speeds.

    Clips in which the teacher never comes to an end are left out: it repeats itself there.
    """
    length = int(seconds * RATE)
    audio, tokens = [], []
    # At most a tenth of the clips, so that every speed is among them.
    batch = max(1, min(-(-count // len(_SPEEDS)), int(_BATCH_S / seconds)))
    for index in range(-(-count // batch)):
        speed = _SPEEDS[index % len(_SPEEDS)]
        # A multiple of 800 keeps the FFT to small primes.
        drawn = corpus.draw(batch, round(length * speed / 800) * 800, generator)
        clips = change_speed(drawn, length)
        with torch.no_grad(), torch.autocast(clips.device.type, torch.bfloat16):
            words = decode(decoder, teacher(clips), token_limit(seconds))
        sound = ~unended(words)
        audio.append(clips[sound].half())
        tokens.append(words[sound].int())
    words = torch.cat(tokens)
    return Clips(torch.cat(audio), words, ((words != EOS).sum(1) + 1).cpu())


@torch.no_grad()
def decode(decoder: Decoder, hidden: Tensor, limit: int) -> Tensor:
    """Free-running greedy tokens [B, limit] of hidden states [B, T, width], EOS from the end on.

    The first token, BOS, is left out.
    """
    state = decoder.begin(hidden)
    token = torch.full((len(hidden), 1), BOS, device=hidden.device)
    ended = torch.zeros_like(token, dtype=torch.bool)
    chosen: list[Tensor] = []
    for _ in range(limit):
        token = decoder(token, state)[:, -1:].argmax(-1).masked_fill(ended, EOS)
        ended = ended | (token == EOS)
        chosen.append(token)
        if len(chosen) % 8 == 0 and bool(ended.all()):  # asking stops the device's queue
            break
    tokens = torch.cat(chosen, dim=1)
    return torch.nn.functional.pad(tokens, (0, limit - tokens.shape[1]), value=EOS)


def unended(tokens: Tensor) -> Tensor:
    """Which rows of tokens [B, limit] never came to an end: they repeat themselves, [B]."""
    return tokens[:, -1] != EOS
