"""Multi-step decoding: several steps of some sequences on the GPU, of which only the tokens come back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.formats import SMALL_BATCH, PagedCache, Weights
from kernels.llama import multi_step
from kernels.llama.multi_step import Start
from llm.cuda.cache import PagedStore
from llm.cuda.errors import Gpu
from llm.cuda.served import Form
from llm.decode.sample import Sampling
from llm.decode.served import rows_of
from llm.serve.batch import Batcher, Part

_WINDOW_S = 0.004
"""See `Batcher`: four of them are about as long as a run of many sequences, which is in flight meanwhile."""


class Decoder(Protocol):
    """What runs the steps; see `kernels.llama.multi_step.MultiStepDecoder`."""

    seen: Tensor

    def begin(self, starts: Sequence[Start]) -> None:
        """Set where sequences go on."""
        ...

    def run(self, tokens: Tensor, *, logits: Tensor | None = None) -> None:
        """Write the next choices into `tokens` [sequences, steps], -1 from a broken one on, and mark them."""
        ...


def make_decoder(weights: Weights, cache: PagedCache, sessions: int) -> Decoder:
    """For so many sessions, or as many as the kernels take; compiled by being captured."""
    decoder: Decoder = multi_step.MultiStepDecoder(weights, cache, rows=min(SMALL_BATCH, rows_of(sessions)))
    return decoder


@dataclass(frozen=True)
class _Place:
    """Where a sequence goes on, and how: what the device must hold for it."""

    slot: int
    token: int
    position: int
    reply: Sequence[int]
    sampling: Sampling

    @property
    def start(self) -> Start:
        """For the decoder."""
        how = self.sampling
        return Start(
            self.slot,
            self.token,
            self.position,
            penalty=how.repetition_penalty,
            temperature=how.temperature,
            min_p=how.min_p,
            seed=how.seed % 2**63,
            step=len(self.reply),
        )

    def after(self, chosen: Sequence[int]) -> "_Place":
        reply = [*self.reply, *chosen]
        return _Place(self.slot, chosen[-1], self.position + len(chosen), reply, self.sampling)


@dataclass(frozen=True)
class Steps(Part):
    """A run that one sequence asks for: `tokens` is its last one, and `seen` are the reply's so far.

    `lookahead` are the steps that it is likely to ask for next.
    """

    steps: int
    lookahead: int
    seen: Sequence[int]
    sampling: Sampling

    @property
    def place(self) -> _Place:
        """On the device."""
        return _Place(self.slot, self.tokens[0], self.start, list(self.seen), self.sampling)


@dataclass(frozen=True, eq=False)
class _InFlight:
    """A run that has been launched."""

    slots: list[int]
    steps: int
    tokens: Tensor  # int32 [slots, steps]
    ready: torch.cuda.Event | None

    def rows(self, beside: torch.cuda.Stream | None) -> list[list[int]]:
        """The choices of each slot, when they are there; -1 from a broken one on.

        They are fetched `beside` what has been launched since.
        """
        rows: list[list[int]]
        if beside is None or self.ready is None:
            rows = self.tokens.tolist()
        else:
            beside.wait_event(self.ready)
            with torch.cuda.stream(beside):
                rows = self.tokens.tolist()
        return rows


class MultiStepRunner:
    """A model's decoder, which runs as many steps for all who ask at a time as the most modest wants.

    While sessions are told the choices of one run, the next is in flight for those who are likely to want it:
    the device need not wait for the host. Whoever goes on from somewhere else, or says by `forget` that its
    sequence was changed, gets a new run, and what is in flight for it is wasted. What that writes is in
    nobody's way: all that the device does is done in order. May be used from several threads.
    """

    def __init__(
        self, gpu: Gpu, decoder: Decoder, store: PagedStore, served: Callable[[int, Form, int], None]
    ) -> None:
        """`served` is told of every slot the form of its steps, and how many there were."""
        self._gpu, self._decoder, self._store, self._served = gpu, decoder, store, served
        self._places: dict[int, _Place] = {}  # where slots have left off, with what they have seen marked
        self._in_flight: dict[int, tuple[_InFlight, int]] = {}  # that set out from there, and which row
        self._last: _InFlight | None = None  # from whose end the device can go on
        self._beside = None
        if gpu.device.type == "cuda":
            self._beside = torch.cuda.Stream(gpu.device)  # type: ignore[no-untyped-call]
        self.batcher: Batcher[Steps] = Batcher(self._run, ragged=True, window_s=_WINDOW_S)

    def forget(self, slot: int) -> None:
        """Its sequence is not what it was, or its pages are not, and nobody needs to wait for it."""
        self._in_flight.pop(slot, None)  # first: a place without it would be taken for the end of a run
        self._places.pop(slot, None)
        self.batcher.leave(slot)

    def has_run(self, slot: int) -> bool:
        """Whether a run is in flight, or has come back, that it has not been told of."""
        return slot in self._in_flight

    def _run(self, parts: Sequence[Steps]) -> list[NDArray[np.int32]]:
        """See `llm.serve.batch.Run`: of each part the choices; fewer, or none, from broken logits on."""
        chosen = dict[int, list[int]]()
        ordered = sorted(parts, key=lambda part: part.slot)  # so that the same come in the same order again
        for some in (ordered[i : i + SMALL_BATCH] for i in range(0, len(ordered), SMALL_BATCH)):
            what = f"up to {max(part.steps for part in some)} steps ahead of {len(some)} sequences"
            found = self._gpu.run(what, partial(self._decode, some))
            for part, (run, row) in zip(some, found, strict=True):
                chosen[part.slot] = row
                form = Form(rows_of(len(run.slots)), prompt=False, ahead=True)
                self._served(part.slot, form, run.steps)
        return [np.array(chosen[part.slot], np.int32) for part in parts]

    def _decode(self, parts: Sequence[Steps]) -> list[tuple[_InFlight, list[int]]]:
        """The run that each part is told of, and its choices."""
        places = [part.place for part in parts]
        runs = self._runs_of(parts, places)
        next_run = None
        if together := self._all_go_on(parts):
            ends = [part.start + runs[0][0].steps for part in parts]
            next_run = self._launch_next(parts, ends)
        rows = {run: run.rows(self._beside) for run, _ in runs}
        found = []
        for part, place, (run, row) in zip(parts, places, runs, strict=True):
            chosen = rows[run][row][: part.steps]
            chosen = chosen[: chosen.index(-1)] if -1 in chosen else chosen
            found.append((run, chosen))
            if len(chosen) == run.steps:
                self._places[part.slot] = place.after(chosen)
        if not together:
            left = [part for part in parts if part.lookahead and part.slot in self._places]
            at = [self._places[part.slot] for part in left]
            next_run = self._launch_next(left, [place.position for place in at], at)
        if next_run is not None:
            there = {slot: (next_run, row) for row, slot in enumerate(next_run.slots) if slot in self._places}
            self._in_flight |= there
        return found

    def _runs_of(self, parts: Sequence[Steps], places: Sequence[_Place]) -> list[tuple[_InFlight, int]]:
        """The run of each part, and which row: what is in flight for it, or else a new one."""
        runs, new = dict[int, tuple[_InFlight, int]](), []
        for part, place in zip(parts, places, strict=True):
            # Taken out, as this may fail midway.
            known, run = self._places.pop(part.slot, None) == place, self._in_flight.pop(part.slot, None)
            if known and run is not None:
                runs[part.slot] = run
            else:
                new.append((part, place, known))
        if new:
            slots, last = [part.slot for part, *_ in new], self._last
            goes_on = last is not None and last.slots == slots and all(known for *_, known in new)
            for part, place, known in new:
                if not known:
                    self._mark(part.slot, place.reply)
            starts = None if goes_on else [place.start for _, place, _ in new]
            started = self._launch(slots, min(part.steps for part, *_ in new), starts)
            runs |= {slot: (started, row) for row, slot in enumerate(slots)}
        return [runs[part.slot] for part in parts]

    def _all_go_on(self, parts: Sequence[Steps]) -> bool:
        """Whether the last run is that of these parts, and of no others, who all go on from its end."""
        last = self._last
        return (
            last is not None
            and last.slots == [part.slot for part in parts]
            and all(part.lookahead and part.steps >= last.steps for part in parts)
        )

    def _launch_next(
        self, parts: Sequence[Steps], ends: Sequence[int], places: Sequence[_Place] | None = None
    ) -> _InFlight | None:
        """A run from where parts end, or None: nothing is begun where pages are few.

        `places` are those ends where they are known; else the device goes on from the end of its last run.
        """
        if not parts:
            return None
        steps = min(part.lookahead for part in parts)
        totals = {part.slot: end + steps for part, end in zip(parts, ends, strict=True)}
        if not self._store.reserve_ahead(totals):
            return None
        starts = None if places is None else [place.start for place in places]
        return self._launch([part.slot for part in parts], steps, starts)

    def _launch(self, slots: list[int], steps: int, starts: Sequence[Start] | None) -> _InFlight:
        """With `starts`, from there; else from where the last run ends, which was of the same slots."""
        self._last = None
        self._store.upload()
        if starts is not None:
            self._decoder.begin(starts)
        tokens = torch.empty(len(slots), steps, dtype=torch.int32, device=self._gpu.device)
        self._decoder.run(tokens)
        ready = None
        if tokens.is_cuda:
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        self._last = _InFlight(slots, steps, tokens, ready)
        return self._last

    def _mark(self, slot: int, tokens: Sequence[int]) -> None:
        seen = self._decoder.seen[slot]
        seen.zero_()
        if tokens:
            seen[torch.tensor(sorted(set(tokens))).to(self._gpu.device)] = 1
