"""WebRTC's echo canceller, AEC3, through the optional package pywebrtc-audio (extra `mic`)."""

import importlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE

Array = NDArray[np.float32]

FRAME = 160
"""Samples a frame, 10 ms: the package pads any other number with silence."""
DELAY = 128
"""Samples by which what comes out is behind what went in: measured, and held by test_aec.py."""
MISSING = "the echo canceller is not installed: pip install -e '.[mic]'"


class Canceller(Protocol):
    """What takes the echo of one signal out of another."""

    def process(self, near: Array, far: Array) -> Array:
        """The near end [160] of DELAY samples ago without the echo of the far end [160]."""


def unsupported_reason() -> str | None:
    """Why there is no AEC3 here, with the remedy; None if there is."""
    try:
        importlib.import_module("pywebrtc_audio")
    except ImportError as error:
        return MISSING if isinstance(error, ModuleNotFoundError) else f"pywebrtc-audio: {error}"
    return None


def open_aec() -> Canceller:
    """A canceller at 16 kHz; raises ImportError where `unsupported_reason` says why there is none."""
    canceller: Canceller = importlib.import_module("pywebrtc_audio").EchoCanceller(sample_rate=RATE)
    return canceller
