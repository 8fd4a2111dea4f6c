"""Multi-step decoding: each step of some sequences reads the tokens that the last sampled, without the host.

A step is the graph of `graph.py` for as many rows, with sampling and the counting up of positions behind it:
what is computed is the same to the bit. Steps follow each other on the device; the host only says how many.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.attention.small_batch import single_split_keys
from kernels.checks import check_tensor
from kernels.device import TRITON
from kernels.device import unsupported_reason as device_reason
from kernels.formats.fragments import SMALL_BATCH
from kernels.formats.llama import PagedCache, Rows, Weights
from kernels.llama import supported
from kernels.llama.graph import capture
from kernels.llama.passes import Inputs, make_buffers, run_pass
from kernels.llama.staging import Upload
from kernels.sampling.sample import sample
from kernels.sampling.state import greedy

if TRITON:
    from kernels.llama import multi_step_triton

MAX_STEPS = 1024
"""Steps of a run, at most."""

_ALIGNED = 4  # words, 16 bytes: Triton compiles a kernel again for pointers that are less aligned


def unsupported_reason(weights: Weights, device: torch.device) -> str | None:
    """Why a model cannot decode several steps on the device; None if it can."""
    return device_reason(device, torch.float16) or supported.unsupported_reason(weights.shape, device)


@dataclass(frozen=True)
class Start:
    """Where a sequence goes on, and how its tokens are chosen; see `kernels.sampling.state`."""

    slot: int
    token: int
    position: int
    penalty: float = 1.0
    temperature: float = 0.0
    min_p: float = 0.0
    seed: int = 0
    step: int = 0


class MultiStepDecoder:
    """Runs steps of sequences of different slots, over a cache whose table and pages the caller keeps."""

    seen: Tensor
    """uint8 [slots + 1, vocabulary]: 1 for a token that is penalised in that slot; the last is padding's.
    The caller writes it, and tokens that are chosen are marked."""

    def __init__(self, weights: Weights, cache: PagedCache, *, rows: int = 1) -> None:
        """For up to `rows` sequences at a time, a power of 2.

        Raises ValueError for a model or device for which `unsupported_reason` has a reason.
        """
        device = cache.keys.device
        if reason := unsupported_reason(weights, device):
            raise ValueError(f"no multi-step decoding: {reason}")
        if rows & (rows - 1) or not 1 <= rows <= SMALL_BATCH:
            raise ValueError(f"{rows} rows: must be a power of 2 up to {SMALL_BATCH}")
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
        self._sampling = replace(
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
            for single in (True, False):
                launch = partial(self._launch, size, single)
                self._graphs[size, single] = capture(launch, device, before=partial(self._fill, ()))

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
        float32 [sequences, steps, vocabulary]. A token is -1 from the first step whose largest logit is not
        finite. Raises ValueError for what does not fit, and more than MAX_STEPS.
        """
        n, steps = _check(tokens, logits, self._begun, self._weights.shape.vocabulary, self._device)
        self._step.zero_()
        size, limit = 1 << (n - 1).bit_length(), single_split_keys(self._weights.shape.head_dim)
        for i in range(steps):
            self._one(size, self._furthest < limit)
            self._furthest += 1
            if logits is not None:
                logits[:, i].copy_(self._buffers.logits[:n])
        tokens.copy_(self._chosen[:steps, :n].T)

    def _one(self, size: int, single: bool) -> None:
        if (size, single) in self._graphs:
            self._graphs[size, single].replay()
        else:
            self._launch(size, single)

    def _fill(self, starts: Sequence[Start]) -> None:
        """Bring what steps read to the device, in one copy; what is not given is padding."""
        padding = [(-1, 0, -1, self._padding, 0, 1.0, 0.0, 0.0, 0)] * (self._rows - len(starts))
        given = [
            (x.token, x.slot, x.position, x.slot, x.step, x.penalty, x.temperature, x.min_p, x.seed)
            for x in starts
        ]
        self._upload.staged()[:] = self._places.filled(given + padding)
        self._upload.send()

    def _launch(self, size: int, single: bool) -> None:
        at = Rows(self._at.tokens[:size], self._at.slots[:size], self._at.positions[:size])
        run_pass(
            self._weights,
            self._cache,
            Inputs(at, self._next[:size], ()),  # of wanted rows only the number counts: they are all
            self._buffers,
            prompt=False,
            every=True,
            single_split=single,
            sampling=self._sampling,
        )
        sample(self._buffers.logits[:size], self._sampling, out=self._next[:size], advance=True)
        multi_step_triton.advance(self._next[:size], at.tokens, at.positions, self._chosen, self._step)


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


def _check(
    tokens: Tensor, logits: Tensor | None, sequences: int, vocabulary: int, device: torch.device
) -> tuple[int, int]:
    """The sequences and the steps."""
    steps = tokens.shape[-1]
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"{steps} steps: must be 1 to {MAX_STEPS}")
    check_tensor("tokens", tokens, torch.int32, (sequences, steps), device)
    if logits is not None:
        check_tensor("logits", logits, torch.float32, (sequences, steps, vocabulary), device)
    return sequences, steps
