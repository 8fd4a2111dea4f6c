from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engine_calls import CONTEXT, Call, Reference, Session, any_call, fork, prefills, run, single_calls
from hypothesis import given, settings
from hypothesis import strategies as st
from in_threads import DEADLOCK_S, start, until
from llama_files import SMALL, SMALL_QWEN2, SMALL_QWEN3, one_thread, write_llama
from numpy.typing import NDArray
from sizes import quarter
from torch_llama import Llama

from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.engine import ContextFull, prefill, step
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile, open_gguf
from llm.serve.batch import Part
from llm.serve.cache import BLOCK, BudgetTooSmall
from llm.serve.kv_type import KvType
from llm.serve.sessions import EngineBusy, SlotEngine
from llm.text.chat import ChatTemplate, Message
from llm.text.conversation import fit
from llm.text.tokenizer import Tokenizer

Logits = NDArray[np.float32]

TOLERANCE = 1e-4  # of logits of a few units; the order of the sums depends on how the tokens were cut
CONFIG = replace(SMALL, head_dim=16, width=64)
# With one block keys and values depend on a token and its position only: a cut changes nothing else.
ONE_BLOCK = replace(CONFIG, layers=1)
TOKEN_BYTES = 2 * 2 * 2 * 16 * 4  # layers, keys and values, heads, channels, float32


