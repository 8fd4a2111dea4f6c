"""The signal part of the voice, a few frames at a time: predicted spectra in, samples out.

Hibari's network predicts five spectra of 601 bins for each frame of 300 samples. The sound is a train of
pulses at the predicted pitch, filtered by the first two, plus noise shaped by the third, plus a part whose
magnitude and phase are the last two; an inverse STFT joins the frames. `hibari.dsp.synth` does it for a whole
sentence. Here the phase of the pulses and the unfinished overlap are carried from one run of frames to the
next, to the same result.
"""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

SAMPLE_RATE = 24000
HOP = 300
BINS = 601
_OVERLAP = 4  # an STFT frame is 4 hops long, so each block of 300 samples is the sum of four frames
_N_FFT = HOP * _OVERLAP
_MIN_PITCH_HZ = 40.0  # a frame of lower pitch is unvoiced
_TOP_HARMONIC_HZ = 11000.0
_MAX_LOG_MAGNITUDE = 7.0
_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)).astype(np.float32)
_SOURCE_WINDOW = _WINDOW / np.float32(_N_FFT / 4)  # so that a cosine of amplitude 1 peaks at 1
_WINDOW_POWER = (_WINDOW * _WINDOW).reshape(_OVERLAP, HOP)

Spectra = tuple[NDArray[np.float32], ...]  # log magnitude and phase of the pulses, of the noise, of the rest


