"""Sequences in the places that a model has, whatever runs its passes and wherever keys and values lie."""

from collections.abc import Callable, Iterable, Sequence
from threading import Condition
from types import TracebackType
from typing import Any, Generic, Protocol

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import ContextFull
from llm.decode.served import FormT, Operation, Served, Tally
from llm.lora.adapter import Adapter
from llm.serve.adapters import operation_of
from llm.serve.batch import Batcher, Part


class EngineBusy(RuntimeError):  # noqa: N818  # a condition with a name of its own
    """Every session is taken, and as many as may wait are waiting."""

    def __init__(self, sessions: int, waiting: int) -> None:
        super().__init__(f"all {sessions} sessions are taken and {waiting} wait for one")
        self.sessions, self.waiting = sessions, waiting


class Store(Protocol):
    """Keys and values of the sequences in all slots. Each slot is used by one thread at a time."""

    @property
    def token_bytes(self) -> int:
        """Keys and values of one token in all layers."""
        ...

    def lookup(self, slot: int, held: Sequence[int], tokens: Sequence[int], adapter: str = "") -> int:
        """How many of `tokens`, behind those `held`, the prefix cache has; the slot holds them then.

        `adapter` is the SHA-256 of the slot's: what another has computed, or none, is not found.
        """
        ...

    def reserve(self, slot: int, held: int, total: int) -> None:
        """Make room for tokens from `held` to `total`; what is there of the first stays."""
        ...

    def truncate(self, slot: int, length: int) -> None:
        """Keep the first `length` tokens."""
        ...

    def shift(self, slot: int, start: int, stop: int, length: int) -> None:
        """Shift tokens start to stop out of `length`; those behind move up, their keys rotated back.

        If it fails, only the first `start` tokens are what they were.
        """
        ...

    def insert(self, slot: int, tokens: Sequence[int], adapter: str = "") -> None:
        """Put what there is of `tokens`, with which the slot begins, into the prefix cache; see `lookup`."""
        ...


class Sessions(Generic[FormT]):
    """A model's places, and what its sequences need. May be used from several threads."""

    def __init__(
        self,
        count: int,
        *,
        waiting: int,
        context: int,
        vocabulary: int,
        store: Store,
        batcher: Batcher[Part],
        describe: Callable[[FormT], Iterable[Operation]],
        engine: "Callable[[Sessions[FormT], int, Adapter | None], SlotEngine] | None" = None,
    ) -> None:
        """`describe` says what runs in a pass of some form; see `llm.decode.served.Tally`.

        `engine` makes the sequence in a slot, if it is more than a SlotEngine.
        """
        self.context, self.vocabulary, self.store, self.batcher = context, vocabulary, store, batcher
        self.tallies = [Tally(describe) for _ in range(count)]
        self.free = list(range(count))[::-1]
        self.waiting: list[object] = []  # a token for each, who came first is first
        self._count, self._most_waiting = count, waiting
        self._engine = engine or SlotEngine
        self._released = Condition()

    def open(self, wait_s: float = 0.0, adapter: Adapter | None = None) -> "SlotEngine":
        """A new sequence, read with `adapter`; waits up to `wait_s` for a place. Raises EngineBusy."""
        with self._released:
            if not self.free or self.waiting:
                self._queue(wait_s)
            return self._engine(self, self.free.pop(), adapter)

    def _queue(self, wait_s: float) -> None:
        """Wait for a place behind those who wait already. Raises EngineBusy."""
        if wait_s <= 0 or len(self.waiting) >= self._most_waiting:
            raise EngineBusy(self._count, len(self.waiting))
        ticket = object()
        self.waiting.append(ticket)
        try:
            mine = self._released.wait_for(lambda: self.free and self.waiting[0] is ticket, wait_s)
        finally:
            self.waiting.remove(ticket)
            self._released.notify_all()  # the next may be first now
        if not mine:
            raise EngineBusy(self._count, len(self.waiting))

    def release(self, slot: int) -> None:
        """Give a sequence's place back."""
        with self._released:
            self.free.append(slot)
            self.free.sort(reverse=True)  # the lowest first: a pass spans the slots from first to last
            self._released.notify_all()


