"""Voice activity: Silero VAD v6, one speech probability for every 32 ms of 16 kHz audio."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.onnx import open_session

WINDOW = 512  # samples a window, 32 ms at 16 kHz: the only size the model accepts
_CONTEXT = 64  # samples of the window before, which the model expects in front


def _zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


@dataclass(eq=False)
class VadState:
    """One stream's state between windows; `VadState()` is the start of a stream."""

    recurrent: NDArray[np.float32] = field(default_factory=lambda: _zeros(2, 1, 128))  # [2, 1, 128]
    context: NDArray[np.float32] = field(default_factory=lambda: _zeros(_CONTEXT))  # [64], the last samples


class Vad:
    """Speech probability of consecutive windows; one loaded model serves many streams."""

    def __init__(self, model: Path) -> None:
        self._session = open_session(model, threads=1)
        self._rate = np.array(RATE, np.int64)
        self.reset()

    def probabilities(
        self, windows: Sequence[NDArray[np.float32]], states: Sequence[VadState]
    ) -> list[float]:
        """Probability in [0, 1] that each window ([512] at 16 kHz) holds speech, all in one batch.

        `states[i]` is the stream of `windows[i]` and is advanced in place; a stream appears once in a batch.
        """
        if not len({id(state) for state in states}) == len(states) == len(windows):
            raise ValueError(f"{len(windows)} windows need as many different states")
        for window in windows:
            if window.shape != (WINDOW,):
                raise ValueError(f"a VAD window has {WINDOW} samples, not {window.shape}")
        if not windows:
            return []
        pairs = list(zip(states, windows, strict=True))
        samples = np.stack([np.concatenate([state.context, window]) for state, window in pairs])  # [n, 576]
        recurrent = np.concatenate([state.recurrent for state in states], axis=1)  # [2, n, 128]
        feeds = {"input": samples, "state": recurrent, "sr": self._rate}
        speech, recurrent = self._session.run(None, feeds)  # [n, 1], [2, n, 128]
        for row, (state, window) in enumerate(pairs):
            state.recurrent = recurrent[:, row : row + 1].copy()  # a view would keep the whole batch alive
            state.context = window[-_CONTEXT:].copy()  # the caller may use its buffer again
        return [float(p) for p in speech[:, 0]]

    def reset(self) -> None:
        """Forget the stream of `probability`: its next window is the first of another one."""
        self._own = VadState()

    def probability(self, window: NDArray[np.float32]) -> float:
        """Probability that the next `window` of this object's own stream holds speech."""
        return self.probabilities([window], [self._own])[0]
