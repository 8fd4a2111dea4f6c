"""Passes of a model as CUDA graphs: one for each number of rows, rounded up, captured when first used."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.attention.small_batch import single_split_keys
from kernels.formats.llama import PagedCache, Rows, Weights
from kernels.llama.passes import Inputs, make_buffers, run_pass
from kernels.llama.staging import Upload

Ints = NDArray[np.integer]

MAX_ROWS = 64
"""Rows of any sequences, in a pass."""

MAX_PROMPT = 512
"""Tokens of a prompt, in a pass."""

MAX_WANTED = 64
"""Rows of a pass whose logits are kept."""

AS_ROWS = 16
"""Tokens of a prompt that are read as rows, each by itself: those are the same to the bit however they are
cut. Beyond, a prompt's own kernels are faster."""


@dataclass(frozen=True)
class Form:
    """What is fixed in a graph."""

    rows: int  # a power of 2
    wanted: int  # 0, or a power of 2
    prompt: bool = False
    every: bool = False  # wanted are all rows, in their order
    single_split: bool = False  # of a small batch: no row has more than `single_split_keys`


@dataclass(frozen=True)
class Given:
    """What a pass reads, on the host; less than its form has room for."""

    tokens: Ints
    slots: Ints
    positions: Ints
    wanted: Ints
    prompt: tuple[int, int, int] = (0, 0, 0)  # slot, first position, tokens


_NONE = np.zeros(0, np.int32)
_PADDING = Given(_NONE, _NONE, _NONE, _NONE)
_ALIGNED = 4  # integers, 16 bytes: Triton compiles a kernel again for pointers that are less aligned


