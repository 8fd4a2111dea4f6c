"""Has the speaker finished? Smart Turn v3.2 reads the last eight seconds and gives a probability."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.features import log_mel
from asr.onnx import open_session

WINDOW = 8 * RATE  # samples the model reads; shorter turns are padded in front with silence


class TurnEnd:
    """End-of-turn probability from the sound of the turn so far (BSD-2, Pipecat's Smart Turn)."""

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        self._session = open_session(model, threads=threads)

    def probability(self, turn: NDArray[np.float32]) -> float:
        """Probability in [0, 1] that `turn` ([n] at 16 kHz, its closing silence included) is complete."""
        turn = turn[-WINDOW:]
        padded = np.pad(turn, (WINDOW - len(turn), 0))
        features = log_mel(padded)[None]  # [1, 80, 800]
        (complete,) = self._session.run(None, {"input_features": features})
        return float(complete[0, 0])
