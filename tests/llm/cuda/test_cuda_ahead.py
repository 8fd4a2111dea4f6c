"""Decoding ahead on the GPU engine, with a stand-in for the kernel in torch: what is around it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any, cast

import numpy as np
import pytest
import torch
from ahead_standin import Standin, standing_in
from engine_calls import fork as forked
from hypothesis import given, settings
from hypothesis import strategies as st
from in_threads import DEADLOCK_S, start
from llama_files import SMALL, one_thread
from quantized_files import quantized_weights, write_quantized
from sizes import quarter

from kernels.formats.fragments import SMALL_BATCH
from kernels.formats.llama import PAGE
from kernels.llama import multi_step as device_steps
from llm.cuda import multi_step
from llm.cuda.engine import CudaEngine
from llm.cuda.model import CudaConfig, CudaModel
from llm.cuda.multi_step import Steps
from llm.decode.engine import ContextFull, CudaBroken, EngineOutOfMemory, MultiStepEngine, prefill, step
from llm.decode.generate import GenerateConfig, Prefilled, generate
from llm.decode.sample import BrokenLogits, Sampler, Sampling
from llm.decode.served import Unsupported
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.serve.sessions import SlotEngine
from llm.text.tokenizer import Tokenizer

CONFIG = replace(SMALL, head_dim=16, width=64, hidden=64)
TYPES = {"ffn": GgmlType.Q4_1, "attn_output": GgmlType.Q4_0, "": GgmlType.Q8_0}
CONTEXT = 96
PAGE_BYTES = 2 * 2 * 2 * 16 * 2 * PAGE
PENALTY = Sampling(repetition_penalty=1.1)
PLAIN = Sampling()


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread(), standing_in():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path: Path = tmp_path_factory.mktemp("ahead") / "m.gguf"
    return open_gguf(write_quantized(path, CONFIG, quantized_weights(CONFIG, TYPES)))


def load(file: GgufFile, **config: int) -> CudaModel:
    options = {"context": CONTEXT, "prefix_bytes": 0, **config}
    return CudaModel(file, CudaConfig(device="cpu", **options))  # type: ignore[arg-type]


def opened(model: CudaModel) -> CudaEngine:
    engine = model.open()
    assert isinstance(engine, MultiStepEngine) and isinstance(engine, CudaEngine)
    return engine


def standin(engine: CudaEngine) -> Standin:
    return cast(Standin, engine._runner._decoder)


def text(length: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, CONFIG.vocabulary, length).tolist()
    return ids


def by_logits(
    engine: SlotEngine, token: int, steps: int, seen: Sequence[int], sampling: Sampling = PENALTY
) -> list[int]:
    """The same choices, one pass each."""
    sampler, seen, chosen = Sampler(sampling), list(seen), [token]
    for _ in range(steps):
        chosen.append(sampler.choose(step(engine, chosen[-1]), seen))
        seen.append(chosen[-1])
    return chosen[1:]


ids = st.integers(0, CONFIG.vocabulary - 1)
CALLS = st.one_of(
    st.tuples(
        st.just("greedy"),
        st.tuples(ids, st.integers(1, 12), st.lists(ids, max_size=4), st.integers(0, 12)),
    ),
    st.tuples(st.just("go on"), st.tuples(st.integers(1, 12), st.integers(0, 12))),
    st.tuples(st.just("as said"), st.integers(0, 12)),
    st.tuples(st.just("extend"), st.lists(ids, min_size=1, max_size=40)),
    st.tuples(st.just("truncate"), st.integers(0, CONTEXT)),
    st.tuples(st.just("shift"), st.tuples(st.integers(0, CONTEXT), st.integers(0, CONTEXT))),
    st.tuples(st.just("share"), st.none()),
    st.tuples(st.just("fork"), st.none()),
)


class Pair:
    """A sequence that decodes ahead, and one of another model that is asked for logits only."""

    def __init__(self, ahead: CudaEngine, plain: SlotEngine) -> None:
        self.ahead, self.plain = ahead, plain
        self.last: tuple[int, list[int]] = (0, [])  # chosen, and not held; seen
        self.lookahead = 1  # steps that were said to come next

    def do(self, name: str, what: Any) -> None:  # noqa: ANN401
        if name == "as said":
            name, what = "go on", (self.lookahead, what)
        if name == "go on":
            steps, lookahead = what
            name, what = "greedy", (self.last[0], steps, self.last[1], lookahead)
        getattr(self, name)(what)
        assert list(self.ahead.tokens) == list(self.plain.tokens)

    def greedy(self, what: tuple[int, int, list[int], int]) -> None:
        token, steps, seen, lookahead = what
        if len(self.ahead.tokens) + steps > CONTEXT:
            with pytest.raises(ContextFull):
                self.ahead.decode_steps(token, steps, seen=seen, sampling=PENALTY)
            return
        chosen = self.ahead.decode_steps(token, steps, seen=seen, sampling=PENALTY, lookahead=lookahead)
        assert 1 <= len(chosen) <= steps  # what was under way may have been less
        assert chosen == by_logits(self.plain, token, len(chosen), seen)
        self.last, self.lookahead = (chosen[-1], [*seen, *chosen]), lookahead or 1

    def extend(self, tokens: list[int]) -> None:
        room = CONTEXT - len(self.plain.tokens)
        if tokens := tokens[:room]:
            got, expected = (engine.extend(tokens) for engine in (self.ahead, self.plain))
            np.testing.assert_allclose(got, expected, atol=0.03)

    def truncate(self, length: int) -> None:
        for engine in (self.ahead, self.plain):
            engine.truncate(length)

    def shift(self, span: tuple[int, int]) -> None:
        start, stop = sorted(min(at, len(self.plain.tokens)) for at in span)
        for engine in (self.ahead, self.plain):
            engine.shift(start, stop)

    def share(self, _: None) -> None:
        for engine in (self.ahead, self.plain):
            engine.cache_prefix()


@given(calls=st.lists(st.tuples(st.integers(0, 1), CALLS), max_size=14))
@settings(max_examples=quarter(120), deadline=None)
def test_any_calls_choose_what_the_logits_do(
    file: GgufFile, calls: list[tuple[int, tuple[str, object]]]
) -> None:
    """Of two sequences, which may hold pages together, by turns; also for keys behind a cut."""
    model, other = (load(file, sessions=2, prefix_bytes=4 * PAGE_BYTES) for _ in range(2))
    pairs = [Pair(opened(model), other.open()) for _ in range(2)]
    for which, (name, what) in calls:
        if name == "fork":
            lookahead = pairs[which].lookahead
            pairs[1 - which].ahead.close()
            pairs[1 - which].plain.close()
            forks = (forked(pairs[which].ahead), forked(pairs[which].plain))
            assert isinstance(forks[0], CudaEngine)
            pairs[1 - which] = Pair(forks[0], forks[1])
            pairs[1 - which].last, pairs[1 - which].lookahead = pairs[which].last, lookahead
        else:
            pairs[which].do(name, what)
    for pair in pairs:
        pair.extend([1])
        pair.ahead.close()
    assert model.store.pages.free == model.store.pages.total


def test_a_run_goes_on_where_the_last_left_off(file: GgufFile) -> None:
    engine, plain = opened(load(file)), load(file).open()
    for one in (engine, plain):
        one.extend(text(30))
    decoder, chosen = standin(engine), [7]
    for steps in (1, 2, 4):
        chosen += engine.decode_steps(chosen[-1], steps, seen=chosen, sampling=PENALTY)
    assert chosen[1:] == by_logits(plain, 7, 7, [7])
    assert decoder.begun == 1
    engine.truncate(33)  # the same tokens: what is held is not what was
    assert engine.decode_steps(chosen[3], 4, seen=chosen[:4], sampling=PENALTY) == chosen[4:]
    assert decoder.begun == 2
    assert engine.decode_steps(chosen[-1], 1, seen=[], sampling=PENALTY) == by_logits(
        plain, chosen[-1], 1, []
    )
    assert decoder.begun == 3


def test_the_next_run_is_under_way_before_it_is_asked_for(file: GgufFile) -> None:
    engine, plain = opened(load(file)), load(file).open()
    for one in (engine, plain):
        one.extend(text(30))
    decoder, chosen = standin(engine), [7]
    for steps, lookahead in ((1, 8), (8, 4), (4, 16), (3, 5), (5, 0), (2, 2)):
        chosen += engine.decode_steps(chosen[-1], steps, seen=chosen, sampling=PENALTY, lookahead=lookahead)
    assert chosen[1:] == by_logits(plain, 7, 23, [7])
    # Of 16 only 3 were wanted, so that the device was too far to go on.
    assert decoder.runs == [(1, 1), (1, 8), (1, 4), (1, 16), (1, 5), (1, 2), (1, 2)]
    assert decoder.begun == 2


@pytest.mark.parametrize("change", ["truncate", "shift"])
def test_what_is_under_way_is_in_vain_when_the_sequence_changes(file: GgufFile, change: str) -> None:
    """Although it goes on at the same place, with the same reply, once something else has been read."""
    model, plain = load(file), load(file).open()
    engine = opened(model)
    engine.extend(text(30))
    chosen = engine.decode_steps(7, 4, seen=[7], sampling=PENALTY, lookahead=4)
    if change == "truncate":
        engine.truncate(20)
    else:
        engine.shift(0, 8)
    engine.extend(text(34 - len(engine.tokens), 1))
    plain.extend(engine.tokens)
    if change != "shift":  # else what is left has seen what was cut
        seen = [7, *chosen]
        expected = by_logits(plain, chosen[-1], 4, seen)
        assert engine.decode_steps(chosen[-1], 4, seen=seen, sampling=PENALTY) == expected
        return
    runs = len(standin(engine).runs)
    engine.decode_steps(chosen[-1], 4, seen=[7, *chosen], sampling=PENALTY)
    assert len(standin(engine).runs) == runs + 1


@pytest.mark.parametrize("given_back", [False, True])
def test_pages_under_a_run_that_is_under_way_are_nobody_elses(file: GgufFile, given_back: bool) -> None:
    model, plain = load(file, sessions=2), load(file).open()
    engine, other = opened(model), opened(model)
    for one in (engine, plain):
        one.extend(text(28))
    chosen = [7, *engine.decode_steps(7, 4, seen=[7], sampling=PENALTY, lookahead=8)]
    if given_back:
        engine.truncate(32)  # all tokens stay
    other.extend(text(80, 1))  # as many pages as it can get
    for steps in (8, 8):
        chosen += engine.decode_steps(chosen[-1], steps, seen=chosen, sampling=PENALTY, lookahead=8)
    assert chosen[1:] == by_logits(plain, 7, 20, [7])
    engine.truncate(48)
    other.close()
    engine.close()
    assert model.store.pages.free == model.store.pages.total


def test_a_fork_while_a_run_is_under_way_leaves_both_their_pages(file: GgufFile) -> None:
    model, plain = load(file, sessions=2), load(file).open()
    engine = opened(model)
    for one in (engine, plain):
        one.extend(text(20))
    chosen = [7, *engine.decode_steps(7, 4, seen=[7], sampling=PENALTY, lookahead=12)]  # into a second page
    fork = forked(engine)
    for steps in (12, 8):  # the first page is both's, and now copied
        chosen += engine.decode_steps(chosen[-1], steps, seen=chosen, sampling=PENALTY, lookahead=8)
    assert chosen[1:] == by_logits(plain, 7, 24, [7])
    assert isinstance(fork, CudaEngine)
    assert fork.decode_steps(chosen[4], 8, seen=chosen[:5], sampling=PENALTY) == chosen[5:13]
    engine.close()
    fork.close()
    assert model.store.pages.free == model.store.pages.total


def test_a_place_that_is_anothers_has_nothing_under_way_from_before(file: GgufFile) -> None:
    model, plain = load(file, sessions=2), load(file).open()
    engine, other = opened(model), opened(model)
    engine.extend(text(30))
    other.extend(text(34, 1))
    plain.extend(text(34, 1))
    chosen = [7, *engine.decode_steps(7, 4, seen=[7], sampling=PENALTY, lookahead=4)]
    engine.close()
    fork = forked(other)  # the same place, and as long
    assert isinstance(fork, CudaEngine)
    found = fork.decode_steps(chosen[-1], 4, seen=chosen, sampling=PENALTY, lookahead=4)
    assert found == by_logits(plain, chosen[-1], 4, chosen)
    engine.truncate(0)  # it is closed: what the other has under way is not its own
    runs = len(standin(fork).runs)
    chosen += found
    assert fork.decode_steps(chosen[-1], 4, seen=chosen, sampling=PENALTY) == by_logits(
        plain, chosen[-1], 4, chosen
    )
    assert len(standin(fork).runs) == runs


def test_nothing_is_begun_where_pages_are_few(file: GgufFile) -> None:
    model = load(file, sessions=2, kv_bytes=3 * PAGE_BYTES)
    engine, other = opened(model), opened(model)
    engine.extend(text(28))
    other.extend(text(30, 1))
    chosen = engine.decode_steps(3, 4, seen=[3], sampling=PENALTY, lookahead=8)
    assert standin(engine).runs == [(1, 4)]
    assert model.store.pages.free == 1  # and not the one that the next run would need
    other.extend(text(5, 2))  # which is there for who needs it now
    assert chosen


def test_who_goes_on_does_so_from_its_own_end_though_anothers_run_failed(file: GgufFile) -> None:
    model, plain = load(file, sessions=2), load(file).open()
    engine, other = opened(model), opened(model)
    for one in (engine, plain):
        one.extend(text(20))
    other.extend(text(20, 1))
    chosen = [7, *engine.decode_steps(7, 4, seen=[7], sampling=PENALTY)]
    standin(engine).fails = [ValueError("a mistake")]
    with pytest.raises(ValueError, match="a mistake"):
        other.decode_steps(9, 4, seen=[9], sampling=PENALTY)
    chosen += engine.decode_steps(chosen[-1], 4, seen=chosen, sampling=PENALTY)
    assert chosen[1:] == by_logits(plain, 7, 8, [7])


def test_one_with_broken_logits_leaves_the_others_what_is_under_way(file: GgufFile) -> None:
    model, plain = load(file, sessions=2), load(file).open()
    engines = [opened(model) for _ in range(2)]
    engines[0].extend(text(20))
    engines[1].extend(text(40, 1))
    plain.extend(text(20))
    standin(engines[0]).breaks = lambda position: position >= 42
    parts = [Steps(engine._slot, len(engine.tokens), [7], 1, 4, 4, [7], PENALTY) for engine in engines]
    for part in parts:
        model.store.reserve(part.slot, part.start, part.start + 4)
    ahead = engines[0]._runner
    found = [one.tolist() for one in ahead._run(parts)]
    assert [len(one) for one in found] == [4, 2]
    assert ahead.has_run(engines[0]._slot)
    assert not ahead.has_run(engines[1]._slot)
    assert found[0] == by_logits(plain, 7, 4, [7])


def test_pages_are_taken_ahead_only_where_enough_are_left(file: GgufFile) -> None:
    store = load(file, sessions=2, kv_bytes=6 * PAGE_BYTES).store
    store.reserve(0, 0, 20)
    assert store.reserve_ahead({0: 40, 1: 10})  # one each
    assert store.pages.free == 3
    assert not store.reserve_ahead({0: 80, 1: 40})  # which would leave one for two sequences
    assert store.pages.free == 3
    store.reserve(0, 40, 96)
    store.reserve(1, 10, 64)
    assert store.pages.free == 1
    assert store.reserve_ahead({0: 96, 1: 64}), "there is nothing to take"
    assert not store.reserve_ahead({1: 65})
    assert store.pages.free == 1


def test_a_table_that_could_not_be_sent_is_sent_again(
    file: GgufFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = load(file).store
    store.reserve(0, 0, 40)

    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched, pytest.raises(torch.OutOfMemoryError):
        patched.setattr(store._upload, "send", fail)
        store.upload()
    store.upload()
    assert store.cache.table[0, :2].tolist() == store._held[0]


def test_nothing_is_begun_behind_the_context_or_without_pages(file: GgufFile) -> None:
    engine, plain = opened(load(file)), load(file).open()
    for one in (engine, plain):
        one.extend(text(CONTEXT - 12))
    chosen = [7, *engine.decode_steps(7, 4, seen=[7], sampling=PENALTY, lookahead=16)]
    chosen += engine.decode_steps(chosen[-1], 8, seen=chosen, sampling=PENALTY, lookahead=16)
    assert standin(engine).runs == [(1, 4), (1, 8)]
    assert chosen[1:] == by_logits(plain, 7, 12, [7])

    model = load(file, sessions=2, kv_bytes=3 * PAGE_BYTES)
    engine, other = opened(model), opened(model)
    engine.extend(text(28))
    other.extend(text(64, 1))
    assert len(engine.decode_steps(3, 4, seen=[3], sampling=PENALTY, lookahead=8)) == 4
    assert standin(engine).runs == [(1, 4)]


def test_nobody_waits_for_a_session_whose_reply_is_over(file: GgufFile) -> None:
    engine = opened(load(file))
    engine.extend(text(30))
    engine.decode_steps(7, 4, seen=[7], sampling=PENALTY)
    assert engine._runner.batcher._expected == {engine._slot}
    engine.truncate(34)
    assert not engine._runner.batcher._expected


def test_who_comes_and_goes_leaves_the_others_what_is_under_way(file: GgufFile) -> None:
    """By turns of one thread: two go on, a third comes, and the first leaves."""
    model, alone = load(file, sessions=3), load(file)
    ahead, engines = opened(model)._runner, [opened(model) for _ in range(2)]
    replies, expected = [[1], [1]], []
    for seed, engine in enumerate(engines):
        engine.extend(text(20, seed))
        with alone.open() as plain:
            plain.extend(text(20, seed))
            expected.append(by_logits(plain, 1, 30, [1]))

    def run(which: Sequence[int], steps: int, lookahead: int) -> None:
        asked = []
        for i in which:
            held = len(engines[i].tokens)
            model.store.reserve(engines[i]._slot, held, held + steps)
            last = [replies[i][-1]]
            asked.append(Steps(engines[i]._slot, held, last, 1, steps, lookahead, replies[i], PENALTY))
        for i, part, found in zip(which, asked, ahead._run(asked), strict=True):
            engines[i]._tokens += [part.tokens[0], *found[:-1].tolist()]
            replies[i] += found.tolist()

    for which, steps, lookahead in (([0], 1, 4), ([0, 1], 4, 4), ([0, 1], 4, 8), ([1], 8, 8), ([0, 1], 8, 0)):
        run(which, steps, lookahead)
    assert [reply[1:] for reply in replies] == [
        e[: len(r) - 1] for e, r in zip(expected, replies, strict=True)
    ]
    # 0: 1, 4 under way; 1 comes with 4; both 4 under way, and 8; 1 takes its 8 of those, 0 later.
    assert standin(engines[0]).runs == [(1, 1), (1, 4), (1, 4), (2, 4), (2, 8), (1, 8)]


def test_pages_that_others_hold_are_not_written(file: GgufFile) -> None:
    model = load(file, sessions=2)
    first, fresh = opened(model), load(file).open()
    first.extend(text(40))
    second = forked(first)
    first.decode_steps(3, 12, seen=[], sampling=PLAIN)
    np.testing.assert_allclose(second.extend([5]), fresh.extend([*text(40), 5]), atol=0.03)


def test_the_context_holds_exactly_what_it_says(file: GgufFile) -> None:
    engine = opened(load(file))
    engine.extend(text(CONTEXT - 3))
    with pytest.raises(ContextFull, match="97 tokens do not fit a context of 96"):
        engine.decode_steps(1, 4, seen=[], sampling=PLAIN)
    assert list(engine.tokens) == text(CONTEXT - 3)
    assert len(engine.decode_steps(1, 3, seen=[], sampling=PLAIN)) == 3
    assert len(engine.tokens) == CONTEXT
    for token, steps in ((-1, 1), (CONFIG.vocabulary, 1), (0, 0)):
        engine.truncate(4)
        with pytest.raises(ValueError, match="of a vocabulary of"):
            engine.decode_steps(token, steps, seen=[], sampling=PLAIN)


def test_broken_logits_are_told_when_no_choice_is_left(file: GgufFile) -> None:
    model = load(file)
    engine = opened(model)
    engine.extend(text(30))
    free = model.store.pages.free
    standin(engine).breaks = lambda position: position >= 33
    chosen = engine.decode_steps(1, 40, seen=[], sampling=PLAIN)
    assert model.store.pages.free == free - 1  # what 40 steps were to have was given back
    assert list(engine.tokens) == [*text(30), 1, *chosen[:2]]
    assert len(chosen) == 3
    held = list(engine.tokens)
    with pytest.raises(BrokenLogits, match="the model or its file is broken"):
        engine.decode_steps(chosen[-1], 4, seen=chosen, sampling=PLAIN)
    assert list(engine.tokens) == held
    engine.truncate(30)
    assert model.store.pages.free == free
    standin(engine).breaks = lambda _: False
    assert engine.decode_steps(1, 8, seen=[], sampling=PLAIN)[:3] == chosen  # of which nothing is left over


DRAWN = Sampling(repetition_penalty=1.2, temperature=0.8, min_p=0.02, seed=2**70 + 5)


def reply(engine: CudaEngine, seed: int, wanted: int, sampling: Sampling) -> list[int]:
    """30 tokens, in runs of `wanted` or what others leave of them."""
    engine.extend(text(20, seed))
    chosen = [1]
    while len(chosen) <= 30:
        steps = min(wanted, 31 - len(chosen))
        lookahead = min(wanted, 31 - len(chosen) - steps)
        found = engine.decode_steps(chosen[-1], steps, seen=chosen, sampling=sampling, lookahead=lookahead)
        assert 1 <= len(found) <= steps
        chosen += found
    return chosen[1:]


@pytest.mark.parametrize("few", [SMALL_BATCH, 3])
def test_sessions_that_choose_at_the_same_time_share_their_steps(
    file: GgufFile, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets what it gets alone, though runs are as long as the most modest wants, and of so many."""
    monkeypatch.setattr(multi_step, "SMALL_BATCH", few)
    model, alone = load(file, sessions=4), load(file)
    barrier, how = Barrier(4), (PENALTY, DRAWN, PLAIN, PENALTY)

    def together(seed: int) -> list[int]:
        with opened(model) as engine:
            barrier.wait(DEADLOCK_S)
            return reply(engine, seed, (8, 3, 5, 8)[seed], how[seed])

    futures = [start(partial(together, seed)) for seed in range(4)]
    for seed, future in enumerate(futures):
        with opened(alone) as engine:
            assert future.result(DEADLOCK_S) == reply(engine, seed, 30, how[seed])
        with alone.open() as engine:
            engine.extend(text(20, seed))
            if how[seed].temperature == 0:
                assert future.result(DEADLOCK_S) == by_logits(engine, 1, 30, [1], how[seed])
    assert 1 < max(standin(opened(model)).runs)[0] <= few


