import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from signal import SIGINT, default_int_handler, pthread_kill, signal
from threading import Barrier, Lock, Semaphore, main_thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_threads import DEADLOCK_S, start, until

from llm.serve.batch import SHORT, Batcher, Logits, Part

BAD = -1  # a token that no pass survives
INTERRUPT = -2  # a token at which the user presses Ctrl-C


class BadTokenError(Exception):
    pass


def row(slot: int, position: int, token: int) -> list[float]:
    return [slot, position, token]


@dataclass
class Model:
    """A strict stand-in: knows what each slot holds, gives logits that tell of which token they are."""

    held: Counter[int] = field(default_factory=Counter)
    passes: list[list[Part]] = field(default_factory=list)
    running: Lock = field(default_factory=Lock)
    ragged: bool = False

    def run(self, parts: Sequence[Part]) -> list[Logits]:
        assert self.running.acquire(blocking=False), "two passes at once"
        try:
            return self.read(list(parts))
        finally:
            self.running.release()

    def read(self, parts: list[Part]) -> list[Logits]:
        self.passes.append(parts)
        self.begin()
        assert self.ragged or len({len(part.tokens) for part in parts}) == 1
        assert len({part.slot for part in parts}) == len(parts)
        for part in parts:
            assert part.start == self.held[part.slot], "tokens skipped or read twice"
        if any(BAD in part.tokens for part in parts):
            raise BadTokenError([part.slot for part in parts])
        if any(INTERRUPT in part.tokens for part in parts):
            raise KeyboardInterrupt
        for part in parts:
            self.held[part.slot] += len(part.tokens)
        return [logits_of(part) for part in parts]

    def begin(self) -> None:
        """Before the tokens of a pass are read."""

    @property
    def shapes(self) -> list[tuple[str, int]]:
        """For each pass, the slots in it and how many tokens it read of each."""
        return [
            ("".join(str(p.slot) for p in sorted(parts, key=lambda p: p.slot)), len(parts[0].tokens))
            for parts in self.passes
        ]


def logits_of(part: Part) -> Logits:
    """Of the last `logits_for` tokens."""
    rows = [row(part.slot, part.start + i, token) for i, token in enumerate(part.tokens)]
    return np.array(rows[len(rows) - part.logits_for :], np.float32).reshape(part.logits_for, 3)


