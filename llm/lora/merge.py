"""An adapter merged into the weights that it changes: W + B A, in float32."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from llm.gguf.file import GgufFile
from llm.lora.adapter import Adapter, LowRank


def merge(base: GgufFile, adapter: Adapter) -> GgufFile:
    """The model with `adapter` in its weights; what it changes is float32, and computed when it is read."""
    changed = {name: partial(_merged, base, name, pair) for name, pair in adapter.pairs.items()}
    return base.replaced(changed, adapter.sha256)


def _merged(base: GgufFile, name: str, pair: LowRank) -> NDArray[np.float32]:
    return base.tensor(name) + pair.delta
