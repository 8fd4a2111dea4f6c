"""What is compared: nothing, AEC3 alone, the linear filter alone, and both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.bench.scenes import Placed, Scene
from assistant.microphone.echo.aec import DELAY, FRAME, open_aec
from assistant.microphone.echo.canceller import EchoCanceller

Array = NDArray[np.float32]

_DEVICE_BLOCK = 320


@dataclass(frozen=True)
class Cleaned:
    """A scene after an arm; signals [n], shorter than the scene by what the arm held back at its end."""

    listen: Array
    detect: Array
    busy_s: float
    """Processor time."""


def nothing(scene: Scene) -> tuple[Array, Array]:
    """The microphone itself."""
    return scene.microphone, scene.microphone


def aec3_alone(scene: Scene) -> tuple[Array, Array]:
    """AEC3 for detector and recognizer. It does not follow a drift, and is told it."""
    aec, placed = open_aec(), Placed(scene)
    whole = range(0, len(scene.microphone) // FRAME * FRAME, FRAME)
    frames = [
        aec.process(scene.microphone[at : at + FRAME], placed.read(FRAME, scene.room.drift_ppm))
        for at in whole
    ]
    cleaned = np.concatenate(frames)[DELAY:]
    return cleaned, cleaned


def linear_alone(scene: Scene) -> tuple[Array, Array]:
    """The Kalman filter for both."""
    return _through(EchoCanceller(None, "left out"), scene)


def both(scene: Scene) -> tuple[Array, Array]:
    """The Kalman filter, and AEC3 behind it for the detector."""
    return _through(EchoCanceller(open_aec), scene)


ARMS: dict[str, Callable[[Scene], tuple[Array, Array]]] = {
    "nothing": nothing,
    "AEC3": aec3_alone,
    "linear": linear_alone,
    "linear, AEC3": both,
}


def run_arm(name: str, scene: Scene) -> Cleaned:
    """The scene through an arm."""
    began = time.process_time()
    listen, detect = ARMS[name](scene)
    return Cleaned(listen, detect, time.process_time() - began)


def _through(canceller: EchoCanceller, scene: Scene) -> tuple[Array, Array]:
    placed = Placed(scene)
    pieces = []
    for at in range(0, len(scene.microphone) - _DEVICE_BLOCK + 1, _DEVICE_BLOCK):
        reference = placed.read(_DEVICE_BLOCK, canceller.drift_ppm)
        pieces.append(canceller.push(scene.microphone[at : at + _DEVICE_BLOCK], reference))
    return np.concatenate([p.listen for p in pieces]), np.concatenate([p.detect for p in pieces])


def seconds(scene: Scene) -> float:
    """How long it lasts."""
    return len(scene.microphone) / RATE