def test_what_is_drawn_depends_on_the_seed_and_on_how_many_came_before(file: GgufFile) -> None:
    engine = opened(load(file))
    first = reply(engine, 0, 30, DRAWN)
    replies = []
    for sampling in (DRAWN, replace(DRAWN, seed=6), replace(DRAWN, temperature=0)):
        engine.truncate(0)
        replies.append(reply(engine, 0, 7, sampling))
    assert replies[0] == first
    assert len({tuple(one) for one in replies}) == 3
    assert engine.can_sample(DRAWN)
    assert not engine.can_sample(replace(DRAWN, top_p=0.9))
    assert engine.can_sample(replace(PLAIN, top_p=0.9))


def test_a_run_that_finds_no_memory_is_tried_again(file: GgufFile) -> None:
    engine, plain = opened(load(file)), load(file).open()
    for one in (engine, plain):
        one.extend(text(20))
    first = engine.decode_steps(3, 2, seen=[3], sampling=PENALTY)
    standin(engine).fails = [torch.OutOfMemoryError("CUDA out of memory")]
    chosen = first + engine.decode_steps(first[-1], 6, seen=[3, *first], sampling=PENALTY)
    assert chosen == by_logits(plain, 3, 8, [3])


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), EngineOutOfMemory),
        (torch.AcceleratorError("CUDA error: an illegal memory access"), CudaBroken),
        (ValueError("a mistake"), ValueError),
    ],
    ids=["memory", "device", "mistake"],
)
def test_a_run_that_fails_changes_nothing(file: GgufFile, error: Exception, raised: type[Exception]) -> None:
    model = load(file)
    engine, plain = opened(model), load(file).open()
    for one in (engine, plain):
        one.extend(text(20))
    free = model.store.pages.free
    standin(engine).fails = [error, error]
    with pytest.raises(raised):
        engine.decode_steps(3, 30, seen=[3], sampling=PENALTY)
    assert list(engine.tokens) == text(20)
    assert model.store.pages.free == free
    assert model.ready == (raised is not CudaBroken)
    if model.ready:
        standin(engine).fails = []
        assert engine.decode_steps(3, 8, seen=[3], sampling=PENALTY) == by_logits(plain, 3, 8, [3])


