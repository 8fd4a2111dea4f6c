"""Voice activity: Silero VAD v6, one speech probability for every 32 ms of 16 kHz audio."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.onnx import open_session

WINDOW = 512  # samples a window, 32 ms at 16 kHz: the only size the model accepts
_CONTEXT = 64  # samples of the window before, which the model expects in front


class Vad:
    """Speech probability of consecutive windows; carries the recurrent state of one stream."""

    def __init__(self, model: Path) -> None:
        self._session = open_session(model, threads=1)
        self._rate = np.array(16000, np.int64)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next window is the first of another one."""
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def probability(self, window: NDArray[np.float32]) -> float:
        """Probability in [0, 1] that `window` ([512] at 16 kHz) holds speech."""
        if window.shape != (WINDOW,):
            raise ValueError(f"a VAD window has {WINDOW} samples, not {window.shape}")
        samples = np.concatenate([self._context, window])[None]  # [1, 576]
        feeds = {"input": samples, "state": self._state, "sr": self._rate}
        speech, self._state = self._session.run(None, feeds)
        self._context = window[-_CONTEXT:].copy()  # the caller may use its buffer again
        return float(speech[0, 0])