class GraphRunner:
    """Runs passes over a cache whose table and pages the caller keeps. Not for two threads at a time.

    The logits it returns are on the device, and valid until the next call. Without a GPU the same launches
    run one by one.
    """

    def __init__(self, weights: Weights, cache: PagedCache, device: torch.device) -> None:
        self._weights, self._cache, self._device = weights, cache, device
        self._on_gpu = device.type == "cuda"
        self._buffers = make_buffers(
            weights, cache, rows=MAX_PROMPT, decoded=MAX_ROWS, wanted=MAX_WANTED, device=device
        )
        size = 3 * MAX_PROMPT + MAX_WANTED + 3 * _ALIGNED
        self._inputs = torch.empty(size, dtype=torch.int32, device=device)
        self._upload = Upload(self._inputs)
        self._graphs: dict[Form, torch.cuda.CUDAGraph] = {}

    @torch.inference_mode()
    def decode(self, tokens: Ints, slots: Ints, positions: Ints, wanted: Ints) -> Tensor:
        """Read up to MAX_ROWS tokens, each of a slot and at a position of it; all are integers [M].

        Of one slot there may be several rows, in ascending order of positions. Returns float32 logits
        [len(wanted), vocabulary] of what follows those rows. A row with position -1 is padding. Raises
        ValueError for what does not fit.
        """
        if not 1 <= len(tokens) <= MAX_ROWS:
            raise ValueError(f"{len(tokens)} rows: must be 1 to {MAX_ROWS}")
        rows = _power_of_2(len(tokens))
        every = wanted.tolist() == list(range(len(tokens)))
        single = max(positions.tolist()) < single_split_keys(self._weights.shape.head_dim)
        form = Form(rows, rows if every else _power_of_2(len(wanted)), every=every, single_split=single)
        return self._run(form, Given(tokens, slots, positions, wanted))

    @torch.inference_mode()
    def prefill(self, slot: int, start: int, tokens: Ints, logits_for: int) -> Tensor:
        """Read any number of tokens of a slot from position `start` on.

        Returns float32 logits [logits_for, vocabulary] of the last of them. Raises ValueError for what does
        not fit.
        """
        if not 0 <= logits_for <= len(tokens) or not len(tokens):
            raise ValueError(f"logits of {logits_for} of {len(tokens)} tokens")
        first_wanted, end, pieces = len(tokens) - logits_for, 0, []
        while end < len(tokens):
            at, end = end, min(end + MAX_PROMPT, len(tokens))
            if end - max(at, first_wanted) > MAX_WANTED:
                end = at + MAX_WANTED
            wanted = np.arange(max(first_wanted - at, 0), end - at)
            found = self._read(slot, start + at, tokens[at:end], wanted)
            pieces.append(found if end == len(tokens) else found.clone())
        return torch.cat(pieces) if len(pieces) > 1 else pieces[0]

    def prepare(self, *, rows: int = AS_ROWS, prompt: int = MAX_PROMPT) -> None:
        """Capture, and so compile, the usual passes before they are needed: up to so many rows and tokens.

        Does nothing without a GPU.
        """
        sizes = [1 << i for i in range(_power_of_2(rows).bit_length())]
        prompts = [size for size in (64, 128, 256, 512) if size <= prompt]
        forms = [
            Form(size, size, every=True, single_split=single) for size in sizes for single in (True, False)
        ]
        forms += [Form(m, 1, prompt=True) for m in prompts]
        for form in forms if self._on_gpu else ():
            self._graph(form)

    def _read(self, slot: int, start: int, tokens: Ints, wanted: Ints) -> Tensor:
        """A piece of a prompt, in one pass."""
        count = len(tokens)
        slots, positions = np.full(count, slot), np.arange(start, start + count)
        if count <= AS_ROWS:
            return self.decode(tokens, slots, positions, wanted)
        rows = min(max(64, _power_of_2(count)), MAX_PROMPT)
        form = Form(rows, _power_of_2(len(wanted)), prompt=True)
        return self._run(form, Given(tokens, slots, positions, wanted, (slot, start, count)))

    def _run(self, form: Form, given: Given) -> Tensor:
        self._check(given)
        if self._on_gpu:
            graph = self._graph(form)
            with torch.cuda.device(self._device):
                self._fill(form, given)
                graph.replay()
        else:
            self._fill(form, given)
            self._launch(form)
        return self._buffers.logits[: len(given.wanted)]

    def _check(self, given: Given) -> None:
        rows = given.tokens, given.slots, given.positions
        if len({len(x) for x in rows}) > 1 or len(given.wanted) > MAX_WANTED:
            sizes = ", ".join(str(len(x)) for x in (*rows, given.wanted))
            raise ValueError(
                f"tokens, slots, positions and wanted rows are {sizes}: they do not fit together"
            )
        limits = (self._weights.shape.vocabulary, len(self._cache.table), self._buffers.context)
        # Lists: of a few numbers, numpy takes ten times as long to find the least, and a token waits for it.
        positions = given.positions.tolist()
        for name, x, limit in zip(("token", "slot", "position"), rows, limits, strict=True):
            real = [number for number, position in zip(x.tolist(), positions, strict=True) if position >= 0]
            if real and not 0 <= min(real) <= max(real) < limit:
                raise ValueError(f"{name}s {min(real)} to {max(real)}: must be 0 to {limit - 1}")
        wanted = given.wanted.tolist()
        if wanted and not 0 <= min(wanted) <= max(wanted) < len(given.tokens):
            raise ValueError(f"wanted rows {wanted}: there are {len(given.tokens)}")

    def _fill(self, form: Form, given: Given) -> None:
        """Bring all that the pass reads to the device, in one copy; what is not given is padding."""
        staged, places = self._upload.staged(), _places(form)
        prompt = np.array(given.prompt)[:, None]
        values = given.tokens, given.slots, given.positions, given.wanted, *prompt
        for part, place, padding in zip(values, places, (-1, 0, -1, 0, 0, 0, 0), strict=True):
            staged[place] = padding
            staged[place.start : place.start + len(part)] = part
        self._upload.send(places[-1].stop)

    def _graph(self, form: Form) -> torch.cuda.CUDAGraph:
        """The graph of a form; captured, if need be, after a pass of padding, which changes nothing."""
        if form not in self._graphs:
            with torch.cuda.device(self._device):
                self._graphs[form] = capture(
                    partial(self._launch, form), self._device, before=partial(self._fill, form, _PADDING)
                )
        return self._graphs[form]

    def _launch(self, form: Form) -> None:
        tokens, slots, positions, wanted, *prompt = (self._inputs[place] for place in _places(form))
        inputs = Inputs(Rows(tokens, slots, positions), wanted, tuple(prompt))
        run_pass(
            self._weights,
            self._cache,
            inputs,
            self._buffers,
            prompt=form.prompt,
            every=form.every,
            single_split=form.single_split,
        )


def capture(
    launch: Callable[[], object], device: torch.device, *, before: Callable[[], object]
) -> torch.cuda.CUDAGraph:
    """A graph of what `launch` launches, captured after it has run once, behind `before`.

    So kernels are compiled and loaded, which a capture does not allow. Other threads may go on using the GPU.
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        before()
        launch()
        collecting = gc.isenabled()
        gc.disable()  # memory that a collection gave back in the middle would spoil the capture
        try:
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                launch()
            finally:
                graph.capture_end()
        finally:
            if collecting:
                gc.enable()
    torch.cuda.current_stream(device).wait_stream(stream)
    return graph


@cache
def _places(form: Form) -> tuple[slice, ...]:
    """Where among the inputs are tokens, slots, positions, wanted rows, and the three of a prompt."""
    places, at = [], 0
    for size in (form.rows, form.rows, form.rows, form.wanted, 1, 1, 1):
        places.append(slice(at, at + size))
        at += -(-size // _ALIGNED) * _ALIGNED
    return tuple(places)


def _power_of_2(count: int) -> int:
    """The least that is no less; 0 for 0."""
    return 1 << (count - 1).bit_length() if count else 0
