"""Greedy decoding ahead: several steps of one sequence on the GPU, of which only the tokens come back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import nan
from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels import llama_ahead
from kernels.llama_gpu import PagedCache, Weights
from llm.cuda_cache import PagedStore
from llm.cuda_errors import Gpu
from llm.cuda_served import Form
from llm.engine import ContextFull, EngineOutOfMemory
from llm.sample import BrokenLogits, Sampler, Sampling
from llm.sessions import Sessions, SlotEngine


class Decoder(Protocol):
    """What runs the steps; see `kernels.llama_ahead.AheadDecoder`."""

    def begin(self, slot: int, token: int, position: int) -> None:
        """Set which token comes next, at which position of which sequence."""
        ...

    def run(
        self, tokens: Tensor, *, logits: Tensor | None = None, seen: Tensor | None = None, penalty: float = 1
    ) -> None:
        """Write the next choices into `tokens`, -1 from a broken one on, and mark them in `seen`."""
        ...


def make_decoder(weights: Weights, cache: PagedCache) -> Decoder:
    """Compiled, too, by a step whose key and value lie where nobody has written yet."""
    decoder = llama_ahead.AheadDecoder(weights, cache)
    device = cache.keys.device
    seen = torch.zeros(weights.shape.vocabulary, dtype=torch.int8, device=device)
    decoder.run(torch.empty(1, dtype=torch.int32, device=device), seen=seen)
    return decoder


@dataclass(frozen=True)
class _Place:
    """Where a run leaves off: the next goes on from there without being told anything."""

    slot: int
    token: int
    position: int
    seen: frozenset[int]


class Ahead:
    """A model's decoder, and who else uses the model. May be used from several threads."""

    def __init__(self, gpu: Gpu, decoder: Decoder, store: PagedStore, vocabulary: int) -> None:
        self._gpu, self._decoder, self._store = gpu, decoder, store
        self._seen = torch.zeros(vocabulary, dtype=torch.int8, device=gpu.device)
        self._place: _Place | None = None
        self._calls, self._lock = 0, Lock()

    @contextmanager
    def calling(self) -> Iterator[bool]:
        """While a session reads or decodes; tells whether no other does so."""
        with self._lock:
            self._calls += 1
            alone = self._calls == 1
        try:
            yield alone
        finally:
            with self._lock:
                self._calls -= 1

    def choose(
        self, slot: int, token: int, position: int, steps: int, seen: Sequence[int], penalty: float
    ) -> list[int]:
        """The choices after `token` at `position`, whose page and the next ones are the slot's own.

        Fewer than `steps`, or none, where the logits of the next are broken. Raises EngineOutOfMemory and
        CudaBroken.
        """
        place = _Place(slot, token, position, frozenset(seen))
        return self._gpu.run(f"{steps} steps ahead", partial(self._run, place, steps, penalty))

    def _run(self, place: _Place, steps: int, penalty: float) -> list[int]:
        self._store.upload()
        left_off, self._place = self._place, None  # this may fail midway
        if place != left_off:
            self._seen.zero_()
            if place.seen:
                self._seen[torch.tensor(sorted(place.seen)).to(self._gpu.device)] = 1
            self._decoder.begin(place.slot, place.token, place.position)
        tokens = torch.empty(steps, dtype=torch.int32, device=self._gpu.device)
        self._decoder.run(tokens, seen=self._seen, penalty=penalty)
        chosen: list[int] = tokens.tolist()
        if -1 in chosen:
            return chosen[: chosen.index(-1)]
        self._place = _Place(place.slot, chosen[-1], place.position + steps, place.seen.union(chosen))
        return chosen


class AheadEngine(SlotEngine):
    """A sequence on the GPU that also decodes ahead; see `llm.engine.GreedyAhead`.

    A step ahead is the same to the bit as `extend` by its token. In one reply there is either drafting or
    decoding ahead. Beside other sessions it falls to `extend`, as it may share a pass with them.
    """

    def __init__(self, ahead: Ahead, sessions: Sessions[Any], slot: int) -> None:
        super().__init__(sessions, slot)
        self._ahead = ahead

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine."""
        with self._ahead.calling():
            return super().extend(tokens, logits_for)

    def greedy(self, token: int, steps: int, *, seen: Sequence[int], penalty: float) -> list[int]:
        """See GreedyAhead. While others read or decode, in steps that are theirs too.

        Raises EngineOutOfMemory and CudaBroken.
        """
        held = len(self._tokens)
        if held + steps > self.context:
            raise ContextFull(held + steps, self.context)
        if steps < 1 or not 0 <= token < self._sessions.vocabulary:
            raise ValueError(
                f"{steps} steps from token {token}, of a vocabulary of {self._sessions.vocabulary}"
            )
        assert not self._closed, "a closed sequence"
        with self._ahead.calling() as alone:
            if alone and steps <= llama_ahead.MAX_STEPS and self._reserved(held, steps):
                return self._alone(token, steps, seen, penalty)
            return self._beside_others(token, steps, seen, penalty)

    def _reserved(self, held: int, steps: int) -> bool:
        """Whether there are pages for all steps; the reply may end before it needs them."""
        try:
            self._store.reserve(self._slot, held, held + steps)
        except EngineOutOfMemory:
            self.truncate(held)
            return False
        return True

    def _alone(self, token: int, steps: int, seen: Sequence[int], penalty: float) -> list[int]:
        held = len(self._tokens)
        try:
            chosen = self._ahead.choose(self._slot, token, held, steps, seen, penalty)
        except BaseException:
            self.truncate(held)
            raise
        if not chosen:
            self.truncate(held)
            raise BrokenLogits(nan, self._sessions.vocabulary)
        self._sessions.tallies[self._slot].add(Form(1, prompt=False, ahead=True), steps)
        self._tokens += [token, *chosen[:-1]]
        self.truncate(len(self._tokens))  # the pages of steps behind a broken one
        return chosen

    def _beside_others(self, token: int, steps: int, seen: Sequence[int], penalty: float) -> list[int]:
        sampler, seen = Sampler(Sampling(repetition_penalty=penalty)), list(seen)
        chosen: list[int] = []
        while len(chosen) < steps:
            held = len(self._tokens)
            try:
                logits = super().extend([chosen[-1] if chosen else token])
                chosen.append(sampler.choose(logits[0], seen))
            except (BrokenLogits, EngineOutOfMemory):
                self.truncate(held)
                if not chosen:
                    raise
                break  # the call for the next will tell
            seen.append(chosen[-1])
        return chosen