class Counting(CpuModel):
    """Remembers the passes that were run."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401  # passed on
        self.passes: list[list[Part]] = []
        super().__init__(*arguments)

    def _run(self, parts: Sequence[Part]) -> list[Logits]:
        self.passes.append(list(parts))
        return super()._run(parts)

    def computed(self) -> int:
        """Tokens that were computed since it was asked last."""
        count = sum(len(part.tokens) for parts in self.passes for part in parts)
        self.passes.clear()
        return count


def load(file: GgufFile, **config: int | KvType) -> Counting:
    options = {"context": CONTEXT, "threads": 1, "kv": "f32", "prefix_bytes": 0, **config}
    model = Counting(file, CpuConfig(weights="f32", **options))  # type: ignore[arg-type]
    assert isinstance(model, Counting)
    return model


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return open_gguf(write_llama(tmp_path_factory.mktemp("cpu") / "m.gguf", CONFIG))


@pytest.fixture(scope="module")
def one_block(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    return open_gguf(write_llama(tmp_path_factory.mktemp("cpu") / "one.gguf", ONE_BLOCK))


@pytest.fixture(scope="module")
def reference(file: GgufFile) -> Reference:
    return Reference(Llama(file), TOLERANCE)


@pytest.fixture(scope="module")
def one_block_reference(one_block: GgufFile) -> Reference:
    return Reference(Llama(one_block), TOLERANCE)


@pytest.fixture
def model(file: GgufFile) -> Counting:
    return load(file, sessions=4)


def text(length: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, CONFIG.vocabulary, length).tolist()
    return ids


def close(a: Logits, b: Logits) -> bool:
    return a.shape == b.shape and (not a.size or bool(np.abs(a - b).max() < TOLERANCE))


# Any calls


@given(calls=st.lists(st.tuples(st.integers(0, 2), any_call), max_size=20))
@settings(max_examples=quarter(120), deadline=None)
def test_any_calls_give_what_a_fresh_engine_gives(
    file: GgufFile, reference: Reference, calls: list[tuple[int, Call]]
) -> None:
    """Also beside, and behind, sessions that were cut in the middle."""
    run(load(file, sessions=3, prefix_bytes=5 * BLOCK * TOKEN_BYTES).sessions, reference, calls)


@given(calls=st.lists(st.tuples(st.integers(0, 2), st.one_of(any_call, prefills)), max_size=20))
@settings(max_examples=quarter(120), deadline=None)
def test_with_one_block_any_cuts_give_what_a_fresh_engine_gives(
    one_block: GgufFile, one_block_reference: Reference, calls: list[tuple[int, Call]]
) -> None:
    model = load(one_block, sessions=3, prefix_bytes=5 * BLOCK * TOKEN_BYTES)
    run(model.sessions, one_block_reference, calls)


# Several sessions at once


def test_one_pass_serves_several_slots_and_leaves_the_others_alone(
    model: Counting, reference: Reference
) -> None:
    texts = [text(length, seed=length) for length in (20, 45, 3, 31)]
    engines = [model.open() for _ in texts]
    for engine, tokens in zip(engines, texts, strict=True):
        engine.extend(tokens)
    before = [model.kv.read(slot, 0, CONTEXT) for slot in range(4)]
    new = {3: [1, 2, 3], 0: [4, 5, 6], 2: [7, 8, 9]}  # in any order
    wanted = {3: 0, 0: 3, 2: 1}
    got = model._run([Part(slot, len(texts[slot]), new[slot], wanted[slot]) for slot in new])
    for slot, logits in zip(new, got, strict=True):
        assert close(logits, reference.logits(texts[slot] + new[slot], wanted[slot]))
    np.testing.assert_array_equal(model.kv.read(1, 0, CONTEXT), before[1])
    for slot, tokens in enumerate(texts):
        np.testing.assert_array_equal(
            model.kv.read(slot, 0, len(tokens)), before[slot][:, :, :, : len(tokens)]
        )
    # Nobody's logits, of several.
    for logits in model._run([Part(slot, len(texts[slot]), new[slot], 0) for slot in new]):
        assert logits.shape == (0, CONFIG.vocabulary)


script = st.lists(st.one_of(*single_calls), min_size=5, max_size=15)


@pytest.mark.parametrize("threads", [1, 2])
@given(scripts=st.lists(script, min_size=4, max_size=4))
@settings(max_examples=quarter(15), deadline=None)
def test_sessions_in_threads_do_not_touch_each_other(
    file: GgufFile, reference: Reference, threads: int, scripts: list[list[Call]]
) -> None:
    """They read, cut, close and open while passes of others run."""
    model = load(file, sessions=4, threads=threads, prefix_bytes=5 * BLOCK * TOKEN_BYTES)
    barrier = Barrier(4)

    def use(calls: list[Call]) -> None:
        session = Session(model.sessions, reference, model.open())
        barrier.wait(DEADLOCK_S)
        for call in calls:
            session.do(call)
            session.do(("extend", ([1], 1)))

    futures = [start(partial(use, calls)) for calls in scripts]
    for future in futures:
        future.result(DEADLOCK_S)


@pytest.mark.parametrize("kv", ["f32", "int8"])
def test_sessions_that_decode_together_get_what_each_gets_alone(file: GgufFile, kv: KvType) -> None:
    model, alone = load(file, sessions=4, kv=kv), load(file, kv=kv)
    barrier = Barrier(4)

    def decode(engine: SlotEngine, seed: int) -> Logits:
        rows = [engine.extend(text(17 + seed, seed))[0]]
        return np.stack(rows + [step(engine, token) for token in text(20, seed + 9)])

    def together(seed: int) -> Logits:
        with model.open() as engine:
            barrier.wait(DEADLOCK_S)
            return decode(engine, seed)

    futures = [start(partial(together, seed)) for seed in range(4)]
    for seed, future in enumerate(futures):
        with alone.open() as engine:
            expected = decode(engine, seed)
        difference = np.abs(future.result(DEADLOCK_S) - expected)
        # What is rounded to 8 bits may fall on either side.
        assert difference.max() < (TOLERANCE if kv == "f32" else 0.1)
    assert model.computed() == alone.computed() == sum(37 + seed for seed in range(4))


def test_a_pass_that_fails_does_no_harm_to_what_is_held(
    model: Counting, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = model.open()
    engine.extend(text(20))

    def fail(binding: object) -> None:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="no memory"):
        patched.setattr(model._runner, "_session", SimpleNamespace(run_with_iobinding=fail))
        engine.extend(text(30, 1))
    assert list(engine.tokens) == text(20)
    assert close(engine.extend([5]), reference.logits([*text(20), 5]))


# Beginnings in common


@pytest.mark.parametrize(
    ("length", "logits_for", "computed"),
    [
        (105, 1, 9),  # three blocks of 32 are known
        (97, 1, 1),
        (96, 1, 32),  # the last token is computed, for its logits
        (100, 10, 36),
        (100, 0, 4),
        (100, 100, 100),
        (32, 1, 32),
        (33, 1, 1),
    ],
)
def test_what_another_session_has_read_is_not_computed_again(
    file: GgufFile, reference: Reference, length: int, logits_for: int, computed: int
) -> None:
    model = load(file, sessions=2, prefix_bytes=100 * BLOCK * TOKEN_BYTES)
    tokens = text(CONTEXT)
    with model.open() as first:
        first.extend(tokens)
        assert model.computed() == CONTEXT
    second = model.open()
    logits = second.extend(tokens[:length], logits_for)
    assert model.computed() == computed
    assert close(logits, reference.logits(tokens[:length], logits_for))
    assert close(second.extend([3]), reference.logits([*tokens[:length], 3]))


def test_a_common_beginning_may_differ_behind_it_and_be_held_in_part(
    file: GgufFile, reference: Reference
) -> None:
    model = load(file, sessions=3, prefix_bytes=100 * BLOCK * TOKEN_BYTES)
    tokens = text(100)
    first = model.open()
    first.extend(tokens)
    first.cache_prefix()  # and goes on
    model.computed()
    second = model.open()
    second.extend(tokens[:40])
    assert model.computed() == 40 - 32
    other = tokens[40:70] + text(50, 1)
    assert close(second.extend(other), reference.logits(tokens[:40] + other))
    assert model.computed() == 120 - 64
    third = model.open()
    third.extend(text(20, 2))  # begins otherwise
    third.extend(tokens[20:])
    assert model.computed() == 100


def test_what_lies_behind_a_cut_is_not_given_to_others(file: GgufFile, reference: Reference) -> None:
    model = load(file, sessions=2, prefix_bytes=100 * BLOCK * TOKEN_BYTES)
    tokens = text(120)
    with model.open() as first:
        first.extend(tokens)
        first.shift(40, 50)
        with fork(first):
            pass
    model.computed()
    second = model.open()
    left = tokens[:40] + tokens[50:]
    assert close(second.extend(left), reference.logits(left))
    assert model.computed() == 110 - 32


@pytest.mark.parametrize(
    ("calls", "shared"),
    [
        ([("shift", 40, 50), ("shift", 90, 95)], 32),
        ([("shift", 40, 50), ("truncate", 80), ("extend", 10)], 32),
        ([("shift", 40, 50), ("truncate", 40), ("extend", 30)], 64),  # what was behind the cut is gone
        ([("shift", 110, 120)], 96),  # the end
        ([("shift", 50, 50)], 96),
        ([("shift", 90, 100), ("truncate", 95), ("shift", 40, 50), ("truncate", 60)], 32),
        ([("shift", 0, 120), ("extend", 64)], 64),
    ],
    ids=str,
)
def test_what_is_shared_is_what_no_cut_has_touched(
    file: GgufFile, reference: Reference, calls: list[tuple[Any, ...]], shared: int
) -> None:
    model = load(file, prefix_bytes=100 * BLOCK * TOKEN_BYTES)
    with model.open() as first:
        first.extend(text(120))
        for name, *numbers in calls:
            if name == "extend":
                first.extend(text(numbers[0], 1))
            else:
                getattr(first, name)(*numbers)
        left = [*first.tokens, 3]
    model.computed()
    with model.open() as second:
        assert close(second.extend(left), reference.logits(left))
    assert model.computed() == len(left) - shared


def test_int8_keys_and_values_are_shared_too(file: GgufFile) -> None:
    model = load(file, kv="int8", prefix_bytes=100 * BLOCK * TOKEN_BYTES // 4)
    tokens = text(100)
    with model.open() as first:
        expected = first.extend(tokens)
        assert first.kv_bytes == 100 * TOKEN_BYTES // 4
    model.computed()
    with model.open() as second:
        assert np.abs(second.extend(tokens) - expected).max() < 0.1
    assert model.computed() == 4
    assert model.prefixes.used == 3 * BLOCK * TOKEN_BYTES // 4


def test_a_prefix_budget_smaller_than_a_block_is_refused(file: GgufFile) -> None:
    with pytest.raises(BudgetTooSmall):
        load(file, prefix_bytes=BLOCK * TOKEN_BYTES - 1)
    with load(file, prefix_bytes=BLOCK * TOKEN_BYTES).open() as engine:
        engine.extend(text(100))


# One session


def test_the_context_holds_exactly_what_it_says(model: Counting, reference: Reference) -> None:
    engine, tokens = model.open(), text(CONTEXT)
    engine.extend(tokens[:-2])
    for _ in range(2):
        with pytest.raises(ContextFull, match="129 tokens do not fit a context of 128") as caught:
            engine.extend([1, 2, 3])
        assert (caught.value.tokens, caught.value.context) == (129, 128)
    assert close(engine.extend(tokens[-2:]), reference.logits(tokens))
    with pytest.raises(ContextFull):
        step(engine, 1)
    engine.truncate(CONTEXT - 1)
    assert close(engine.extend(tokens[-1:]), reference.logits(tokens))


def test_the_context_is_no_longer_than_the_models(file: GgufFile) -> None:
    assert load(file, context=10**9).open().context == SMALL.context


@pytest.mark.parametrize(("length", "logits_for"), [(3, -1), (3, 4), (0, 1)])
def test_logits_of_tokens_that_are_not_there_are_refused(
    model: Counting, length: int, logits_for: int
) -> None:
    with pytest.raises(ValueError, match=f"{logits_for} logits asked of {length} tokens"):
        model.open().extend([5] * length, logits_for)


def test_reading_nothing_gives_no_logits(model: Counting) -> None:
    engine = model.open()
    for _ in range(2):
        assert engine.extend([], 0).shape == (0, CONFIG.vocabulary)
        assert engine.extend([1, 2], 0).shape == (0, CONFIG.vocabulary)
    assert list(engine.tokens) == [1, 2, 1, 2]
    assert model.computed() == 4


@pytest.mark.parametrize("token", [-1, CONFIG.vocabulary, 10**12])
def test_tokens_out_of_the_vocabulary_are_refused(model: Counting, reference: Reference, token: int) -> None:
    engine = model.open()
    engine.extend([1, 2])
    with pytest.raises(ValueError, match=f"token {token} of a vocabulary of {CONFIG.vocabulary}"):
        engine.extend([3, token, 4])
    assert close(engine.extend([3]), reference.logits([1, 2, 3]))


def test_logits_stay_what_they_were(model: Counting) -> None:
    first, second = model.open(), model.open()
    logits = [first.extend(text(20), 3), second.extend([1]), step(first, 2)]
    kept = [array.copy() for array in logits]
    for engine in (first, second, first, second):
        engine.extend(text(18, 1), 3)
        step(engine, 7)
    first.truncate(3)
    first.close()
    for array, copy in zip(logits, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_cut_out_of_what_is_held_is_refused(model: Counting) -> None:
    engine = model.open()
    engine.extend(text(10))
    for start_, stop in ((-1, 3), (5, 4), (3, 11), (11, 11)):
        with pytest.raises(ValueError, match=f"tokens {start_} to {stop} of 10 cannot be shifted out"):
            engine.shift(start_, stop)
    assert list(engine.tokens) == text(10)


@pytest.mark.parametrize("config", [CONFIG, SMALL_QWEN2, SMALL_QWEN3], ids=["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("kv", ["f32", "int8"])
def test_the_first_blocks_keys_behind_a_cut_are_those_of_their_new_positions(
    tmp_path: Path, config: LlamaConfig, kv: KvType
) -> None:
    file = open_gguf(write_llama(tmp_path / "m.gguf", replace(config, head_dim=16, width=64)))
    model = load(file, sessions=2, kv=kv)
    tokens = text(90)
    cut, whole = model.open(), model.open()
    cut.extend(tokens)
    cut.shift(7, 30)
    whole.extend(tokens[:7] + tokens[30:])
    got, expected = (model.kv.read(slot, 0, 67)[0] for slot in range(2))
    if kv == "f32":
        np.testing.assert_allclose(got, expected, atol=1e-5)
    else:  # rounded, turned and rounded again: a step, or two where the pair's other channel is coarser
        steps = np.abs(got.astype(int) - expected)
        assert steps.max() <= 2
        assert steps[0].mean() < 0.5
        assert steps[1].max() <= 1  # values do not turn


# Places


def test_a_session_takes_what_its_tokens_take(model: Counting) -> None:
    engine = model.open()
    assert engine.kv_bytes == 0
    engine.extend(text(30))
    assert engine.kv_bytes == 30 * TOKEN_BYTES
    engine.truncate(20)
    engine.shift(2, 7)
    assert engine.kv_bytes == 15 * TOKEN_BYTES
    engine.close()
    assert engine.kv_bytes == 0


def test_a_closed_session_cannot_touch_its_place(model: Counting, reference: Reference) -> None:
    closed = model.open()
    closed.extend(text(20))
    closed.close()
    other = model.open()
    other.extend(text(30, 1))
    closed.close()
    closed.truncate(0)
    closed.cache_prefix()
    with pytest.raises(ValueError, match="of 0 cannot be shifted out"):
        closed.shift(2, 4)
    with pytest.raises(AssertionError, match="a closed sequence"):
        closed.extend([1])
    assert close(other.extend([1]), reference.logits([*text(30, 1), 1]))


def test_a_place_is_given_back_once(file: GgufFile) -> None:
    model = load(file, sessions=2)
    first = model.open()
    first.close()
    first.close()
    with model.open(), model.open() as last:
        with pytest.raises(EngineBusy, match="all 2 sessions are taken and 0 wait for one") as caught:
            model.open()
        assert (caught.value.sessions, caught.value.waiting) == (2, 0)
        last.extend([1])
        with pytest.raises(EngineBusy):
            fork(last)
    fork(model.open())


def test_an_error_in_a_session_gives_its_place_back(file: GgufFile) -> None:
    model = load(file)
    for _ in range(3):
        with pytest.raises(ContextFull), model.open() as engine:
            engine.extend(text(CONTEXT + 1))


def test_waiting_sessions_get_places_in_the_order_they_came(file: GgufFile) -> None:
    model = load(file, waiting=2)
    held = model.open()
    waiting = []

    def waits(count: int) -> bool:
        return len(model.sessions.waiting) == count

    for count in (1, 2):
        waiting.append(start(partial(model.open, DEADLOCK_S)))
        until(partial(waits, count))
    with pytest.raises(EngineBusy, match="all 1 sessions are taken and 2 wait for one"):
        model.open(DEADLOCK_S)  # at once: no more than two may wait
    for future in waiting:
        held.close()
        with pytest.raises(EngineBusy):
            model.open()  # the place is for the one who waits, awake or not
        held = future.result(DEADLOCK_S)
    held.close()
    model.open().close()


def test_many_who_wait_are_served_in_order(file: GgufFile, quick_switches: None) -> None:
    model, served = load(file), list[int]()

    def come(index: int) -> None:
        with model.open(DEADLOCK_S):
            served.append(index)

    for _ in range(5):
        held, futures = model.open(), []
        for index in range(8):
            futures.append(start(partial(come, index)))
            until(lambda: len(model.sessions.waiting) == len(futures))  # noqa: B023  # called at once
        held.close()
        for future in futures:
            future.result(DEADLOCK_S)
        assert served == list(range(8))
        served.clear()


def test_places_released_together_serve_as_many_who_wait(file: GgufFile, quick_switches: None) -> None:
    model = load(file, sessions=4)
    for _ in range(20):
        held = [model.open() for _ in range(4)]
        futures = [start(partial(model.open, 2 * DEADLOCK_S)) for _ in held]
        until(lambda: len(model.sessions.waiting) == 4)
        for engine in held:
            engine.close()
        for future in futures:
            future.result(DEADLOCK_S)
        for future in futures:
            future.result().close()


def test_one_that_waits_in_vain_leaves_the_queue(file: GgufFile) -> None:
    model = load(file, waiting=1)
    held = model.open()
    for _ in range(3):
        with pytest.raises(EngineBusy):
            model.open(1e-3)
    waiting = start(partial(model.open, DEADLOCK_S))
    until(lambda: len(model.sessions.waiting) == 1)
    held.close()
    waiting.result(DEADLOCK_S).close()
    assert model.sessions.waiting == []


def test_with_no_queue_nobody_waits(file: GgufFile) -> None:
    model = load(file, waiting=0)
    with model.open(), pytest.raises(EngineBusy):
        model.open(DEADLOCK_S)


@pytest.mark.parametrize("patience_s", [DEADLOCK_S, 1e-4])
def test_many_who_come_and_go_share_few_places(
    file: GgufFile, reference: Reference, patience_s: float
) -> None:
    model = load(file, sessions=2, waiting=8)
    barrier = Barrier(8)

    def come(seed: int) -> int:
        barrier.wait(DEADLOCK_S)
        count = 0
        for _ in range(10):
            with suppress(EngineBusy), model.open(patience_s) as engine:
                count += close(engine.extend(text(9, seed)), reference.logits(text(9, seed)))
        return count

    futures = [start(partial(come, seed)) for seed in range(8)]
    counts = [future.result(DEADLOCK_S) for future in futures]
    if patience_s == DEADLOCK_S:
        assert counts == [10] * 8
    assert sorted(model.sessions.free) == [0, 1]
    assert model.sessions.waiting == []


@pytest.mark.parametrize(
    "wrong",
    [{"context": 0}, {"sessions": 0}, {"waiting": -1}, {"prefix_bytes": -1}, {"threads": 0}],
    ids=str,
)
def test_counts_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        CpuConfig(**wrong)  # type: ignore[arg-type]


# Long conversations

WORDS = ["tea", "rain", "Anna", "blue", "seven", "why", "the", "river", "sings", "slowly"]


def converse(model: Counting, file: GgufFile, *, alike: bool) -> Iterator[tuple[list[int], Logits]]:
    """Prompts of a hundred turns, the oldest ones left out, and what prefill gives."""
    tokenizer = Tokenizer.from_gguf(file)
    template = ChatTemplate.from_gguf(file, tokenizer)
    rng = np.random.default_rng(3)

    def words(count: int) -> str:
        chosen = rng.choice(WORDS[:2] if alike else WORDS, count)
        return "I would like some tea, please. " * alike + " ".join(chosen)

    engine, history = model.open(), [Message("system", "Be kind.")]
    for _ in range(100):
        asked = Message("user", words(int(rng.integers(1, 6))))
        ids, history = fit([*history, asked], template, context=engine.context, reserve=48)
        logits = prefill(engine, ids)
        around = "<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
        assert model.computed() <= len(tokenizer.encode(asked.content)) + len(tokenizer.encode(around))
        yield ids, logits
        reply = words(2)
        for token in tokenizer.encode(reply):
            step(engine, token)
        model.computed()
        history = [*history, Message("assistant", reply)]
    assert len(history) < 20


@pytest.mark.parametrize("alike", [False, True], ids=["of its own words", "of the same words"])
def test_a_hundred_turns_go_on_and_no_turn_reads_more_than_its_own_words(
    one_block: GgufFile, one_block_reference: Reference, alike: bool
) -> None:
    for ids, logits in converse(load(one_block, context=SMALL.context), one_block, alike=alike):
        assert close(logits, one_block_reference.logits(ids))


def test_int8_keys_may_be_moved_many_times(one_block: GgufFile, one_block_reference: Reference) -> None:
    model, far = load(one_block, context=SMALL.context, kv="int8"), []
    for ids, logits in converse(model, one_block, alike=False):
        exact = one_block_reference.logits(ids)
        far.append(np.sqrt(np.mean((logits - exact) ** 2)) / exact.std())
    assert max(far) < 0.1
