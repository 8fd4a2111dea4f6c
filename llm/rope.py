"""Rotary position embedding (Su et al. 2021): how fast each pair of channels turns."""

import numpy as np
from numpy.typing import NDArray

from llm.config import LlamaConfig
from llm.gguf import GgufFile

_FACTORS = "rope_freqs.weight"


def rope_frequencies(gguf: GgufFile, config: LlamaConfig) -> NDArray[np.float64]:
    """Radians a position, [head dim / 2]; Llama 3 files divide them by a tensor of their own."""
    frequencies = config.rope_base ** -(np.arange(0, config.head_dim, 2) / config.head_dim)
    if _FACTORS not in gguf.tensors:
        return frequencies
    scaled: NDArray[np.float64] = frequencies / gguf.tensor(_FACTORS)
    return scaled
