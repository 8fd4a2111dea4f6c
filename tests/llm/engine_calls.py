"""Any calls of several sequences of an engine, and what torch says to each."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch_llama import Llama, TorchEngine

from kernels.formats.llama import PAGE
from llm.cuda.cache import PagedStore
from llm.decode.engine import ContextFull, prefill
from llm.serve.sessions import EngineBusy, Sessions, SlotEngine

Logits = NDArray[np.float32]

CONTEXT = 128


@dataclass(frozen=True)
class Reference:
    """Torch, which reads each text from its beginning."""

    model: Llama
    tolerance: float
    known: dict[tuple[int, ...], Logits] = field(default_factory=dict, repr=False)

    def logits(self, tokens: Sequence[int], logits_for: int = 1) -> Logits:
        if (key := tuple(tokens)) not in self.known:
            self.known[key] = TorchEngine(self.model, len(tokens)).extend(tokens, len(tokens))
        return self.known[key][len(tokens) - logits_for :]

    def agrees(self, logits: Logits, tokens: Sequence[int]) -> bool:
        """Whether they are those of the last tokens."""
        distance = np.abs(logits - self.logits(tokens, len(logits)))
        return logits.dtype == np.float32 and float(distance.max(initial=0)) < self.tolerance


def fork(engine: SlotEngine) -> SlotEngine:
    """A second sequence that holds the same: pages in common, as after a prefix-cache hit, or a copy."""
    other, store, length = engine._sessions.open(), engine._store, len(engine.tokens)
    if isinstance(store, PagedStore):
        pages = store._held[engine._slot][: -(-length // PAGE)]
        store.pages.hold(pages)
        store._set(other._slot, 0, pages)
    else:
        kv = store.kv  # type: ignore[attr-defined]
        kv.write(other._slot, 0, kv.read(engine._slot, 0, length))
    other._tokens, other._before_shift = list(engine._tokens), engine._before_shift
    return other


Call = tuple[str, Any]


@dataclass
class Session:
    """An engine, and the tokens that it must hold; those behind a cut are not what torch would hold."""

    sessions: Sessions[Any]
    reference: Reference
    engine: SlotEngine
    held: list[int] = field(default_factory=list)
    pure: int = CONTEXT

    def do(self, call: Call) -> None:
        """Do it, and compare with torch what comes of it."""
        name, what = call
        getattr(self, name)(what)
        assert list(self.engine.tokens) == self.held
        assert self.engine.kv_bytes == len(self.held) * self.sessions.store.token_bytes

    def extend(self, what: tuple[list[int], int]) -> None:
        tokens, logits_for = what[0], min(what[1], len(what[0]))
        if len(self.held) + len(tokens) > CONTEXT:
            with pytest.raises(ContextFull):
                self.engine.extend(tokens, logits_for)
            return
        self.held = self.held + tokens
        self.check(self.engine.extend(tokens, logits_for), logits_for)

    def prefill(self, what: tuple[list[int], int]) -> None:
        tokens, logits_for = what[0], min(what[1], len(what[0]))
        logits = prefill(self.engine, tokens, logits_for)
        self.held = tokens
        self.check(logits, logits_for)

    def truncate(self, what: int) -> None:
        length = what % (len(self.held) + 1)
        self.engine.truncate(length)
        del self.held[length:]
        if length <= self.pure:
            self.pure = CONTEXT

    def shift(self, what: tuple[int, int]) -> None:
        start, stop = sorted(number % (len(self.held) + 1) for number in what)
        if start < stop < len(self.held) and self.reference.model.config.layers > 1:
            self.pure = min(self.pure, start)
        self.engine.shift(start, stop)
        del self.held[start:stop]

    def reopen(self, what: int) -> None:
        self.engine.close()
        self.held, self.pure = [], CONTEXT
        self.engine = self.sessions.open()

    def fork(self) -> "Session":
        return replace(self, engine=fork(self.engine), held=list(self.held))

    def check(self, logits: Logits, logits_for: int) -> None:
        assert logits.shape == (logits_for, self.reference.model.config.vocabulary)
        if self.held and len(self.held) <= self.pure:
            assert self.reference.agrees(logits, self.held)


few = st.lists(st.integers(0, 1), max_size=5)
# Beginnings that are worth storing, and often the same.
long = st.tuples(st.integers(0, 1), st.integers(30, 70)).map(lambda drawn: [drawn[0]] * drawn[1])
number = st.integers(0, CONTEXT)
single_calls = [
    st.tuples(st.just("extend"), st.tuples(st.one_of(few, long), st.integers(0, 6))),
    st.tuples(st.just("truncate"), number),
    st.tuples(st.just("shift"), st.tuples(number, number)),
    st.tuples(st.just("reopen"), number),
]
any_call = st.one_of(*single_calls, st.tuples(st.just("fork"), number))
prefills = st.tuples(
    st.just("prefill"), st.tuples(st.tuples(long, few).map(lambda parts: parts[0] + parts[1]), number)
)


def run(places: Sessions[Any], reference: Reference, calls: list[tuple[int, Call]]) -> None:
    """The calls of up to three sessions."""
    sessions = [Session(places, reference, places.open())]
    for which, call in calls:
        session = sessions[which % len(sessions)]
        if call[0] != "fork":
            session.do(call)
        elif len(sessions) < 3:
            sessions.append(session.fork())
        else:
            with pytest.raises(EngineBusy):
                fork(session.engine)
    for session in sessions:
        session.do(("extend", ([1], 1)))
