"""Rotary position embedding (Su et al. 2021): how fast each pair of channels turns."""

import numpy as np
from numpy.typing import NDArray

from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufError, GgufFile

_FACTORS = "rope_freqs.weight"


def rope_frequencies(gguf: GgufFile, config: LlamaConfig) -> NDArray[np.float64]:
    """Radians a position, [head dim / 2]; Llama 3 files divide them by a tensor of their own.

    Raises GgufError for divisors that are not positive and finite.
    """
    frequencies = config.rope_base ** -(np.arange(0, config.head_dim, 2) / config.head_dim)
    if _FACTORS not in gguf.tensors:
        return frequencies
    factors = gguf.tensor(_FACTORS)
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise GgufError(gguf.path, None, f"{_FACTORS!r} is not positive and finite")
    scaled: NDArray[np.float64] = frequencies / factors
    return scaled