class Vocoder:
    """Turns the frames of one utterance into samples, in order, any number of frames at a time.

    pitch: [F] Hz, the whole utterance's; noise: [601, F]. `start` is the first frame that will be pushed: the
    samples then begin with block `start + 1`, the first that no earlier frame reaches (block 0 for frame 0).
    """

    def __init__(self, pitch: NDArray[np.float32], noise: NDArray[np.complex64], start: int = 0) -> None:
        self._pitch = pitch
        self._noise = noise
        self._frame = start
        self._blocks_to_drop = 3 if start else 2
        self._overlap = np.zeros((_OVERLAP - 1, HOP), np.float32)
        self._pulses = np.zeros(0, np.float32)
        self._pulses_begin = max(0, start - 2)  # block
        self._cycles = float(np.sum(_pitch_per_sample(pitch, 0, self._pulses_begin)[0], dtype=np.float64))

    def push(self, spectra: Spectra) -> NDArray[np.float32]:
        """Take the next n frames ([601, n] each); return the samples they complete, two blocks behind."""
        begin, end = self._frame, self._frame + spectra[0].shape[1]
        assert end <= len(self._pitch), "more frames than the utterance has"
        spectrum = self._source(begin, end)
        _combine(spectrum, spectra, self._noise[:, begin:end])
        blocks = self._join(spectrum)
        self._frame = end
        dropped = min(self._blocks_to_drop, len(blocks))
        self._blocks_to_drop -= dropped
        return blocks[dropped:].reshape(-1)

    def _source(self, begin: int, end: int) -> NDArray[np.complex64]:
        """The pulses' STFT, centred, the signal reflected at its ends, of frames begin..end: [601, n]."""
        total = len(self._pitch)
        old = max(0, begin - 2) - self._pulses_begin
        self._pulses = self._pulses[old * HOP :]
        self._pulses_begin += old
        self._extend_pulses(min(end + 2, total))
        beyond = (HOP * max(0, 2 - begin), HOP * max(0, end + 2 - total))
        padded = np.pad(self._pulses, beyond, mode="reflect")
        frames = (
            np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::HOP][: end - begin] * _SOURCE_WINDOW
        )
        return np.ascontiguousarray(scipy.fft.rfft(frames, axis=1, overwrite_x=True).T)

    def _extend_pulses(self, end: int) -> None:
        begin = self._pulses_begin + len(self._pulses) // HOP
        if begin >= end:
            return
        pitch, voiced = _pitch_per_sample(self._pitch, begin, end)
        cycles = pitch.astype(np.float64)
        cycles[0] += self._cycles
        np.cumsum(cycles, out=cycles)
        self._cycles = float(cycles[-1])
        self._pulses = np.concatenate([self._pulses, _pulse_train(cycles / SAMPLE_RATE, pitch) * voiced])

    def _join(self, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Overlap-add: the blocks [n, 300] that these frames complete, and after the last frame two more."""
        count = spectrum.shape[1]
        frames: NDArray[np.float32] = scipy.fft.irfft(spectrum.T, n=_N_FFT, axis=1, overwrite_x=True)
        frames = (frames * _WINDOW).reshape(count, _OVERLAP, HOP)
        blocks = np.zeros((count + _OVERLAP - 1, HOP), np.float32)
        blocks[: _OVERLAP - 1] = self._overlap
        for late in range(_OVERLAP):
            blocks[late : late + count] += frames[:, late]
        self._overlap = blocks[count:].copy()
        is_last = self._frame + count == len(self._pitch)
        whole = blocks[: count + 2] if is_last else blocks[:count]
        whole /= _window_power(self._frame, len(whole), len(self._pitch))
        return whole


def _pitch_per_sample(
    pitch: NDArray[np.float32], begin: int, end: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pitch at each sample of blocks begin..end, blended between frames, and whether it is voiced."""
    around = np.pad(pitch, 1, mode="edge")[begin : end + 2]
    weight = (((np.arange(HOP) + 0.5) / HOP - 0.5) % 1.0).astype(np.float32)  # of the later frame
    half = HOP // 2
    samples = np.empty((max(0, end - begin), HOP), np.float32)
    samples[:, :half] = around[:-2, None] * (1 - weight[:half]) + around[1:-1, None] * weight[:half]
    samples[:, half:] = around[1:-1, None] * (1 - weight[half:]) + around[2:, None] * weight[half:]
    flat = samples.reshape(-1)
    return np.maximum(flat, np.float32(_MIN_PITCH_HZ)), flat > _MIN_PITCH_HZ


def _pulse_train(cycles: NDArray[np.float64], pitch: NDArray[np.float32]) -> NDArray[np.float32]:
    """All harmonics below 11 kHz: the sum of cos(h t) is sin((H + 1/2) t) / (2 sin(t / 2)) - 1/2."""
    angle = (np.modf(cycles)[0] * (2 * np.pi)).astype(np.float32)
    harmonics = np.floor(np.float32(_TOP_HARMONIC_HZ) / pitch) + np.float32(0.5)
    divisor = 2 * np.sin(angle * np.float32(0.5))
    at_peak = np.abs(divisor) <= 2e-3  # where 0 / 0 tends to H + 1/2
    divisor[at_peak] = 1
    pulses: NDArray[np.float32] = np.sin(harmonics * angle)
    pulses /= divisor
    pulses[at_peak] = harmonics[at_peak]
    pulses -= 0.5
    return pulses


def _combine(spectrum: NDArray[np.complex64], spectra: Spectra, noise: NDArray[np.complex64]) -> None:
    """Filter the source `spectrum` in place, and add the noise and the part of free phase."""
    pulse_gain, pulse_phase, noise_gain, rest_gain, rest_phase = spectra
    spectrum *= _polar(pulse_gain, np.tanh(pulse_phase) * np.float32(np.pi))
    spectrum += noise * _magnitude(noise_gain)
    spectrum += _polar(rest_gain, rest_phase)


def _polar(gain: NDArray[np.float32], phase: NDArray[np.float32]) -> NDArray[np.complex64]:
    out = np.empty(gain.shape, np.complex64)
    np.cos(phase, out=out.real)
    np.sin(phase, out=out.imag)
    out *= _magnitude(gain)
    return out


def _magnitude(gain: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.exp(np.minimum(gain, np.float32(_MAX_LOG_MAGNITUDE)))


def _window_power(begin: int, count: int, total: int) -> NDArray[np.float32]:
    """Summed squared window of the frames over blocks begin..begin+count of the overlap: less at the ends."""
    power = np.zeros((count, HOP), np.float32)
    for late in range(_OVERLAP):
        frame = np.arange(begin, begin + count) - late
        power += np.where(((frame >= 0) & (frame < total))[:, None], _WINDOW_POWER[late], np.float32(0))
    return np.maximum(power, np.float32(1e-11))
