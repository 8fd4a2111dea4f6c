"""The same recording as it would sound in noise, from across a room, and over a telephone.

Degradations draw their random numbers from the clip's name, so that they are the same in every run. None
moves the words in time: the times of the clean recording hold.
"""

from typing import Literal, get_args

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from asr.audio import RATE
from asr.eval.nonspeech import Audio, babble, pink_noise, seeded

Condition = Literal["clean", "noisy", "far", "telephone"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

SNR_DB = 10
RT60_S = 0.5
DIRECT_TO_REVERBERANT_DB = -9.4
"""At 3 m in a room of 80 m3 with RT60_S: 20 log10(r/3), r = 0.057 sqrt(Q V / RT60) the critical distance
(Kuttruff, Room Acoustics), Q = 2 as someone talks who faces the microphone."""
_TELEPHONE_RATE = 8000  # Hz
_FIRST_ECHO_S = 0.0025  # what comes before is counted as direct sound (Eaton et al. 2016, the ACE challenge)
_FRAME = RATE // 50
_ACTIVE_DB = 30  # frames this far below the loudest still hold speech; a pause's noise is further down


def degrade(audio: Audio, condition: Condition, name: str) -> Audio:
    """`audio` ([n] at 16 kHz) under `condition`, of the same length; `name` seeds the random numbers."""
    rng = seeded(f"{condition}: {name}")
    match condition:
        case "clean":
            return audio
        case "noisy":
            return _noisy(audio, rng)
        case "far":
            return _far(audio, rng)
        case "telephone":
            narrow = soxr.resample(audio, RATE, _TELEPHONE_RATE)
            return _fit(soxr.resample(narrow, _TELEPHONE_RATE, RATE), len(audio))


def active_power(audio: Audio) -> float:
    """The mean square of the frames of 20 ms that hold speech: silence around it must not change an SNR."""
    frames = np.array_split(audio.astype(np.float64), max(1, len(audio) // _FRAME))
    power = np.array([np.mean(frame**2) for frame in frames])
    return float(power[power >= power.max() * 10 ** (-_ACTIVE_DB / 10)].mean())


def room_response(rng: np.random.Generator) -> NDArray[np.float64]:
    """The impulse response of a room, [RT60_S at 16 kHz]: a direct sound at sample 0, then diffuse echoes.

    Echoes are noise that falls by 60 dB in RT60_S (Polack 1988).
    """
    time = np.arange(int(RT60_S * RATE)) / RATE
    echoes = rng.standard_normal(len(time)) * 10 ** (-3 * time / RT60_S) * (time >= _FIRST_ECHO_S)
    echoes *= np.sqrt(10 ** (-DIRECT_TO_REVERBERANT_DB / 10) / np.sum(echoes**2))
    echoes[0] = 1
    return echoes


def _noisy(audio: Audio, rng: np.random.Generator) -> Audio:
    """Pink noise and babble, half the power each, SNR_DB below the speech."""
    noise = pink_noise(len(audio), rng) + babble(len(audio), rng)
    scale = np.sqrt(active_power(audio) * 10 ** (-SNR_DB / 10) / np.mean(np.square(noise)))
    return audio + noise * np.float32(scale)


def _far(audio: Audio, rng: np.random.Generator) -> Audio:
    """Reverberant, and as loud as before: a microphone's gain is set to what it hears."""
    wet: Audio = fftconvolve(audio, room_response(rng))[: len(audio)].astype(np.float32)
    power = active_power(wet)
    return wet * np.float32(np.sqrt(active_power(audio) / power)) if power else wet


def _fit(audio: Audio, samples: int) -> Audio:
    return np.pad(audio[:samples], (0, max(0, samples - len(audio))))
