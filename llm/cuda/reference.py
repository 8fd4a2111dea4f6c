"""What the GPU engine is measured by: the same weights, in float32 there, as an engine."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from kernels.formats import PAGE, PagedCache, Shape
from kernels.llama.reference import ReferenceRunner
from llm.cuda.errors import Gpu
from llm.cuda.weights import read_weights, unsupported_reason
from llm.decode.engine import ContextFull
from llm.gguf.config import read_config
from llm.gguf.file import GgufFile


class ReferenceEngine:
    """One sequence in plain torch, with activations, keys and values in float32, on any device.

    Weights are what `llm.cuda.weights` makes of the file: what is rounded there, is so here too.
    """

    def __init__(self, gguf: GgufFile, context: int, device: torch.device) -> None:
        """Read a model.

        Raises GgufError, ValueError for one that cannot be held so, EngineOutOfMemory and CudaBroken.
        """
        model = read_config(gguf)
        if (reason := unsupported_reason(model)) is not None:
            raise ValueError(f"{gguf.path}: {reason}")
        self.context = min(context, model.context)
        self.tokens: list[int] = []
        self._gpu, self._vocabulary = Gpu(device), model.vocabulary
        weights = self._gpu.run(
            "weights of the reference", partial(read_weights, gguf, model, self.context, device)
        )
        cache = self._gpu.run(
            "keys and values of the reference", partial(_cache, weights.shape, self.context, device)
        )
        self._runner = ReferenceRunner(weights, cache)

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine. Raises EngineOutOfMemory, having changed nothing, and CudaBroken."""
        held = len(self.tokens)
        if held + len(tokens) > self.context:
            raise ContextFull(held + len(tokens), self.context)
        if not tokens:
            return np.empty((0, self._vocabulary), np.float32)
        ids = np.asarray(tokens, np.int64)
        logits: NDArray[np.float32] = self._gpu.run(
            f"a pass of the reference over {len(tokens)} tokens",
            lambda: self._runner.prefill(0, held, ids, logits_for).cpu().numpy(),
        )
        self.tokens.extend(tokens)
        return logits

    def truncate(self, length: int) -> None:
        """See Engine."""
        del self.tokens[length:]

    def shift(self, start: int, stop: int) -> None:
        """See Engine; what lay behind is read again, as if what goes had never been there."""
        behind = self.tokens[stop:]
        self.truncate(start)
        if behind:
            self.extend(behind, 0)


def _cache(shape: Shape, context: int, device: torch.device) -> PagedCache:
    """Float32 pages of one sequence, in their order."""
    pages = -(-context // PAGE)
    size = (shape.layers, pages, shape.kv_heads, PAGE, shape.head_dim)
    keys, values = (torch.zeros(size, device=device) for _ in range(2))
    return PagedCache(keys, values, torch.arange(pages, dtype=torch.int32, device=device)[None])
