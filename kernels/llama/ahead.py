"""Decoding steps of some sequences: each reads the tokens that the last chose, without asking the host.

A step is the graph of `llama_graph.py` for as many rows, with the choice of tokens and the counting up of
positions behind it: what is computed is the same to the bit. Steps follow each other on the device; the host
only says how many.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.attention import few as few_attention
from kernels.formats.llama import PagedCache, Rows, Weights
from kernels.formats.packed import FEW
from kernels.llama.graph import capture
from kernels.llama.passes import Inputs, make_buffers, run_pass
from kernels.llama.staging import Upload
from kernels.products import few_rows
from kernels.sampling.choose import choose, greedy

try:
    from kernels.llama import ahead_triton as llama_ahead_triton
except ImportError:  # triton is optional: without it no sequence decodes ahead
    llama_ahead_triton = None  # type: ignore[assignment]

MAX_STEPS = 1024
"""Of a run."""

_ALIGNED = 4  # words, 16 bytes: Triton compiles a kernel again for pointers that are less aligned


def why_not(weights: Weights, device: torch.device) -> str | None:
    """Why nothing decodes ahead there, or None."""
    if llama_ahead_triton is None:
        return "triton is not installed: pip install 'assistant[gpu]'"
    if device.type != "cuda" and not _interpreted():
        return f"it needs a CUDA GPU, not {device}"
    return few_rows.why_not(weights.shape, device)


@dataclass(frozen=True)
class Start:
    """Where a sequence goes on, and how its tokens are chosen; see `kernels.sampling.choose.Choice`."""

    slot: int
    token: int
    position: int
    penalty: float = 1.0
    temperature: float = 0.0
    min_p: float = 0.0
    seed: int = 0
    step: int = 0


class AheadDecoder:
    """Runs steps of sequences of different slots, over a cache whose table and pages the caller keeps."""

    seen: Tensor
    """uint8 [slots + 1, vocabulary]: 1 for a token that is penalised in that slot; the last is padding's.
    The caller writes it, and tokens that are chosen are marked."""

    def __init__(self, weights: Weights, cache: PagedCache, *, rows: int = 1) -> None:
        """For up to `rows` sequences at a time, a power of 2.

        Raises ValueError for a model or device for which `why_not` has a reason.
        """
        device = cache.keys.device
        if reason := why_not(weights, device):
            raise ValueError(f"nothing decodes ahead: {reason}")
        if rows & (rows - 1) or not 1 <= rows <= FEW:
            raise ValueError(f"{rows} rows: must be a power of 2 up to {FEW}")
        self._weights, self._cache, self._device, self._rows = weights, cache, device, rows
        self._buffers = make_buffers(weights, cache, rows=rows, decoded=rows, wanted=rows, device=device)
        self._padding = len(cache.table)  # among `seen`
        self.seen = torch.zeros(self._padding + 1, weights.shape.vocabulary, dtype=torch.uint8, device=device)
        self._next, self._step = (torch.zeros(n, dtype=torch.int32, device=device) for n in (rows, 1))
        self._chosen = torch.zeros(MAX_STEPS, rows, dtype=torch.int32, device=device)
        self._places = _Places(rows)
        self._inputs = torch.zeros(self._places.size, dtype=torch.int32, device=device)
        self._upload, at = Upload(self._inputs), self._places.of(self._inputs)
        self._at = Rows(at["token"], at["slot"], at["position"])
        self._choice = replace(
            greedy(rows, self.seen),
            slots=at["seen"],
            steps=at["step"],
            penalties=at["penalty"].view(torch.float32),
            temperatures=at["temperature"].view(torch.float32),
            min_ps=at["min_p"].view(torch.float32),
            seeds=at["seed"].view(torch.int64),
        )
        self._begun, self._furthest = 0, 0
        self._graphs: dict[tuple[int, bool], torch.cuda.CUDAGraph] = {}
        for size in (1 << i for i in range(rows.bit_length())) if device.type == "cuda" else ():
            for near in (True, False):
                launch = partial(self._launch, size, near)
                self._graphs[size, near] = capture(launch, device, before=partial(self._fill, ()))

    def begin(self, starts: Sequence[Start]) -> None:
        """Set where up to `rows` sequences go on, of a slot each. Raises ValueError for what does not fit.

        Like a run it is only launched here: it waits for nothing that was launched since it was called last.
        """
        if not 1 <= len(starts) <= self._rows or len({start.slot for start in starts}) < len(starts):
            raise ValueError(f"{len(starts)} sequences: must be 1 to {self._rows}, of a slot each")
        self._fill(starts)
        self._begun, self._furthest = len(starts), max(start.position for start in starts)

    @torch.inference_mode()
    def run(self, tokens: Tensor, *, logits: Tensor | None = None) -> None:
        """Decode steps of all sequences from where `begin` or the last run left off.

        Writes each step's choices into `tokens`, int32 [sequences, steps], and all logits into `logits`,
        float32 [sequences, steps, vocabulary]. A choice is -1 from the first step whose largest logit is not
        finite. Raises ValueError for what does not fit, and more than MAX_STEPS.
        """
        n, steps = _check(tokens, logits, self._begun, self._weights.shape.vocabulary, self._device)
        self._step.zero_()
        size, limit = 1 << (n - 1).bit_length(), few_attention.near(self._weights.shape.head_dim)
        for i in range(steps):
            self._one(size, self._furthest < limit)
            self._furthest += 1
            if logits is not None:
                logits[:, i].copy_(self._buffers.logits[:n])
        tokens.copy_(self._chosen[:steps, :n].T)

    def _one(self, size: int, near: bool) -> None:
        if (size, near) in self._graphs:
            self._graphs[size, near].replay()
        else:
            self._launch(size, near)

    def _fill(self, starts: Sequence[Start]) -> None:
        """Bring what steps read to the device, in one copy; what is not given is padding."""
        padding = [(-1, 0, -1, self._padding, 0, 1.0, 0.0, 0.0, 0)] * (self._rows - len(starts))
        given = [
            (x.token, x.slot, x.position, x.slot, x.step, x.penalty, x.temperature, x.min_p, x.seed)
            for x in starts
        ]
        self._upload.staged()[:] = self._places.filled(given + padding)
        self._upload.send()

    def _launch(self, size: int, near: bool) -> None:
        at = Rows(self._at.tokens[:size], self._at.slots[:size], self._at.positions[:size])
        run_pass(
            self._weights,
            self._cache,
            Inputs(at, self._next[:size], ()),  # of wanted rows only the number counts: they are all
            self._buffers,
            prompt=False,
            every=True,
            near=near,
            choice=self._choice,
        )
        choose(self._buffers.logits[:size], self._choice, out=self._next[:size], advance=True)
        llama_ahead_triton.advance(self._next[:size], at.tokens, at.positions, self._chosen, self._step)


class _Places:
    """Where each thing that steps read of every row lies in one buffer of 32-bit words."""

    _FLOATS = ("penalty", "temperature", "min_p")
    _NAMES = ("token", "slot", "position", "seen", "step", *_FLOATS, "seed")

    def __init__(self, rows: int) -> None:
        self._rows, self._stride = rows, max(rows, _ALIGNED)
        self.size = (len(self._NAMES) + 1) * self._stride  # a seed takes two words

    def of(self, buffer: Tensor) -> dict[str, Tensor]:
        """Each thing's words: int32 [rows], of seeds twice as many."""
        found = {name: buffer[i * self._stride :][: self._rows] for i, name in enumerate(self._NAMES)}
        return found | {"seed": buffer[-2 * self._stride :][: 2 * self._rows]}

    def filled(self, rows: Sequence[tuple[float, ...]]) -> NDArray[np.int32]:
        """The buffer's words: of each row the token, the slot and so on."""
        words = np.zeros((len(self._NAMES) + 1, self._stride), np.int32)
        *columns, seeds = zip(*rows, strict=True)
        for name, to, values in zip(self._NAMES, words, columns, strict=False):
            to.view(np.float32 if name in self._FLOATS else np.int32)[: self._rows] = values
        words[-2:].reshape(-1).view(np.int64)[: self._rows] = seeds
        return words.reshape(-1)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _check(
    tokens: Tensor, logits: Tensor | None, sequences: int, vocabulary: int, device: torch.device
) -> tuple[int, int]:
    """The sequences and the steps."""
    steps = tokens.shape[-1]
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"{steps} steps: must be 1 to {MAX_STEPS}")
    wanted = {
        "tokens": (tokens, torch.int32, (sequences, steps)),
        "logits": (logits, torch.float32, (sequences, steps, vocabulary)),
    }
    for name, (x, dtype, shape) in wanted.items():
        if x is None:
            continue
        if x.dtype != dtype or x.shape != shape or not x.is_contiguous() or x.device != device:
            found = f"{x.dtype} {tuple(x.shape)} on {x.device}"
            raise ValueError(f"{name} is {found}: must be {dtype} {shape}, contiguous, on {device}")
    return sequences, steps
