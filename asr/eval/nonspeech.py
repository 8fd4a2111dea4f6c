"""Sounds in which nothing is said: noise, hum, chords, clicks, babble; and what is transcribed of them."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from asr.audio import RATE

Audio = NDArray[np.float32]

_LEVELS_DB = (-60, -40, -20)  # below full scale: a quiet room, a fan, traffic through an open window
_SECONDS = (2, 8)
_TALKERS = 8  # fewer, and single voices stand out (Krishnan and Hansen 2009: from about 6 on it is babble)
# First three formants in Hz of ten English vowels of men (Peterson and Barney 1952, table II).
_FORMANTS = np.array(
    [
        [270, 2290, 3010],
        [390, 1990, 2550],
        [530, 1840, 2480],
        [660, 1720, 2410],
        [730, 1090, 2440],
        [570, 840, 2410],
        [440, 1020, 2240],
        [300, 870, 2240],
        [640, 1190, 2390],
        [490, 1350, 1690],
    ]
)


@dataclass(frozen=True)
class FalseTranscripts:
    """How many of `clips` gave a text, and how many still would with the voice detector in front."""

    clips: int
    texts: dict[str, str]  # by the sound's name
    behind_vad: tuple[str, ...]  # which of those sounds the detector takes for a voice

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "clips": self.clips,
            "false": len(self.texts),
            "false_behind_vad": len(self.behind_vad),
            "texts": self.texts,
            "behind_vad": list(self.behind_vad),
        }


def false_transcripts(
    sounds: Mapping[str, Audio], transcribe: Callable[[Audio], str], has_voice: Callable[[Audio], bool]
) -> FalseTranscripts:
    """Transcribe each sound as an utterance of its own. A text of nothing but punctuation is none."""
    texts = {name: transcribe(audio) for name, audio in sounds.items()}
    texts = {name: text for name, text in texts.items() if any(char.isalnum() for char in text)}
    return FalseTranscripts(len(sounds), texts, tuple(name for name in texts if has_voice(sounds[name])))


def seeded(name: str) -> np.random.Generator:
    """Random numbers that are the same for the same name, on every machine."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def nonspeech() -> dict[str, Audio]:
    """The sounds for counting false transcripts, by name, [n] at 16 kHz; babble is not among them."""
    return {f"{name}, {s} s": sound for s in _SECONDS for name, sound in _sounds(s * RATE)}


def white_noise(samples: int, rng: np.random.Generator) -> Audio:
    """Noise of equal power at all frequencies; the power is 1."""
    return _unit(rng.standard_normal(samples))


def pink_noise(samples: int, rng: np.random.Generator) -> Audio:
    """Noise of equal power in every octave above 20 Hz; the power is 1."""
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    phase = np.exp(2j * np.pi * rng.random(len(frequency)))
    amplitude = np.where(frequency > 0, 1 / np.sqrt(np.maximum(frequency, 20)), 0)
    return _unit(np.fft.irfft(amplitude * phase, samples))


def babble(samples: int, rng: np.random.Generator) -> Audio:
    """Eight voices at once, each a row of vowels and hisses of a syllable's length; the power is 1."""
    return _unit(np.sum([_talker(samples, rng) for _ in range(_TALKERS)], axis=0))


def _talker(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    pitch, size = rng.uniform(85, 250), rng.uniform(0.95, 1.2)  # Hz; formants of men to those of children
    begun = int(rng.integers(RATE // 10, RATE))  # samples talked before the sound begins
    audio, at = np.zeros(begun + samples), 0
    while at < len(audio):
        length = int(rng.uniform(0.12, 0.3) * RATE)  # 4 to 10 syllables a second
        syllable = _syllable(length, pitch * rng.uniform(0.8, 1.25), size, rng)[: len(audio) - at]
        audio[at : at + len(syllable)] += syllable
        pause = rng.uniform(0.2, 0.7) if rng.random() < 0.1 else 0
        at += int(length * 0.8 + pause * RATE)
    return audio[begun:]


def _syllable(length: int, pitch: float, size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A hiss of a third of the length, then a vowel: a pulse train through three resonators."""
    pulses = np.diff(np.floor(np.arange(length + 1) * pitch / RATE)) + 0.01 * rng.standard_normal(length)
    vowel: NDArray[np.float64] = lfilter([1], [1, -0.95], pulses)  # 6 dB an octave, as a voice falls
    for formant in _FORMANTS[rng.integers(len(_FORMANTS))] * size:
        # Bandwidth: 75 Hz at the first formant, 200 at the third.
        radius = np.exp(-np.pi * (60 + formant / 20) / RATE)
        vowel = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], vowel)
    vowel *= np.hanning(length) / np.sqrt(np.mean(vowel**2))
    hiss = np.diff(rng.standard_normal(length // 3 + 1)) * np.hanning(length // 3) * 0.2
    vowel[: len(hiss)] += hiss
    return vowel


def _sounds(samples: int) -> Iterator[tuple[str, Audio]]:
    yield "silence", np.zeros(samples, np.float32)
    for make, name in ((white_noise, "white"), (pink_noise, "pink")):
        for level in _LEVELS_DB:
            label = f"{name} noise at {level} dB"
            yield label, _at(make(samples, seeded(label)), level)
    for mains in (50, 60):
        yield f"hum of {mains} Hz", _at(_tones([mains * n for n in range(1, 8)], samples, 0), -30)
    yield "chords", _at(_chords(samples), -20)
    yield "melody", _at(_melody(samples), -20)
    yield "clicks", _clicks(samples)


def _tones(frequencies: list[float], samples: int, decay: float) -> Audio:
    """Sines, the n-th of amplitude 1/n, that fall by `decay` nepers a second."""
    time = np.arange(samples) / RATE
    waves = [np.sin(2 * np.pi * hertz * time) / n for n, hertz in enumerate(frequencies, 1)]
    sound: Audio = (np.sum(waves, axis=0) * np.exp(-decay * time)).astype(np.float32)
    return sound


def _chords(samples: int) -> Audio:
    """C, A minor, F and G, a second each, held like an organ's."""
    chords: list[list[float]] = [[262, 330, 392], [220, 262, 330], [175, 220, 262], [196, 247, 294]]
    beats = [_tones(chords[n % 4], RATE, 0) for n in range(-(-samples // RATE))]
    return np.concatenate(beats)[:samples]


def _melody(samples: int) -> Audio:
    """Plucked notes with overtones, three a second, from the pentatonic scale."""
    rng, length = seeded("melody"), RATE // 3
    notes = [262 * 2 ** (step / 12) for step in (0, 2, 4, 7, 9, 12)]
    played = [rng.choice(notes) for _ in range(-(-samples // length))]
    return np.concatenate([_tones([note * n for n in (1, 2, 3, 4)], length, 6) for note in played])[:samples]


def _clicks(samples: int) -> Audio:
    """Taps of 2 ms, three a second on average."""
    rng, audio = seeded("clicks"), np.zeros(samples)
    for at in rng.integers(0, samples - 32, 3 * samples // RATE):
        audio[at : at + 32] += 0.3 * rng.standard_normal(32) * np.hanning(32)
    return audio.astype(np.float32)


def _at(audio: Audio, level_db: float) -> Audio:
    return _unit(audio) * np.float32(10 ** (level_db / 20))


def _unit(audio: NDArray[np.floating]) -> Audio:
    power = np.mean(np.square(audio))
    return (audio / np.sqrt(power) if power else audio).astype(np.float32)
