"""Decoding steps of one sequence in one kernel: what it needs, what it moves, and its launcher.

A step of SmolLM2-135M is 121 products that need each other. Between kernels, even in a CUDA graph, each costs
a launch; between the phases of one kernel, a barrier. Here programs hand each other single words
(`words_triton.py`), so that a phase begins as soon as its input is there.
"""

import os
from typing import Any

import torch
from torch import Tensor

from kernels.llama_gpu import PAGE, PagedCache, Shape, Weights

try:
    from kernels import llama_persistent_triton, words_triton
except ImportError:  # triton is optional: without it there is no such kernel
    llama_persistent_triton = words_triton = None  # type: ignore[assignment]

COPIES = 4
"""Of each word, for a part of the programs each: where all read one, they wait in line."""

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
        self._device = device
        self._weights, self._cache, self._warps = weights, cache, warps
        self.constants = _constants(weights, cache, programs or _programs(device), warps)
        grid = self.constants["GRID"]
        s = weights.shape
        words = 2 * (s.qkv_rows + s.kv_heads * s.width + s.hidden + s.width) + 4 * grid
        self._words = torch.zeros(_copies(s) * words, dtype=torch.int64, device=device)
        # Next token, its position, the tag of the next layer's words, the slot.
        self.state = torch.tensor([0, 0, 1, 0], dtype=torch.int32, device=device)
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
        _check(tokens, logits, seen, self._weights, self._device)
        if seen is not None:
            self._penalty.fill_(penalty)
        options = {} if _interpreted() else {"num_warps": self._warps, "launch_cooperative_grid": True}
        llama_persistent_triton.decode[(self.constants["GRID"],)](
            *self.arguments(tokens, logits, seen), **self.constants, INTERPRET=_interpreted(), **options
        )

    def arguments(self, tokens: Tensor, logits: Tensor | None, seen: Tensor | None) -> list[Any]:
        """What the kernel takes before its constants, in order."""
        w, c = self._weights, self._cache
        return [
            *_parts(w.embedding), w.attn_norm, *_parts(w.qkv), w.qkv_bias, *_parts(w.out), w.ffn_norm,
            *_parts(w.gate_up), *_parts(w.down), w.output_norm, *_parts(w.head), w.cos, w.sin,
            c.keys, c.values, c.scales, c.table, self.state, self._words, tokens, logits, seen,
            self._penalty, len(tokens),
        ]  # fmt: skip


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _parts(weights: Any) -> tuple[Tensor, Tensor, Tensor | None]:  # noqa: ANN401
    return weights.codes.view(torch.int32), weights.scales, weights.minima  # four or eight codes a word


def _programs(device: torch.device) -> int:
    """One for each multiprocessor, or, in the interpreter, where they run in turn, a single one."""
    if _interpreted():
        return 1
    return min(128, torch.cuda.get_device_properties(device).multi_processor_count)


def _constants(w: Weights, cache: PagedCache, grid: int, warps: int) -> dict[str, Any]:
    s = w.shape
    parts = max(1, min(s.width, grid // s.kv_heads))
    rows = {
        "QKV": -(-s.qkv_rows // grid) if grid > 1 else 16,
        "OUT": -(-s.width // parts) if grid > 1 else 16,
        "UP": -(-s.hidden // grid) if grid > 1 else 16,
        "DOWN": -(-s.width // grid) if grid > 1 else 16,
    }
    if grid == 1:
        parts = -(-s.width // rows["OUT"])
    return {
        "LAYERS": s.layers, "WIDTH": s.width, "PADDED": _power(s.width), "HEADS": s.heads,
        "KV_HEADS": s.kv_heads, "D": s.head_dim,
        "HIDDEN": s.hidden, "HIDDEN_PADDED": _power(s.hidden), "VOCABULARY": s.vocabulary, "EPS": s.norm_eps,
        "PAGES": cache.keys.shape[1], "PAGE": PAGE, "TABLE_ROW": cache.table.shape[1],
        "QKV_BITS": w.qkv.bits, "OUT_BITS": w.out.bits, "GATE_UP_BITS": w.gate_up.bits,
        "DOWN_BITS": w.down.bits, "HEAD_BITS": w.head.bits, "EMBEDDING_BITS": w.embedding.bits,
        **{f"{name}_ROWS": n for name, n in rows.items()},
        **{f"{name}_TILE": _power(n) for name, n in rows.items()},
        "HEAD_ROWS": -(-s.vocabulary // grid), "HEAD_TILE": 32 if grid > 1 else 16, "COPIES": _copies(s),
        "OUT_PARTS": parts, "GROUP_BLOCKS": s.group * s.head_dim // 32,
        "GROUP_PADDED": _power(s.group * s.head_dim // 32),
        "KEYS": 128 if grid > 1 else 32, "GRID": grid, "GRID_PADDED": _power(grid),
        "PACK": _pack(_power(s.width), warps), "HIDDEN_PACK": _pack(_power(s.hidden), warps),
        "QKV_PACK": _pack(16 * s.head_dim, warps),
        "OUT_SPIN": words_triton.spin_sum(s.kv_heads),
        "CHOICE_PACK": _pack(4 * _power(grid), warps),
    }  # fmt: skip


def _copies(shape: Shape) -> int:
    """Of each word: each is written by one of the threads that hold a row's blocks."""
    return min(COPIES, _power(shape.width // 32), _power(shape.group * shape.head_dim // 32))


def _pack(words: int, warps: int) -> int:
    """How many runs of four words a thread waits for at once: all it has of so many, up to four."""
    return max(1, min(4, words // (4 * 32 * warps)))


def _power(n: int) -> int:
    """The power of two at or above n."""
    return 1 << (n - 1).bit_length()


def _check(
    tokens: Tensor, logits: Tensor | None, seen: Tensor | None, weights: Weights, device: torch.device
) -> None:
    vocabulary = weights.shape.vocabulary
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
