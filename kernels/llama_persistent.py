"""Decoding steps of one sequence in one kernel: what it needs, what it moves, and its launcher.

A step of SmolLM2-135M is 121 products that need each other. Between kernels, even in a CUDA graph, each costs
a launch; between the phases of one kernel, a barrier. Here programs hand each other single words
(`words_triton.py`), so that a phase begins as soon as its input is there.
"""

import os
from typing import Any

import torch
from torch import Tensor

from kernels.llama_gpu import PagedCache, Weights
from kernels.persistent_arguments import cache_pointers, sizes, weight_pointers

try:
    from kernels import llama_persistent_triton
except ImportError:  # triton is optional: without it there is no such kernel
    llama_persistent_triton = None  # type: ignore[assignment]

MAX_WIDTH = 2048
"""Each program keeps the whole stream in its registers."""


def why_not(weights: Weights, device: torch.device) -> str | None:
    """Why the kernel cannot run this model there, or None."""
    if llama_persistent_triton is None:
        return "triton is not installed: pip install 'assistant[gpu]'"
    shape = weights.shape
    if shape.width > MAX_WIDTH:
        return f"a width of {shape.width} is above {MAX_WIDTH}"
    if shape.group > 14:
        return f"{shape.group} query heads share a key head, above 14"
    if shape.head_dim & (shape.head_dim - 1) or shape.head_dim < 32:
        return f"a head of {shape.head_dim} is not a power of two above 16"
    if weights.q_norm is not None:
        return "the model norms each head of q and k"
    if _interpreted():
        return None
    if device.type != "cuda":
        return f"it needs a CUDA GPU, not {device}"
    if torch.cuda.get_device_capability(device) < (9, 0):
        return "the GPU is older than compute capability 9.0"
    return None


def bytes_moved(weights: Weights, position: int) -> int:
    """The fewest a step can move: all weights, and the keys and values up to `position`."""
    s = weights.shape
    return weights.token_bytes + 2 * s.layers * s.kv_heads * s.head_dim * (position + 1)


class PersistentDecoder:
    """Runs steps of one sequence at a time. Holds the words that programs exchange."""

    def __init__(
        self, weights: Weights, cache: PagedCache, *, programs: int | None = None, warps: int = 8
    ) -> None:
        """Raises ValueError for a model or device for which `why_not` has a reason."""
        device = cache.keys.device
        if reason := why_not(weights, device):
            raise ValueError(f"the persistent kernel cannot run: {reason}")
        self._device, self._warps = device, warps
        self.sizes = sizes(weights, cache, programs or _programs(device))
        # Next token, its position, the tag of the next layer's words, the slot.
        self.state = torch.tensor([0, 0, 1, 0], dtype=torch.int32, device=device)
        words = torch.zeros(self.sizes.copies * self.sizes.copy_words, dtype=torch.int64, device=device)
        self._given = (weight_pointers(weights), cache_pointers(cache), self.state, words)
        self._penalty = torch.ones(1, device=device)

    def begin(self, slot: int, token: int, position: int) -> None:
        """Set which token comes next, at which position of which sequence."""
        self.state[[0, 1, 3]] = torch.tensor([token, position, slot], dtype=torch.int32).to(self._device)

    def run(
        self,
        tokens: Tensor,
        *,
        logits: Tensor | None = None,
        seen: Tensor | None = None,
        penalty: float = 1.0,
    ) -> None:
        """Decode len(tokens) steps from where `begin` or the last run left off, greedily.

        Writes each step's choice into `tokens`, int32 [steps], and all logits into `logits`, float32 [steps,
        vocabulary]. Tokens marked in `seen`, int8 [vocabulary], are penalized as `llm.sample` does, and those
        chosen are marked. A choice is -1 from the first step whose largest logit is not finite.
        """
        _check(tokens, logits, seen, self.sizes.shape.vocabulary, self._device)
        if seen is not None:
            self._penalty.fill_(penalty)
        options = {} if _interpreted() else {"num_warps": self._warps, "launch_cooperative_grid": True}
        launch = llama_persistent_triton.decode[(self.sizes.programs,)]
        launch(*self.arguments(tokens, logits, seen), **options)

    def arguments(self, tokens: Tensor, logits: Tensor | None, seen: Tensor | None) -> tuple[Any, ...]:
        """What the kernel takes, in order."""
        return (*self._given, tokens, logits, seen, self._penalty, len(tokens), self.sizes)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _programs(device: torch.device) -> int:
    """One for each multiprocessor, or, in the interpreter, where they run in turn, a single one.

    Not more than 128: 132 are no faster.
    """
    if _interpreted():
        return 1
    return min(128, torch.cuda.get_device_properties(device).multi_processor_count)


def _check(
    tokens: Tensor, logits: Tensor | None, seen: Tensor | None, vocabulary: int, device: torch.device
) -> None:
    wanted = {
        "tokens": (tokens, torch.int32, (len(tokens),)),
        "logits": (logits, torch.float32, (len(tokens), vocabulary)),
        "seen": (seen, torch.int8, (vocabulary,)),
    }
    for name, (x, dtype, shape) in wanted.items():
        if x is None:
            continue
        if x.dtype != dtype or x.shape != shape or not x.is_contiguous() or x.device != device:
            found = f"{x.dtype} {tuple(x.shape)} on {x.device}"
            raise ValueError(f"{name} is {found}: must be {dtype} {shape}, contiguous, on {device}")