def test_pages_that_only_a_longer_reply_needs_are_not_missed(file: GgufFile) -> None:
    model = load(file, sessions=2, kv_bytes=3 * PAGE_BYTES)
    engine, other = opened(model), opened(model)
    other.extend(text(64, 1))
    engine.extend(text(28))
    chosen = engine.decode_steps(3, 8, seen=[3], sampling=PENALTY)
    assert len(chosen) == 4 and len(engine.tokens) == 32  # one page
    with pytest.raises(EngineOutOfMemory):
        engine.decode_steps(chosen[-1], 8, seen=[3, *chosen], sampling=PENALTY)
    assert len(engine.tokens) == 32
    other.close()
    assert len(engine.decode_steps(chosen[-1], 8, seen=[3, *chosen], sampling=PENALTY)) == 8


@pytest.mark.parametrize("max_tokens", [1, 7, 30, 70])
def test_a_reply_is_that_of_an_engine_of_logits(
    file: GgufFile, max_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several, one after the other, with stops and to the end of the context."""
    ahead = opened(load(file))
    monkeypatch.setattr(device_steps, "unsupported_reason", lambda *_: "not wanted")
    plain, tokenizer = load(file).open(), Tokenizer.from_gguf(file)
    for seed in range(4):
        for stop in ((), ("e",), ("a", "\n")):
            config = GenerateConfig(max_tokens, stop=stop)
            replies = [
                [e for e in generate(one, tokenizer, text(40, seed), config) if not isinstance(e, Prefilled)]
                for one in (ahead, plain)
            ]
            assert replies[0] == replies[1]
            assert list(ahead.tokens) == list(plain.tokens)
    assert standin(ahead).runs.count((1, 8)) > 1 or max_tokens < 30


def test_steps_ahead_are_told_under_their_kernel(file: GgufFile) -> None:
    engine = opened(load(file))
    prefill(engine, text(40))
    engine.take_served()
    engine.decode_steps(1, 5, seen=[], sampling=PLAIN)
    served = {
        s.operation.name: (s.operation.kernel, s.operation.dtype, s.passes) for s in engine.take_served()
    }
    assert len(served) == 7
    assert served["head"][0] == "Triton, small_batch.head"
    assert served["gate_up"] == ("Triton, small_batch.gate_up", "float16 x 4 bits", 5)
    assert served["attention"][1:] == ("float16 x float16", 5)


def test_a_model_that_the_kernel_does_not_take(file: GgufFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_steps, "unsupported_reason", lambda *_: "it is odd")
    model = load(file)
    assert model.unsupported == (Unsupported("multi-step decoding", "it is odd", of_gpu=True),)
    assert not isinstance(model.open(), MultiStepEngine)
