"""Our own requests, spoken by the shipped voice: a folder of labelled clips to fit on.

A line of `requests.txt` is a kind of pause, a colon and what is said, with | where the speaker pauses.
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from assistant.audio import INDEX, write_wav
from tts.stream import Speaker, SpeakerConfig
from tts.vocoder import SAMPLE_RATE
from tts.voice import Voice

REQUESTS = Path(__file__).with_name("requests.txt")
VOICE = "heart"
_SENTENCES = "two_sentences"
_COMMA = {"list", "number", "clause", "restart", "thought", "filler"}
"""Kinds of pauses at which a comma is written for the voice; elsewhere in a sentence at half of them."""
_SPEED, _PITCH, _SNR_DB = (0.85, 1.15), (0.85, 1.12), (18.0, 40.0)
_PAUSE_S, _LEAD_S = (0.25, 1.4), (0.3, 0.8)
_SILENT_DB = -45  # against the loudest part
_LEVEL = 0.08  # root mean square of the loudest part
_AFTER_S = 3
_FADE = SAMPLE_RATE // 100

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """What is said, cut where the speaker pauses."""

    kind: str
    parts: tuple[str, ...]


def read_requests(text: str) -> list[Request]:
    """The requests of the lines of `text`."""
    lines = [line.partition(":") for line in text.splitlines()]
    return [Request(kind, tuple(part.strip() for part in said.split("|"))) for kind, _, said in lines]


def write_corpus(folder: Path, requests: Sequence[Request], seed: int) -> None:
    """Speak each of `requests` into `folder`, with an index of labels; the same for a `seed`."""
    silent = SpeakerConfig(voice=VOICE, sentence_pause_ms=0, comma_pause_ms=0, other_pause_ms=0, lead_ms=0)
    speaker, rng = Speaker(Voice(VOICE), silent), np.random.default_rng(seed)
    index = []
    for number, request in enumerate(requests):
        comma = request.kind in _COMMA or (request.kind != _SENTENCES and rng.random() < 0.5)
        phrase, parts = _speak(request, ", " if comma else " ", speaker, rng)
        audio, speech = _with_pauses(parts, rng)
        file = f"{number:03}.flac"
        write_wav(folder / file, _in_noise(audio, parts, rng).astype(np.float32), SAMPLE_RATE)
        index.append(
            {
                "file": file,
                "text": phrase,
                "voice": VOICE,
                "sample_rate": SAMPLE_RATE,
                "speech_start_sample": speech[0][0],
                "speech_end_sample": speech[-1][1],
                "pauses": [[end, start] for (_, end), (start, _) in pairwise(speech)],
                "pause_kinds": [request.kind] * (len(speech) - 1),
            }
        )
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _speak(
    request: Request, joiner: str, speaker: Speaker, rng: np.random.Generator
) -> tuple[str, list[Array]]:
    """The phrase, and each part [n] as it sounds in it, without the silence around."""
    phrase = joiner.join(request.parts)
    ends = [end - len(joiner) for end in accumulate(len(part) + len(joiner) for part in request.parts)]
    pieces: list[list[NDArray[np.float32]]] = [[] for _ in request.parts]
    said = 0
    for chunk in speaker.speak(phrase, speed=rng.uniform(*_SPEED)):
        pieces[bisect_right(ends[:-1], said)].append(chunk.audio)
        said += len(chunk.text)
    lowered = SAMPLE_RATE * rng.uniform(*_PITCH)
    parts = [soxr.resample(np.concatenate(piece, dtype=np.float64), lowered, SAMPLE_RATE) for piece in pieces]
    least = max(map(_rms, parts)) * 10 ** (_SILENT_DB / 20)
    return phrase, [_trimmed(part, least) for part in parts]


def _trimmed(audio: Array, least: float) -> Array:
    """`audio` [n] from the first to the last 10 ms that are not below `least`, faded out."""
    loud = [at for at in range(0, len(audio), _FADE) if _rms(audio[at : at + _FADE]) > least]
    heard = audio[loud[0] : loud[-1] + _FADE].copy()
    fade = min(len(heard) // 4, _FADE)
    heard[len(heard) - fade :] *= np.linspace(1, 0, fade)
    return heard


def _with_pauses(parts: Sequence[Array], rng: np.random.Generator) -> tuple[Array, list[tuple[int, int]]]:
    """The parts with silence before, between and after them, [n], and where each begins and ends."""
    shortest, longest = np.log(_PAUSE_S)
    lengths = [rng.uniform(*_LEAD_S), *np.exp(rng.uniform(shortest, longest, len(parts) - 1))]
    audio = np.zeros(0)
    speech: list[tuple[int, int]] = []
    for seconds, part in zip(lengths, parts, strict=True):
        start = len(audio) + int(seconds * SAMPLE_RATE)
        audio = np.concatenate([audio, np.zeros(start - len(audio)), part])
        speech.append((start, len(audio)))
    return np.concatenate([audio, np.zeros(_AFTER_S * SAMPLE_RATE)]), speech


def _in_noise(audio: Array, parts: Sequence[Array], rng: np.random.Generator) -> Array:
    """`audio` [n] at one level, with pink noise."""
    spectrum = np.fft.rfft(rng.normal(size=len(audio)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(audio))
    noise = pink / _rms(pink) * 10 ** (-rng.uniform(*_SNR_DB) / 20)
    return _LEVEL * (audio / max(map(_rms, parts)) + noise)


def _rms(audio: Array) -> float:
    return float(np.sqrt(np.mean(audio**2)))
