"""Decoding steps of one sequence, each of which reads the token that the last chose, without asking the host.

A step is the graph of `llama_graph.py` for one row, with the choice of a token and the counting up of the
position behind it: what is computed is the same to the bit. Steps follow each other on the device; the host
only says how many.
"""

import os
from functools import partial

import torch
from torch import Tensor

from kernels import few_attention, few_rows
from kernels.choose import choose, greedy
from kernels.llama_gpu import PagedCache, Rows, Weights
from kernels.llama_graph import capture
from kernels.llama_pass import Inputs, make_buffers, run_pass

try:
    from kernels import llama_ahead_triton
except ImportError:  # triton is optional: without it no sequence decodes ahead
    llama_ahead_triton = None  # type: ignore[assignment]

MAX_STEPS = 1024
"""Of a run."""


def why_not(weights: Weights, device: torch.device) -> str | None:
    """Why nothing decodes ahead there, or None."""
    if llama_ahead_triton is None:
        return "triton is not installed: pip install 'assistant[gpu]'"
    if device.type != "cuda" and not _interpreted():
        return f"it needs a CUDA GPU, not {device}"
    return few_rows.why_not(weights.shape, device)


class AheadDecoder:
    """Runs steps of one sequence at a time, over a cache whose table and pages the caller keeps."""

    def __init__(self, weights: Weights, cache: PagedCache) -> None:
        """Raises ValueError for a model or device for which `why_not` has a reason."""
        device = cache.keys.device
        if reason := why_not(weights, device):
            raise ValueError(f"nothing decodes ahead: {reason}")
        self._weights, self._cache, self._device = weights, cache, device
        self._buffers = make_buffers(weights, cache, rows=1, decoded=1, wanted=1, device=device)
        self._token, self._slot, self._position, self._next, self._step = (
            torch.zeros(1, dtype=torch.int32, device=device) for _ in range(5)
        )
        self._chosen = torch.zeros(MAX_STEPS, dtype=torch.int32, device=device)
        seen = torch.zeros(1, weights.shape.vocabulary, dtype=torch.uint8, device=device)
        self._choice = greedy(1, seen)
        self._host_position = 0
        on_gpu = device.type == "cuda"
        self._graphs = {near: self._captured(near) for near in (True, False)} if on_gpu else {}

    def begin(self, slot: int, token: int, position: int) -> None:
        """Set which token comes next, at which position of which sequence."""
        for to, number in ((self._token, token), (self._slot, slot), (self._position, position)):
            to.fill_(number)
        self._host_position = position

    @torch.inference_mode()
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
        chosen are marked. A choice is -1 from the first step whose largest logit is not finite. Raises
        ValueError for what does not fit, and more than MAX_STEPS.
        """
        _check(tokens, logits, seen, self._weights.shape.vocabulary, self._device)
        self._choice.seen.zero_()
        if seen is not None:
            self._choice.seen[0].copy_(seen)
        self._choice.penalties.fill_(penalty if seen is not None else 1.0)
        self._step.zero_()
        for i in range(len(tokens)):
            near = self._host_position < few_attention.near(self._weights.shape.head_dim)
            self._one(near)
            self._host_position += 1
            if logits is not None:
                logits[i].copy_(self._buffers.logits[0])
        tokens.copy_(self._chosen[: len(tokens)])
        if seen is not None:
            seen.copy_(self._choice.seen[0])

    def _one(self, near: bool) -> None:
        if near in self._graphs:
            self._graphs[near].replay()
        else:
            self._launch(near)

    @torch.inference_mode()
    def _captured(self, near: bool) -> torch.cuda.CUDAGraph:
        """The graph of a step. What the launch before it writes is put back: it decodes padding."""
        state = (self._token, self._position, self._step, self._choice.seen, self._choice.steps)
        kept = [x.clone() for x in state]

        def pad() -> None:
            self._token.fill_(-1)
            self._position.fill_(-1)

        graph = capture(partial(self._launch, near), self._device, before=pad)
        for x, value in zip(state, kept, strict=True):
            x.copy_(value)
        return graph

    def _launch(self, near: bool) -> None:
        rows = Rows(self._token, self._slot, self._position)
        run_pass(
            self._weights,
            self._cache,
            Inputs(rows, self._next, ()),  # of wanted rows only the number counts: they are all
            self._buffers,
            prompt=False,
            every=True,
            near=near,
            choice=self._choice,
        )
        choose(self._buffers.logits[:1], self._choice, out=self._next, advance=True)
        llama_ahead_triton.advance(self._next, self._token, self._position, self._chosen, self._step)


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _check(
    tokens: Tensor, logits: Tensor | None, seen: Tensor | None, vocabulary: int, device: torch.device
) -> None:
    if not 1 <= len(tokens) <= MAX_STEPS:
        raise ValueError(f"{len(tokens)} steps: must be 1 to {MAX_STEPS}")
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