class SlotEngine:
    """One sequence in a place of its own; see `llm.decode.engine.Engine`. Closing it gives the place back."""

    def __init__(self, sessions: "Sessions[Any]", slot: int, adapter: Adapter | None = None) -> None:
        self.context, self.adapter = sessions.context, adapter
        self._sessions, self._slot = sessions, slot
        self._read_by = adapter.sha256 if adapter else ""
        self._store: Store = sessions.store
        self._tokens: list[int] = []
        self._before_shift = self.context  # tokens up to here saw nothing that was shifted out
        self._closed = False

    @property
    def tokens(self) -> Sequence[int]:
        """See Engine."""
        return self._tokens

    @property
    def kv_bytes(self) -> int:
        """What the keys and values held take; sequences may have some of them in common."""
        return len(self._tokens) * self._store.token_bytes

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine. What the prefix cache has is not computed; if it fails, nothing has changed."""
        held, total = len(self._tokens), len(self._tokens) + len(tokens)
        if total > self.context:
            raise ContextFull(total, self.context)
        if not 0 <= logits_for <= len(tokens):
            raise ValueError(f"{logits_for} logits asked of {len(tokens)} tokens")
        vocabulary = self._sessions.vocabulary
        if wrong := [token for token in tokens if not 0 <= token < vocabulary]:
            raise ValueError(f"token {wrong[0]} of a vocabulary of {vocabulary}")
        assert not self._closed, "a closed sequence"
        if not tokens:
            return np.empty((0, vocabulary), np.float32)
        try:
            known = tokens[: len(tokens) - max(logits_for, 1)]
            hit = self._store.lookup(self._slot, self._tokens, known, self._read_by)
            self._tokens.extend(tokens[:hit])
            self._store.reserve(self._slot, held + hit, total)
            part = Part(self._slot, held + hit, tokens[hit:], logits_for, adapter=self.adapter)
            logits = self._sessions.batcher.read(part)
        except BaseException:
            self.truncate(held)
            raise
        self._tokens.extend(tokens[hit:])
        return logits

    def truncate(self, length: int) -> None:
        """See Engine."""
        if self._closed:
            return
        del self._tokens[length:]
        self._store.truncate(self._slot, len(self._tokens))
        if length <= self._before_shift:
            self._before_shift = self.context

    def shift(self, start: int, stop: int) -> None:
        """See Engine. If it fails, the first `start` tokens are left."""
        if not 0 <= start <= stop <= len(self._tokens):
            raise ValueError(f"tokens {start} to {stop} of {len(self._tokens)} cannot be shifted out")
        if start == stop:
            return
        if stop == len(self._tokens):
            self.truncate(start)
        else:
            try:
                self._store.shift(self._slot, start, stop, len(self._tokens))
            except BaseException:
                self.truncate(start)
                raise
            self._before_shift = min(self._before_shift, start)
            del self._tokens[start:stop]

    def take_served(self) -> Sequence[Served]:
        """What served this sequence's passes since this was asked last."""
        served = self._sessions.tallies[self._slot].take()
        if self.adapter is None or not served:
            return served
        passes = sum(one.passes for one in served if one.operation.name == "embedding")
        return [*served, Served(operation_of(self.adapter), passes)]

    def cache_prefix(self) -> None:
        """Put what is held into the prefix cache, for sequences that begin alike.

        Not what lies behind a context shift: its keys and values have seen a text that others do not have.
        """
        self._store.insert(self._slot, self._tokens[: self._before_shift], self._read_by)

    def close(self) -> None:
        """Give the place back; what was held is kept as by `cache_prefix`."""
        if self._closed:
            return
        self._closed = True
        try:
            self.cache_prefix()
            self.take_served()
        finally:
            self._tokens = []  # the place is another's from here
            self._store.truncate(self._slot, 0)
            self._sessions.release(self._slot)

    def __enter__(self) -> "SlotEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
