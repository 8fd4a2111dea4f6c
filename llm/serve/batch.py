"""Continuous batching: sequences that want their next tokens at the same time are read in one pass.

There is no thread of its own. The first that asks while nobody runs a pass becomes the leader: it runs
passes, for itself and for whoever else is waiting, until its own tokens are read. Short requests (decoding,
verifying drafts), of equal length if the engine needs that, share a pass; long ones (prompts) are read in
chunks. A request that waited for one chunk is read before the next, so that a long prompt delays another
session's next token by one chunk at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Condition, Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from llm.lora.adapter import Adapter

SHORT = 16
"""A request of up to so many tokens is a step of decoding, a longer one a prompt."""

Logits = NDArray[np.float32]

_WINDOWS = 4
"""Batching windows in a row, at the most: those whose requests have arrived wait, too."""


@dataclass(frozen=True)
class Part:
    """What is read of one sequence: `tokens`, behind the `start` held in `slot`; logits of the last ones.

    `adapter` is what is added to the model's weights for it, if anything is.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    logits_for: int
    adapter: Adapter | None = field(default=None, kw_only=True)


PartT = TypeVar("PartT", bound=Part)

Run = Callable[[Sequence[PartT]], list[NDArray[Any]]]
"""Reads parts, of equal length or of any, in one pass; the logits of each, [logits_for, vocabulary]."""


def _taken() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(eq=False)
class _Request(Generic[PartT]):
    part: PartT
    read: int = 0  # tokens
    delayed: bool = False  # by a prompt's chunk, and not to be by another
    logits: list[NDArray[Any]] = field(default_factory=list)
    error: Exception | None = None
    leads: bool = False
    gone: bool = False  # who asked is not there any more, and waits only for the pass to let go of its slot
    wake: Lock = field(default_factory=_taken)  # given back once, when it is done or leads

    @property
    def left(self) -> int:
        return len(self.part.tokens) - self.read

    @property
    def done(self) -> bool:
        return self.left == 0 or self.error is not None

    def next_part(self, limit: int) -> PartT:
        if not self.read and len(self.part.tokens) <= limit:
            return self.part
        tokens = self.part.tokens[self.read : self.read + limit]
        wanted_from = len(self.part.tokens) - self.part.logits_for
        logits_for = max(0, self.read + len(tokens) - max(wanted_from, self.read))
        return replace(self.part, start=self.part.start + self.read, tokens=tokens, logits_for=logits_for)


class Batcher(Generic[PartT]):
    """`alone` and `chunk` are the longest pieces of a prompt when nobody else, or somebody, is decoding.

    `ragged` says that `run` takes parts of different lengths. The batching window is `window_s`: as long as
    the leader waits for those who took part in the last pass; it begins again as long as one after the other
    arrives, four times in all.
    """

    def __init__(
        self,
        run: Run[PartT],
        *,
        ragged: bool = False,
        alone: int = 512,
        chunk: int = 64,
        window_s: float = 0.002,
    ) -> None:
        self._ragged = ragged
        self._run, self._alone, self._chunk, self._window_s = run, alone, chunk, window_s
        self._changed = Condition()  # what is below; only a leader in its batching window waits for it
        self._waiting: dict[_Request[PartT], None] = {}  # in the order in which they have their turn
        self._running: list[_Request[PartT]] = []
        self._leading = False
        self._prompt_was_last = False
        self._expected: set[int] = set()  # slots of the last short pass, about to ask again
        self._awaited: set[int] = set()  # those of them that the leader waits for
        self._decoding: set[int] = set()  # slots of all short passes since the last chunk of a prompt

    def read(self, part: PartT) -> NDArray[Any]:
        """Read `part`, with what others want read at the same time; raises what the pass raised."""
        assert len(part.tokens), "tokens to read"
        request = _Request(part)
        try:
            with self._changed:
                self._waiting[request] = None
                request.leads, self._leading = not self._leading, True
                self._arrived(part.slot)
            # Each is woken by itself: were all told of every change, 64 would take the lock 64 times a pass.
            if not request.leads:
                request.wake.acquire()
            while request.leads and not request.done:
                self._pass(*self._choose())
        finally:
            self._hand_over(request)
        if request.error is not None:
            raise request.error
        return request.logits[0] if len(request.logits) == 1 else np.concatenate(request.logits)

    def _hand_over(self, request: _Request[PartT]) -> None:
        """Hand over the lead; after KeyboardInterrupt nobody is there to take what another would read."""
        with self._changed:
            request.gone = request in self._running and not request.leads
        if request.gone:
            request.wake.acquire()
        with self._changed:
            self._waiting.pop(request, None)
            if request.leads:
                successor = next(iter(self._waiting), None)
                self._leading = successor is not None
                if successor is not None:
                    successor.leads = True
                    successor.wake.release()

    def leave(self, slot: int) -> None:
        """The slot is idle, and leaves the batch: nobody needs to wait for it."""
        with self._changed:
            self._expected.discard(slot)
            self._arrived(slot)

    def _arrived(self, slot: int) -> None:
        if slot in self._awaited:
            self._awaited.remove(slot)
            if not self._awaited:
                self._changed.notify()

    def _choose(self) -> tuple[list[_Request[PartT]], int]:
        with self._changed:
            self._awaited = self._expected - {r.part.slot for r in self._waiting}
            before = len(self._awaited) + 1
            for _ in range(_WINDOWS):
                if not self._awaited or len(self._awaited) == before:
                    break
                before = len(self._awaited)
                self._changed.wait(self._window_s)
            self._expected -= self._awaited  # who has not arrived may have finished
            self._awaited = set()
            short = [r for r in self._waiting if r.left <= SHORT]
            prompts = [r for r in self._waiting if r.left > SHORT]
            if self._prompt_was_last:
                for request in short:
                    request.delayed = True
            self._prompt_was_last = bool(prompts) and not any(r.delayed for r in short)
            if self._prompt_was_last:
                # One that is out to sample may take longer than the window: it has this chunk's time.
                others = short or len(prompts) > 1 or self._decoding - {prompts[0].part.slot}
                self._decoding = set()
                return prompts[:1], self._chunk if others else self._alone
            self._expected = {r.part.slot for r in short}
            self._decoding |= self._expected
            together = short if self._ragged else [r for r in short if r.left == short[0].left]
            return together, SHORT

    def _pass(self, chosen: list[_Request[PartT]], limit: int) -> None:
        parts = [request.next_part(limit) for request in chosen]
        error: Exception | None = None
        results: list[NDArray[Any]] = []
        with self._changed:
            self._running = chosen
        try:
            results = self._run(parts)
        except Exception as caught:  # noqa: BLE001  # whatever it is, each of those who wait for it gets it
            error = caught
        finally:
            with self._changed:
                self._running = []
                for request in chosen:
                    if request.gone:
                        self._waiting.pop(request, None)
                        request.wake.release()
        with self._changed:
            for i, request in enumerate(chosen):
                if error is not None:
                    request.error = error
                else:
                    request.read += len(parts[i].tokens)
                    request.logits.append(results[i])
                if request in self._waiting:
                    del self._waiting[request]
                    if not request.done:
                        self._waiting[request] = None  # behind the others: prompts take turns
                    elif not request.leads:
                        request.wake.release()