class Gated(Model):
    """Passes wait until they are let through one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Semaphore(0)

    def begin(self) -> None:
        assert self.gate.acquire(timeout=DEADLOCK_S)


class Bench:
    """A batcher whose passes are let through one at a time, and sessions that ask it."""

    def __init__(self, window_s: float = 0.0, *, ragged: bool = False) -> None:
        self.model = Gated()
        self.model.ragged = ragged
        self.batcher = Batcher(self.model.run, ragged=ragged, alone=512, chunk=64, window_s=window_s)
        self.asked: Counter[int] = Counter()
        self.let_through = 0

    def ask(self, slot: int, tokens: int | list[int], logits_for: int = 1) -> "Future[Logits]":
        """Start reading, and return when it is in the queue."""
        ids = list(range(tokens)) if isinstance(tokens, int) else tokens
        part = Part(slot, self.asked[slot], ids, logits_for)
        self.asked[slot] += len(ids)
        future = start(lambda: self.batcher.read(part))
        until(lambda: any(request.part is part for request in list(self.batcher._waiting)))
        return future

    def let(self, passes: int = 1) -> list[tuple[str, int]]:
        """Let passes through; of each, which slots it read, and how many tokens of them."""
        for _ in range(passes):
            self.let_through += 1
            until(lambda: len(self.model.passes) == self.let_through)
            self.model.gate.release()
        return self.model.shapes[-passes:]

    def running(self) -> None:
        """Wait until the next pass has begun."""
        until(lambda: len(self.model.passes) > self.let_through)


def got(future: "Future[Logits]") -> Logits:
    return future.result(timeout=DEADLOCK_S)


def finished(futures: "Sequence[Future[Logits]]") -> None:
    for future in futures:
        got(future)


def test_short_requests_of_equal_length_share_a_pass() -> None:
    bench = Bench()
    first = bench.ask(0, 1)
    rest = [bench.ask(slot, n) for slot, n in ((1, 1), (2, 4), (3, 1), (4, 4), (5, SHORT), (6, 2))]
    assert bench.let(5) == [("0", 1), ("13", 1), ("24", 4), ("5", 16), ("6", 2)]
    finished([first, *rest])


@pytest.mark.parametrize(("come", "read"), [(2, "012"), (8, "01234")])
def test_others_are_waited_for_while_one_after_the_other_comes(come: int, read: str) -> None:
    """Each within the time, though all of them together take longer; but four times that at the most."""
    bench = Bench(window_s=60.0)
    bench.batcher._expected = set(range(10))
    comes, futures = iter(range(1, come + 1)), []

    def wait(timeout: float | None = None) -> bool:
        assert timeout == 60.0
        bench.batcher._changed.release()
        futures.extend(bench.ask(slot, 1) for slot in islice(comes, 1))
        bench.batcher._changed.acquire()
        return False  # the time is over

    bench.batcher._changed.wait = wait  # type: ignore[method-assign]
    futures.append(bench.ask(0, 1))
    assert bench.let() == [(read, 1)]
    finished(futures)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, even where a shell has started the tests in its background and had it ignored."""
    before = signal(SIGINT, default_int_handler)
    yield
    signal(SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_who_is_interrupted_in_a_pass_leaves_when_it_is_over() -> None:
    """As whoever runs it has the slot in its hands."""
    bench = Bench()
    first = bench.ask(0, 1)
    bench.running()
    second = bench.ask(1, 1)
    ended: list[bool] = []

    def interrupt() -> None:
        until(lambda: len(bench.batcher._waiting) == 3)  # with this one
        bench.let()
        bench.running()  # of slots 1 and 2
        pthread_kill(main_thread().ident or 0, SIGINT)
        until(lambda: any(request.gone for request in list(bench.batcher._waiting)))
        ended.append(False)
        bench.let()

    interrupting = start(interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.batcher.read(Part(2, 0, [0], 1))
    assert ended == [False]
    assert len(bench.model.passes) == 2 and not bench.batcher._running
    finished([first, second])
    interrupting.result(DEADLOCK_S)
    third = bench.ask(0, 1)
    assert bench.let() == [("0", 1)]
    finished([third])


def test_nobody_waits_for_one_who_has_left() -> None:
    bench = Bench(window_s=10 * DEADLOCK_S)
    bench.batcher._expected = set(range(3))
    bench.batcher.leave(1)
    first = bench.ask(0, 1)
    until(lambda: bench.batcher._awaited == {2})
    bench.batcher.leave(2)
    assert bench.let() == [("0", 1)]
    finished([first])


def test_short_requests_of_any_length_share_a_pass_where_the_engine_can() -> None:
    bench = Bench(ragged=True)
    first = bench.ask(0, 1)
    rest = [bench.ask(slot, n, n) for slot, n in ((1, 1), (2, 4), (3, SHORT), (4, 100))]
    bench.let()
    finished([first])
    bench.let(3)
    assert [[(p.slot, len(p.tokens)) for p in parts] for parts in bench.model.passes[1:]] == [
        [(4, 64)],
        [(1, 1), (2, 4), (3, SHORT)],
        [(4, 36)],
    ]
    finished(rest)
    np.testing.assert_array_equal(got(rest[1]), [row(2, i, i) for i in range(4)])


def test_each_gets_its_own_logits() -> None:
    bench = Bench()
    first = bench.ask(9, 1)
    parts = {slot: [slot * 10 + i for i in range(3)] for slot in (2, 0, 1)}
    futures = {slot: bench.ask(slot, ids, slot + 1) for slot, ids in parts.items()}
    assert bench.let(2) == [("9", 1), ("012", 3)]
    np.testing.assert_array_equal(got(first), [row(9, 0, 0)])
    for slot, ids in parts.items():
        np.testing.assert_array_equal(
            got(futures[slot]), [row(slot, i, ids[i]) for i in range(3)][2 - slot :]
        )


def test_a_prompt_alone_is_read_in_large_pieces() -> None:
    bench = Bench()
    future = bench.ask(0, 1200, 0)
    assert bench.let(3) == [("0", 512), ("0", 512), ("0", 176)]
    assert got(future).shape == (0, 3)


def test_a_prompt_and_decoding_alternate() -> None:
    bench = Bench()
    decoding = bench.ask(0, 1)
    prompt = bench.ask(1, 64 * 3 + 17)
    assert bench.let() == [("0", 1)]
    for _ in range(3):  # it asks for its next token while a chunk is read
        got(decoding)
        decoding = bench.ask(0, 1)
        assert bench.let(2) == [("1", 64), ("0", 1)]
    assert bench.let() == [("1", 17)]
    finished([prompt, decoding])


def test_one_that_samples_for_long_is_delayed_by_one_small_chunk_still() -> None:
    bench = Bench()
    decoding = bench.ask(0, 1)
    prompt = bench.ask(1, 2000)
    assert bench.let() == [("0", 1)]
    got(decoding)  # and does not ask again before the batcher goes on
    bench.running()
    decoding = bench.ask(0, 1)
    assert bench.let(2) == [("1", 64), ("0", 1)]
    got(decoding)
    # Whoever has let a whole chunk go by is thought to have finished.
    assert bench.let(3) == [("1", 64), ("1", 512), ("1", 512)]
    bench.running()
    decoding = bench.ask(0, 1)
    assert bench.let(3) == [("1", 512), ("0", 1), ("1", 64)]
    assert bench.let() == [("1", 2000 - 3 * 64 - 3 * 512)]
    finished([prompt, decoding])


def test_steps_of_several_lengths_wait_for_one_chunk_together() -> None:
    bench = Bench()
    prompt = bench.ask(0, 2000)
    steps = [bench.ask(slot, slot) for slot in (1, 2, 3)]
    assert bench.let(5) == [("0", 512), ("1", 1), ("2", 2), ("3", 3), ("0", 64)]
    finished(steps)
    bench.running()
    steps = [bench.ask(slot, slot) for slot in (1, 2)]
    assert bench.let(2) == [("0", 512), ("1", 1)]
    bench.running()
    steps.append(bench.ask(1, 1))  # again, before the others have had theirs
    assert bench.let(3) == [("2", 2), ("0", 64), ("1", 1)]
    assert bench.let(3) == [("0", 64), ("0", 512), ("0", 272)]
    finished([prompt, *steps])


def test_prompts_take_turns() -> None:
    bench = Bench()
    futures = [bench.ask(0, 700), bench.ask(1, 100), bench.ask(2, 130)]
    expected = [("0", 512), ("1", 64), ("2", 64), ("0", 64), ("1", 36), ("2", 64), ("2", 2), ("0", 64)]
    assert bench.let(8) == expected
    assert bench.let() == [("0", 60)]
    finished(futures)


def test_sessions_that_decode_wait_a_little_for_each_other() -> None:
    bench = Bench(window_s=DEADLOCK_S)
    first = bench.ask(9, SHORT + 1)

    def decode(slot: int) -> None:
        for position in range(20):
            bench.batcher.read(Part(slot, position, [position], 1))

    decoding = [start(lambda: decode(0)), start(lambda: decode(1))]
    until(lambda: len(bench.batcher._waiting) == 3)
    assert bench.let(21) == [("9", 17), *[("01", 1)] * 20]
    got(first)
    for future in decoding:
        future.result(DEADLOCK_S)


@given(
    prompt=st.integers(1, 300),
    logits_for=st.integers(0, 300),
    alone=st.integers(SHORT, 100),
)
@settings(max_examples=60, deadline=None)
def test_logits_are_of_the_last_tokens_however_the_prompt_is_cut(
    prompt: int, logits_for: int, alone: int
) -> None:
    model = Model(Counter({3: 5}))
    part = Part(3, 5, list(range(100, 100 + prompt)), min(logits_for, prompt))
    logits = Batcher(model.run, alone=alone, window_s=0).read(part)
    np.testing.assert_array_equal(logits, logits_of(part))
    assert sum(len(parts[0].tokens) for parts in model.passes) == prompt
    assert max(len(parts[0].tokens) for parts in model.passes) <= alone


# What fails.


def test_a_pass_that_fails_raises_in_those_who_were_in_it() -> None:
    bench = Bench()
    first = bench.ask(0, 1)
    bad, innocent, other = bench.ask(1, [BAD]), bench.ask(2, 1), bench.ask(3, 2)
    assert bench.let(3) == [("0", 1), ("12", 1), ("3", 2)]
    for future in (bad, innocent):
        with pytest.raises(BadTokenError):
            got(future)
    finished([first, other])
    bench.asked[1] = bench.asked[2] = 0
    again = [bench.ask(2, 1), bench.ask(1, 1)]
    bench.let(2)
    finished(again)


def test_a_prompt_that_fails_in_the_middle_is_read_no_further() -> None:
    bench = Bench()
    prompt = bench.ask(0, [*range(600), BAD, *range(600)])
    other = bench.ask(1, 100)
    assert bench.let(4) == [("0", 512), ("1", 64), ("0", 64), ("1", 36)]
    assert bench.let() == [("0", 512)]
    with pytest.raises(BadTokenError):
        got(prompt)
    got(other)
    later = bench.ask(1, 1)
    assert bench.let() == [("1", 1)]
    got(later)


def test_one_that_is_interrupted_is_forgotten() -> None:
    bench = Bench()
    interrupted = bench.ask(0, [INTERRUPT])
    waiting = [bench.ask(1, 1), bench.ask(2, 40)]
    bench.let()
    with pytest.raises(KeyboardInterrupt):
        got(interrupted)
    assert sorted(bench.let(2)) == [("1", 1), ("2", 40)]
    finished(waiting)


# Any arrivals.


class Watched(Model):
    """Notes for each request by what it was delayed while it waited."""

    batcher: Batcher

    def __init__(self, pauses: list[int]) -> None:
        super().__init__()
        self.pauses = pauses
        self.failed: Counter[int] = Counter()
        self.delays: dict[Any, Counter[str]] = {}
        self.worst: Counter[str] = Counter()

    def read(self, parts: list[Part]) -> list[Logits]:
        slots = {part.slot for part in parts}
        before = self.waiting()
        kind = "step" if any(left <= SHORT for r, left in before.items() if r.part.slot in slots) else "chunk"
        time.sleep(self.pauses[len(self.passes) % len(self.pauses)] * 1e-4)
        try:
            return super().read(parts)
        except BadTokenError:
            self.failed.update(slots)
            raise
        finally:
            # One that has come during a chunk has been delayed by it; a step counts from its beginning.
            for request, left in (self.waiting() if kind == "chunk" else before).items():
                delays = self.delays.setdefault(request, Counter())
                if request.part.slot not in slots:
                    delays[("long " if left > SHORT else "") + kind] += 1
                elif left > SHORT:
                    delays.clear()  # prompts: from chunk to chunk
                for name, count in delays.items():
                    self.worst[name] = max(self.worst[name], count)

    def waiting(self) -> dict[Any, int]:
        with self.batcher._changed:
            return {request: request.left for request in self.batcher._waiting}


asks = st.tuples(
    st.one_of(st.integers(1, 3), st.integers(1, SHORT), st.integers(SHORT + 1, 300)),
    st.integers(0, 300),  # logits
    st.integers(0, 20).map(lambda n: n == 0),  # whether it has a bad token
    st.integers(0, 4),  # tenths of a millisecond before it asks
)


@given(
    sessions=st.lists(st.lists(asks, max_size=12), min_size=1, max_size=5),
    pauses=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    window_s=st.sampled_from([0.0, 0.001]),
)
@settings(max_examples=60, deadline=None)
def test_any_arrivals_are_read_fairly_and_fail_alone(
    sessions: list[list[tuple[int, int, bool, int]]], pauses: list[int], window_s: float
) -> None:
    model = Watched(pauses)
    model.batcher = batcher = Batcher(model.run, alone=200, chunk=40, window_s=window_s)
    barrier = Barrier(len(sessions))

    def converse(slot: int) -> int:
        barrier.wait(DEADLOCK_S)
        failures, held = 0, 0
        for length, logits_for, bad, pause in sessions[slot]:
            time.sleep(pause * 1e-4)
            ids = [*range(length - bad), *[BAD] * bad]
            part = Part(slot, held, ids, min(logits_for, length))
            try:
                logits = batcher.read(part)
            except BadTokenError as error:
                failures += 1
                assert slot in error.args[0]
                model.held[slot] = held  # of its chunks some may have been read
                continue
            assert not bad
            held += length
            np.testing.assert_array_equal(logits, logits_of(part))
        return failures

    futures = [start(partial(converse, slot)) for slot in range(len(sessions))]
    failures = [future.result(DEADLOCK_S) for future in futures]
    assert failures == [model.failed[slot] for slot in range(len(sessions))]
    assert not batcher._waiting
    others = len(sessions) - 1
    assert model.worst["chunk"] <= 1
    assert model.worst["step"] <= others
    assert model.worst["long chunk"] <= others
    assert model.worst["long step"] <= others * len(sessions)


def test_many_threads_that_are_switched_all_the_time_get_all_their_tokens(quick_switches: None) -> None:
    model, steps, sessions = Model(), 60, 12
    batcher, barrier = Batcher(model.run, window_s=1e-4), Barrier(sessions)

    def decode(slot: int) -> list[float]:
        barrier.wait(DEADLOCK_S)
        return [batcher.read(Part(slot, i, [slot + i], 1))[0, 2] for i in range(steps)]

    futures = [start(partial(decode, slot)) for slot in range(sessions)]
    for slot, future in enumerate(futures):
        assert future.result(DEADLOCK_S) == [slot + i for i in range(steps)]
    assert sum(len(parts) for parts in model.passes) == steps * sessions


def test_the_lead_is_handed_over_to_whoever_is_left(quick_switches: None) -> None:
    """Requests that share no pass, and nobody comes after them."""
    model, rounds = Model(), 300
    batcher, barrier = Batcher(model.run, window_s=0), Barrier(3)

    def ask(slot: int) -> None:
        for i in range(rounds):
            barrier.wait(DEADLOCK_S)
            batcher.read(Part(slot, i * (slot + 1), [1] * (slot + 1), 1))

    futures = [start(partial(ask, slot)) for slot in range(3)]
    for future in futures:
        future.result(DEADLOCK_S)
    assert len(model.passes) == 3 * rounds
