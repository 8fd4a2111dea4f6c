"""The linear part of echo cancellation: a partitioned-block frequency-domain Kalman filter.

The room between loudspeaker and microphone is a finite impulse response, cut into partitions of one block
(overlap-save). Each coefficient is a state with an uncertainty of its own: where the echo is louder than what
remains of it and of the user, the filter learns fast; while the user speaks, it hardly moves.

Enzner and Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free
telephones", Signal Processing 86 (2006); Kuech, Mabande and Enzner, "State-space architecture of the
partitioned-block-based acoustic echo controller", ICASSP 2014.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BLOCK = 256
"""Samples of a block and of a partition, 16 ms."""
MOST_BEHIND = 32
"""Blocks by which the echo may come after its reference before the filter begins, 512 ms."""
_BINS = BLOCK + 1
_LEAST = np.float32(1e-9)  # power in a bin: silence is divided by it


@dataclass(frozen=True)
class KalmanConfig:
    """What is assumed about the room before anything of it was heard, and how fast it changes."""

    partitions: int = 20
    """Length of the filter in blocks: 320 ms."""
    transition: float = 0.9995
    """What a coefficient keeps from block to block; the rest is uncertainty."""
    uncertainty: float = 0.2
    """Power of a coefficient of the first partition, before anything is known."""
    uncertainty_decay: float = 0.15
    """By how many nepers that falls with each partition, as the reverberation does."""
    noise_smoothing: float = 0.9
    """What the estimate of everything but the echo keeps from block to block."""


class KalmanFilter:
    """Learns the echo of a reference in a microphone's signal, block by block."""

    def __init__(self, config: KalmanConfig | None = None) -> None:
        self._config = config or KalmanConfig()
        partitions = self._config.partitions
        fall = np.exp(-self._config.uncertainty_decay * np.arange(partitions, dtype=np.float32))
        self._prior = np.repeat((self._config.uncertainty * fall)[:, None], _BINS, axis=1)
        self._last = np.zeros(BLOCK, np.float32)
        self._history = np.zeros((partitions + MOST_BEHIND, _BINS), np.complex64)  # newest first
        self._sounding = 0  # blocks until the history holds only silence
        self._behind = 0
        self.reset()

    @property
    def behind(self) -> int:
        """Blocks between a reference and the first partition of the filter."""
        return self._behind

    def reset(self) -> None:
        """Forget the room."""
        self._weights = np.zeros_like(self._history[: self._config.partitions])  # [P, F]
        self._uncertainty = self._prior.copy()  # [P, F]
        self._noise = np.zeros(_BINS, np.float32)

    def move(self, behind: int) -> None:
        """Let the filter begin `behind` blocks after the reference; what it has learned moves along."""
        if not 0 <= behind <= MOST_BEHIND:
            raise ValueError(f"a filter begins 0 to {MOST_BEHIND} blocks after the reference: {behind}")
        old = np.arange(self._config.partitions) + behind - self._behind
        known = (old >= 0) & (old < self._config.partitions)
        old = old.clip(0, self._config.partitions - 1)
        self._weights = np.where(known[:, None], self._weights[old], 0)
        self._uncertainty = np.where(known[:, None], self._uncertainty[old], self._prior)
        self._behind = behind

    def push(self, microphone: Array, reference: Array) -> Array:
        """The echo in a block of the microphone, [256], from a block of the reference, [256].

        It is exactly zero where the reference has been silent for the length of the filter.
        """
        self._take(reference)
        if not self._sounding:
            return np.zeros(BLOCK, np.float32)
        spectra = self._history[self._behind : self._behind + self._config.partitions]  # [P, F]
        echo = np.fft.irfft((spectra * self._weights).sum(axis=0))[BLOCK:].astype(np.float32, copy=False)
        self._learn(spectra, microphone - echo)
        return echo

    def _take(self, reference: Array) -> None:
        self._history[1:] = self._history[:-1]
        self._history[0] = np.fft.rfft(np.concatenate([self._last, reference]))
        self._last = reference.copy()
        self._sounding = len(self._history) + 1 if reference.any() else max(0, self._sounding - 1)

    def _learn(self, spectra: NDArray[np.complex64], error: Array) -> None:
        """The Kalman update from the error [256] of the block whose reference came last."""
        config = self._config
        # An offset, which cheap microphones have, would leak into all bins.
        spectrum = np.fft.rfft(np.concatenate([np.zeros(BLOCK, np.float32), error - error.mean()]))
        power = spectra.real**2 + spectra.imag**2  # [P, F]
        forget = np.float32(config.transition**2)
        weights = self._weights.real**2 + self._weights.imag**2
        uncertainty = forget * self._uncertainty + (1 - forget) * weights
        expected = (power * uncertainty).sum(axis=0)
        observed = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
        self._noise += np.float32(1 - config.noise_smoothing) * (self._rest(observed, expected) - self._noise)
        gain = uncertainty / (expected + 2 * self._noise + _LEAST)
        self._weights += constrained(gain * spectra.conj() * spectrum)
        self._uncertainty = uncertainty * (1 - np.float32(0.5) * gain * power)

    def _rest(self, observed: Array, expected: Array) -> Array:
        """The power [F] of all that is no echo: the error's, less what the update will take out of it.

        The error's alone would call the echo of a room that is not yet known the user's voice.
        """
        learned = expected / (expected + 2 * self._noise + _LEAST)
        rest: Array = observed * (1 - np.float32(0.5) * learned) ** 2
        return rest


def constrained(step: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Spectra [P, F] of impulse responses of one block: the half that overlap-save has no use for is cut."""
    response = np.fft.irfft(step, axis=1)
    response[:, BLOCK:] = 0
    return np.fft.rfft(response, axis=1).astype(np.complex64, copy=False)
