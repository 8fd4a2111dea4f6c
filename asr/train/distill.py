"""What the student is to make equal: the teacher's hidden states, and what the decoder reads in them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr.moonshine.config import BOS, EOS, Windows
from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.local import LocalEncoder


@dataclass(frozen=True)
class Losses:
    """One step's losses; `layers` and `hidden` are shares of the teacher's variance."""

    layers: Tensor
    hidden: Tensor
    divergence: Tensor  # nats a token
    words: Tensor  # nats a token

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return 0.5 * self.layers + self.hidden + self.divergence + 0.1 * self.words


@dataclass(frozen=True)
class Distillation:
    """The teacher and the decoder stay as they are; gradients go through the decoder to the student."""

    teacher: Encoder
    decoder: Decoder
    student: LocalEncoder

    def losses(self, near: Tensor, far: Tensor, tokens: Tensor, windows: Windows) -> Losses:
        """`near` and `far` [B, n] are what teacher and student hear, `tokens` [B, T] what is said."""
        with torch.no_grad():
            theirs = self.teacher.hidden_states(near)
        ours = self.student.hidden_states(far, windows)
        inputs, counts = _inputs(tokens)
        # The head costs more than the decoder: a third of the positions tells as much a step.
        some = torch.randperm(tokens.shape[1], device=tokens.device)[: -(-tokens.shape[1] // 3)]
        with torch.no_grad():
            target = self._log_probabilities(inputs, theirs[-1], some)
        guess = self._log_probabilities(inputs, ours[-1], some)
        per_token = functional.kl_div(guess, target, reduction="none", log_target=True).sum(-1)
        words = -guess.gather(-1, tokens[:, some, None])[..., 0]
        counts = counts[:, some]
        differences = [_difference(a, b) for a, b in zip(ours, theirs, strict=True)]
        return Losses(
            torch.stack(differences[:-1]).mean(),
            differences[-1],
            _mean(per_token, counts),
            _mean(words, counts),
        )

    def _log_probabilities(self, inputs: Tensor, hidden: Tensor, some: Tensor) -> Tensor:
        features = self.decoder.features(inputs, self.decoder.begin(hidden))[:, some]
        return self.decoder.head(features).float().log_softmax(-1)

    def silence(self, audio: Tensor, windows: Windows) -> Tensor:
        """Nats by which the decoder is surprised that nothing is said in `audio` [B, n]."""
        hidden = self.student(audio, windows)
        first = torch.full((len(audio), 1), BOS, device=audio.device)
        logits = self.decoder.logits(first, hidden).float()[:, 0]
        end = torch.full((len(audio),), EOS, device=audio.device)
        return functional.cross_entropy(logits, end)


def _inputs(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens that come before each of `tokens` [B, T], and which count: up to the first EOS, [B, T]."""
    first = torch.full_like(tokens[:, :1], BOS)
    inputs = torch.cat([first, tokens[:, :-1]], dim=1)
    ended = (tokens == EOS).cumsum(1) - (tokens == EOS).long()
    return inputs, ended == 0


def _difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean square difference as a share of the teacher's variance."""
    theirs = theirs.float()
    variance = (theirs - theirs.mean((0, 1))).square().mean()
    return (ours.float() - theirs).square().mean() / variance


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    return (values * counts).sum() / counts.sum().clamp(min=1)
