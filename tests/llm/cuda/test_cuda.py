"""The engine over pages against a model that reads each text anew; without a GPU its passes are in torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Literal

import numpy as np
import pytest
import torch
from engine_calls import CONTEXT, Call, Reference, Session, any_call, fork, prefills, run, single_calls
from hypothesis import given, settings
from hypothesis import strategies as st
from in_threads import DEADLOCK_S, start
from llama_files import SMALL, SMALL_QWEN3, one_thread, real_model
from numpy.typing import NDArray
from quantized_files import quantized_weights, write_quantized
from sizes import quarter
from torch_llama import Llama, TorchEngine

from kernels.formats.llama import PAGE
from kernels.llama.graph import GraphRunner
from llm.cuda import model as cuda
from llm.cuda.model import CudaConfig, CudaModel, page_counts
from llm.cuda.weights import shape_of
from llm.decode.engine import ContextFull, CudaBroken, EngineOutOfMemory, prefill, step
from llm.eval.data import text as words
from llm.gguf.config import LlamaConfig
from llm.gguf.file import GgufFile, open_gguf
from llm.gguf.quants import GgmlType
from llm.serve.batch import Part
from llm.serve.cache import BudgetTooSmall
from llm.serve.sessions import EngineBusy, SlotEngine
from llm.text.tokenizer import Tokenizer

Logits = NDArray[np.float32]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Of logits of a few units: keys and values are rounded to float16, and a GPU's activations.
TOLERANCE = 0.1 if DEVICE == "cuda" else 0.03
CONFIG = replace(SMALL, head_dim=16, width=64, hidden=64)
QWEN3 = replace(SMALL_QWEN3, heads=4, kv_heads=2, head_dim=32, width=64, hidden=64)
# With one block keys and values depend on a token and its position only: a cut changes nothing else.
ONE_BLOCK = replace(QWEN3, layers=1)
TYPES = {"ffn": GgmlType.Q4_1, "attn_output": GgmlType.Q4_0, "": GgmlType.Q8_0}  # all exact
KvType = Literal["f16", "int8"]
PAGE_BYTES = 2 * 2 * 2 * 16 * 2 * PAGE  # layers, keys and values, heads, channels, float16


class Counting(CudaModel):
    """Remembers the passes that were run."""

    def __init__(self, gguf: GgufFile, config: CudaConfig) -> None:
        self.passes: list[list[Part]] = []
        super().__init__(gguf, config)

    def _run(self, parts: Sequence[Part]) -> list[Logits]:
        self.passes.append(list(parts))
        return super()._run(parts)

    def computed(self) -> int:
        """Tokens that were computed since it was asked last."""
        count = sum(len(part.tokens) for parts in self.passes for part in parts)
        self.passes.clear()
        return count


def load(file: GgufFile, **config: int | str) -> Counting:
    options = {"context": CONTEXT, "prefix_bytes": 0, "device": DEVICE, **config}
    return Counting(file, CudaConfig(**options))  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("cuda") / "m.gguf"
    return open_gguf(write_quantized(path, CONFIG, quantized_weights(CONFIG, TYPES)))


@pytest.fixture(scope="module")
def one_block(tmp_path_factory: pytest.TempPathFactory) -> GgufFile:
    path = tmp_path_factory.mktemp("cuda") / "one.gguf"
    return open_gguf(write_quantized(path, ONE_BLOCK, quantized_weights(ONE_BLOCK, TYPES, tied=False)))


@pytest.fixture(scope="module")
def reference(file: GgufFile) -> Reference:
    return Reference(Llama(file), TOLERANCE)


@pytest.fixture(scope="module")
def one_block_reference(one_block: GgufFile) -> Reference:
    return Reference(Llama(one_block), TOLERANCE)


def text(length: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, CONFIG.vocabulary, length).tolist()
    return ids


# Any calls


def nothing_is_lost(model: CudaModel) -> None:
    """When all sequences are closed, every page is free or stored."""
    pages = model.store.pages
    assert pages.free == pages.total
    assert sorted(pages.take(pages.total)) == list(range(pages.total))


def close_all(model: CudaModel) -> None:
    for held in model.store._held:
        model.store.pages.drop(held)


@given(calls=st.lists(st.tuples(st.integers(0, 2), any_call), max_size=20))
@settings(max_examples=quarter(100), deadline=None)
def test_any_calls_give_what_a_fresh_engine_gives(
    file: GgufFile, reference: Reference, calls: list[tuple[int, Call]]
) -> None:
    """Also beside, and behind, sessions that were cut in the middle."""
    model = load(file, sessions=3, prefix_bytes=5 * PAGE_BYTES)
    run(model.sessions, reference, calls)
    close_all(model)
    nothing_is_lost(model)


@given(calls=st.lists(st.tuples(st.integers(0, 2), st.one_of(any_call, prefills)), max_size=20))
@settings(max_examples=quarter(100), deadline=None)
def test_with_one_block_any_cuts_give_what_a_fresh_engine_gives(
    one_block: GgufFile, one_block_reference: Reference, calls: list[tuple[int, Call]]
) -> None:
    """Of a model whose channels are rotated by halves, with pages enough for the sequences and one more."""
    model = load(one_block, sessions=3, prefix_bytes=PAGE_BYTES)
    run(model.sessions, one_block_reference, calls)
    close_all(model)
    nothing_is_lost(model)


@given(calls=st.lists(st.tuples(st.integers(0, 2), any_call), max_size=12))
@settings(max_examples=quarter(15), deadline=None)
def test_any_calls_with_the_launches_of_a_gpu(
    file: GgufFile, reference: Reference, calls: list[tuple[int, Call]]
) -> None:
    """In torch, each as it stands in for its kernel; activations are rounded to float16 between them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cuda, "_make_runner", lambda w, cache, _: GraphRunner(w, cache, torch.device("cpu")))
        model = load(file, sessions=3, prefix_bytes=5 * PAGE_BYTES, device="cpu")
    run(model.sessions, replace(reference, tolerance=0.1), calls)


script = st.lists(st.one_of(*single_calls), min_size=5, max_size=15)


@given(scripts=st.lists(script, min_size=4, max_size=4))
@settings(max_examples=quarter(10), deadline=None)
def test_sessions_in_threads_do_not_touch_each_other(
    file: GgufFile, reference: Reference, scripts: list[list[Call]]
) -> None:
    """They read, cut, close and open while passes of others run."""
    model = load(file, sessions=4, prefix_bytes=5 * PAGE_BYTES)
    barrier = Barrier(4)

    def use(calls: list[Call]) -> None:
        session = Session(model.sessions, reference, model.open())
        barrier.wait(DEADLOCK_S)
        for call in calls:
            session.do(call)
            session.do(("extend", ([1], 1)))
        session.engine.close()

    for future in [start(partial(use, calls)) for calls in scripts]:
        future.result(DEADLOCK_S)
    nothing_is_lost(model)


# Several sessions at once


def test_parts_of_any_lengths_are_read_in_passes_of_so_many_rows(
    file: GgufFile, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "MAX_ROWS", 8)
    model = load(file, sessions=4)
    texts = [text(length, seed=length) for length in (20, 45, 3, 31)]
    engines = [model.open() for _ in texts]
    for engine, tokens in zip(engines, texts, strict=True):
        engine.extend(tokens)
    new = {3: text(13, 1), 0: [4], 2: text(7, 2)}  # in any order
    wanted = {3: 10, 0: 0, 2: 1}
    for slot in new:
        model.store.reserve(slot, len(texts[slot]), len(texts[slot]) + len(new[slot]))
    got = model._run([Part(slot, len(texts[slot]), new[slot], wanted[slot]) for slot in new])
    for slot, logits in zip(new, got, strict=True):
        assert logits.shape == (wanted[slot], CONFIG.vocabulary)
        assert reference.agrees(logits, texts[slot] + new[slot])
    assert reference.agrees(engines[1].extend([5]), [*texts[1], 5])


@pytest.mark.parametrize("kv", ["f16", "int8"])
def test_sessions_that_decode_together_get_what_each_gets_alone(file: GgufFile, kv: KvType) -> None:
    model, alone = load(file, sessions=16, kv=kv), load(file, kv=kv)
    barrier = Barrier(16)

    def decode(engine: SlotEngine, seed: int) -> Logits:
        rows = [engine.extend(text(17 + seed, seed))[0]]
        return np.stack(rows + [step(engine, token) for token in text(20, seed + 9)])

    def together(seed: int) -> Logits:
        with model.open() as engine:
            barrier.wait(DEADLOCK_S)
            return decode(engine, seed)

    futures = [start(partial(together, seed)) for seed in range(16)]
    for seed, future in enumerate(futures):
        with alone.open() as engine:
            expected = decode(engine, seed)
        # What is rounded, may fall on either side.
        assert np.abs(future.result(DEADLOCK_S) - expected).max() < (TOLERANCE if kv == "f16" else 0.15)
    assert model.computed() == alone.computed() == sum(37 + seed for seed in range(16))
    nothing_is_lost(model)


def test_int8_keys_and_values_are_close(file: GgufFile, reference: Reference) -> None:
    model = load(file, kv="int8")
    with model.open() as engine:
        got = engine.extend(text(100), 100)
        assert engine.kv_bytes == 100 * PAGE_BYTES // PAGE // 2
    exact = reference.logits(text(100), 100)
    assert 0 < np.sqrt(np.mean((got - exact) ** 2)) / exact.std() < 0.1


# Beginnings in common


@pytest.mark.parametrize(
    ("length", "logits_for", "computed"),
    [
        (105, 1, 9),  # three pages of 32 are known
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
    model = load(file, sessions=2, prefix_bytes=100 * PAGE_BYTES)
    tokens = text(CONTEXT)
    with model.open() as first:
        first.extend(tokens)
        assert model.computed() == CONTEXT
    second = model.open()
    logits = second.extend(tokens[:length], logits_for)
    assert model.computed() == computed
    assert reference.agrees(logits, tokens[:length])
    assert reference.agrees(second.extend([3]), [*tokens[:length], 3])


def test_beginnings_in_common_are_held_once(file: GgufFile, reference: Reference) -> None:
    model = load(file, sessions=4, prefix_bytes=8 * PAGE_BYTES)
    total, tokens = model.store.pages.total, text(100)
    first = model.open()
    first.extend(tokens[:70])
    first.cache_prefix()  # and goes on
    second = model.open()
    second.extend(tokens[:50])
    assert model.store.pages.free == total - 3 - 1
    third = fork(first)
    assert model.store.pages.free == total - 4
    # Each writes into a page that others have, and gets one of its own.
    for engine, held in ((first, tokens[:70]), (third, tokens[:70]), (second, tokens[:50])):
        assert reference.agrees(engine.extend([3, 4], 2), [*held, 3, 4])
    assert model.store.pages.free == total - 5
    first.truncate(33)
    assert reference.agrees(first.extend([5]), [*tokens[:33], 5])
    assert reference.agrees(third.extend([6]), [*tokens[:70], 3, 4, 6])
    assert reference.agrees(second.extend([7]), [*tokens[:50], 3, 4, 7])
    model.computed()
    fourth = model.open()
    assert reference.agrees(fourth.extend(tokens[:66]), tokens[:66])
    assert model.computed() == 2
    for engine in (first, second, third, fourth):
        engine.close()
    nothing_is_lost(model)


def test_what_lies_behind_a_cut_is_not_given_to_others(file: GgufFile, reference: Reference) -> None:
    model = load(file, sessions=2, prefix_bytes=100 * PAGE_BYTES)
    tokens = text(120)
    with model.open() as first:
        first.extend(tokens)
        first.shift(40, 50)
        with fork(first):
            pass
    model.computed()
    second = model.open()
    left = tokens[:40] + tokens[50:]
    assert reference.agrees(second.extend(left), left)
    assert model.computed() == 110 - 32


def test_a_cut_leaves_those_who_hold_the_same_pages_alone(file: GgufFile, reference: Reference) -> None:
    model = load(file, sessions=3, prefix_bytes=8 * PAGE_BYTES)
    tokens = text(120)
    first = model.open()
    first.extend(tokens)
    first.cache_prefix()
    second = fork(first)
    first.shift(10, 90)
    assert reference.agrees(second.extend([3]), [*tokens, 3])
    model.computed()
    third = model.open()
    third.extend(tokens[:97])
    assert model.computed() == 1
    assert reference.agrees(third.extend([3]), [*tokens[:97], 3])


@pytest.mark.parametrize("kv", ["f16", "int8"])
@pytest.mark.parametrize("config", [CONFIG, QWEN3], ids=["llama", "qwen3"])
def test_the_first_blocks_keys_behind_a_cut_are_those_of_their_new_positions(
    tmp_path: Path, config: LlamaConfig, kv: KvType
) -> None:
    file = open_gguf(write_quantized(tmp_path / "m.gguf", config, quantized_weights(config, TYPES)))
    model = load(file, sessions=2, kv=kv)
    tokens = text(100)
    cut, whole = model.open(), model.open()
    cut.extend(tokens)
    cut.shift(7, 30)
    whole.extend(tokens[:7] + tokens[30:])
    model.store.upload()
    got, expected = (torch.stack(model.store.cache.gather(0, slot, 77)) for slot in range(2))
    if kv == "f16":
        assert (got - expected).abs().max() < 0.01  # of a few units: rounded, turned and rounded again
        return
    scales = model.store.cache.scales
    assert scales is not None
    own = scales[0][:, :, None]  # [2, kv heads, 1, head dim]
    pair = own.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    apart = (got - expected).abs()
    # Each rounded by half a step of its own and of its pair's, turned, and rounded again; but for those that
    # were clipped at some angle.
    length = expected[0].unflatten(-1, (-1, 2)).norm(dim=-1, keepdim=True).expand(-1, -1, -1, 2).flatten(-2)
    inside = length < 126 * torch.minimum(own[0], pair[0])
    assert inside.float().mean() > 0.8
    assert (apart[0] <= 1.51 * own[0] + 0.51 * pair[0])[inside].all()
    assert (apart[1] <= 1.01 * own[1]).all()  # values do not turn


def test_a_conversation_whose_oldest_turns_are_left_out(
    one_block: GgufFile, one_block_reference: Reference
) -> None:
    """Of fifty turns behind a beginning that stays, each reads its own words only."""
    model, rng = load(one_block), np.random.default_rng(3)
    engine, system, turns = model.open(), text(10), list[list[int]]()
    engine.extend(system)
    model.computed()
    for _ in range(50):
        turns.append(rng.integers(0, CONFIG.vocabulary, int(rng.integers(5, 20))).tolist())
        while len(system) + sum(map(len, turns)) > CONTEXT:
            turns = turns[2:]
        prompt = system + [token for turn in turns for token in turn]
        assert one_block_reference.agrees(prefill(engine, prompt), prompt)
        assert model.computed() <= len(turns[-1])


# Too little memory, and a GPU that fails


def test_pages_for_sessions_and_what_is_stored() -> None:
    shape = shape_of(CONFIG)
    settings = CudaConfig(sessions=3, prefix_bytes=5 * PAGE_BYTES + 1)
    assert page_counts(settings, shape, 100) == (3 * 4 + 5, 5)
    assert page_counts(replace(settings, kv="int8"), shape, 100) == (3 * 4 + 10, 10)
    assert page_counts(replace(settings, kv_bytes=7 * PAGE_BYTES), shape, 100) == (7, 5)
    assert page_counts(replace(settings, kv_bytes=4 * PAGE_BYTES), shape, 100) == (4, 4)
    with pytest.raises(BudgetTooSmall, match="a context of 100 tokens"):
        page_counts(replace(settings, kv_bytes=4 * PAGE_BYTES - 1), shape, 100)
    with pytest.raises(BudgetTooSmall, match="a prefix of 32 tokens"):
        page_counts(replace(settings, prefix_bytes=PAGE_BYTES - 1), shape, 100)


def test_sessions_may_be_promised_more_than_there_is(file: GgufFile, reference: Reference) -> None:
    model = load(file, sessions=3, kv_bytes=5 * PAGE_BYTES, prefix_bytes=5 * PAGE_BYTES)
    first, second = model.open(), model.open()
    first.extend(text(90))
    second.extend(text(40, 1))
    for _ in range(2):
        with pytest.raises(EngineOutOfMemory, match="1 pages of keys and values wanted, 0 are free"):
            second.extend(text(30, 2))
        assert list(second.tokens) == text(40, 1)
    assert reference.agrees(second.extend(text(24, 2)), text(40, 1) + text(24, 2))
    assert reference.agrees(first.extend([3]), [*text(90), 3])
    with fork(first) as third:  # takes none, but there is none to write into either
        with pytest.raises(EngineOutOfMemory):
            third.extend([1])
        first.close()
        assert reference.agrees(third.extend([1]), [*text(90), 3, 1])
    second.truncate(40)
    assert reference.agrees(second.extend(text(80, 2)), text(40, 1) + text(80, 2))  # what was stored goes


def test_a_cut_for_which_there_is_no_page_keeps_what_is_before_it(
    file: GgufFile, reference: Reference
) -> None:
    model = load(file, sessions=2, kv_bytes=5 * PAGE_BYTES)
    first = model.open()
    first.extend(text(128))
    second = fork(first)
    with pytest.raises(EngineOutOfMemory):
        first.shift(40, 50)
    assert list(first.tokens) == text(40)
    assert list(second.tokens) == text(128)
    assert model.store.pages.free == 1  # taken for the cut, and given back
    assert reference.agrees(first.extend([3]), [*text(40), 3])


class Failing:
    """A runner that raises what it is told to, once for each error, and then works."""

    def __init__(self, model: CudaModel, *errors: Exception) -> None:
        self._runner, self._errors, self.calls = model._runner, list(errors), 0
        model._runner = self

    def decode(self, *arguments: object) -> torch.Tensor:
        return self._call(self._runner.decode, *arguments)

    def prefill(self, *arguments: object) -> torch.Tensor:
        return self._call(self._runner.prefill, *arguments)

    def _call(self, call: Callable[..., torch.Tensor], *arguments: object) -> torch.Tensor:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return call(*arguments)


FULL = "CUDA out of memory. Tried to allocate 20.00 MiB.\nSee documentation"


@pytest.mark.parametrize("tokens", [1, 30])
def test_a_pass_that_finds_no_memory_is_tried_again(
    file: GgufFile, reference: Reference, tokens: int
) -> None:
    model = load(file)
    engine = model.open()
    engine.extend(text(20))
    Failing(model, torch.OutOfMemoryError(FULL))
    assert reference.agrees(engine.extend(text(tokens, 1)), text(20) + text(tokens, 1))
    assert model.ready


@pytest.mark.parametrize("tokens", [1, 30])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(FULL), RuntimeError("CUDA error: out of memory\nCUDA kernel errors")]
)
def test_a_call_for_which_there_is_no_memory_fails_alone(
    file: GgufFile, reference: Reference, tokens: int, error: RuntimeError
) -> None:
    model = load(file, sessions=2, prefix_bytes=4 * PAGE_BYTES)
    engine, other = model.open(), model.open()
    other.extend(text(64, 1))
    other.cache_prefix()
    engine.extend(text(20))
    free = model.store.pages.free
    Failing(model, error, error)
    with pytest.raises(EngineOutOfMemory, match=f"out of memory: a pass of {tokens} tokens: CUDA[^\n]*$"):
        engine.extend(text(tokens, 1))
    assert list(engine.tokens) == text(20)
    assert model.store.pages.free == free
    assert model.ready
    assert reference.agrees(engine.extend([5]), [*text(20), 5])
    assert reference.agrees(other.extend([5]), [*text(64, 1), 5])


def test_a_pass_that_fails_behind_what_was_known_changes_nothing(
    file: GgufFile, reference: Reference
) -> None:
    model = load(file, sessions=2, prefix_bytes=4 * PAGE_BYTES)
    with model.open() as other:
        other.extend(text(100))
    engine = model.open()
    engine.extend(text(20))
    Failing(model, ValueError("a mistake"))
    with pytest.raises(ValueError, match="a mistake"):
        engine.extend(text(100)[20:])
    assert list(engine.tokens) == text(20)
    assert reference.agrees(engine.extend([5]), [*text(20), 5])
    engine.truncate(20)
    assert reference.agrees(engine.extend(text(100)[20:]), text(100))


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("Triton Error [CUDA]: device-side assert triggered"),
    ],
    ids=["torch", "a library", "triton"],
)
def test_a_gpu_that_failed_is_never_asked_again(file: GgufFile, error: RuntimeError) -> None:
    model = load(file, sessions=3, prefix_bytes=4 * PAGE_BYTES)
    engine, other = model.open(), model.open()
    other.extend(text(40))
    assert model.ready
    failing = Failing(model, error)
    what = str(error).splitlines()[0].replace("[", r"\[")
    with pytest.raises(CudaBroken, match=f"only a new process can use it again: {what}$"):
        engine.extend(text(20))
    assert not model.ready
    with pytest.raises(CudaBroken, match=what):
        other.extend([1])
    with pytest.raises(CudaBroken, match=what):
        other.shift(3, 5)
    with pytest.raises(CudaBroken, match=what):
        model.open()
    assert failing.calls == 1
    for closing in (engine, other):
        closing.close()  # which must not hide what happened


# One session


def test_the_context_holds_exactly_what_it_says(file: GgufFile, reference: Reference) -> None:
    engine, tokens = load(file).open(), text(CONTEXT)
    engine.extend(tokens[:-2])
    for _ in range(2):
        with pytest.raises(ContextFull, match="129 tokens do not fit a context of 128"):
            engine.extend([1, 2, 3])
    assert reference.agrees(engine.extend(tokens[-2:]), tokens)
    with pytest.raises(ContextFull):
        step(engine, 1)
    engine.truncate(CONTEXT - 1)
    assert reference.agrees(engine.extend(tokens[-1:]), tokens)


@pytest.mark.parametrize("context", [1, 31, 33])
def test_contexts_that_are_not_whole_pages(file: GgufFile, reference: Reference, context: int) -> None:
    with load(file, context=context).open() as engine:
        assert reference.agrees(engine.extend(text(context)), text(context))
        with pytest.raises(ContextFull):
            step(engine, 1)


def test_logits_stay_what_they_were(file: GgufFile) -> None:
    model = load(file, sessions=2)
    first, second = model.open(), model.open()
    logits = [first.extend(text(20), 3), second.extend([1]), step(first, 2)]
    kept = [array.copy() for array in logits]
    for engine in (first, second, first, second):
        engine.extend(text(18, 1), 3)
        step(engine, 7)
    first.close()
    for array, copy in zip(logits, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_closed_session_cannot_touch_its_place(file: GgufFile, reference: Reference) -> None:
    model = load(file)
    closed = model.open()
    closed.extend(text(20))
    closed.close()
    other = model.open()
    other.extend(text(30, 1))
    closed.close()
    closed.truncate(0)
    closed.shift(0, 0)
    closed.cache_prefix()
    with pytest.raises(AssertionError, match="a closed sequence"):
        closed.extend([1])
    assert reference.agrees(other.extend([1]), [*text(30, 1), 1])


def test_places_are_limited_and_given_back(file: GgufFile) -> None:
    model = load(file)
    with model.open() as engine:
        with pytest.raises(EngineBusy, match="all 1 sessions are taken and 0 wait for one"):
            model.open()
        with pytest.raises(EngineBusy):
            fork(engine)
    model.open().close()


def test_what_served_is_told_by_its_sequence(file: GgufFile) -> None:
    model = load(file, sessions=2, kv="int8", device="cpu")
    first, second = model.open(), model.open()
    first.extend(text(40))
    step(first, 1)
    step(first, 2)
    served = {
        (s.operation.name, s.operation.shape): (s.operation.kernel, s.operation.dtype, s.passes)
        for s in first.take_served()
    }
    assert served["attention", "[<=64, 4, 16] over [<=128, 2, 16]"] == ("torch", "float32 x int8", 1)
    assert served["gate_up", "[1, 64] x [128, 64]"] == ("torch", "float32 x 4 bits", 2)
    assert served["qkv", "[1, 64] x [128, 64]"] == ("torch", "float32 x 8 bits", 2)
    assert len(served) == 2 * 7
    assert first.take_served() == second.take_served() == []


def test_a_model_of_odd_sizes_is_refused(tmp_path: Path) -> None:
    odd = replace(CONFIG, hidden=48)
    file = open_gguf(write_quantized(tmp_path / "m.gguf", odd, quantized_weights(odd, {})))
    with pytest.raises(ValueError, match="multiples of 32 channels"):
        load(file)


@pytest.mark.parametrize(
    "wrong", [{"context": 0}, {"sessions": 0}, {"waiting": -1}, {"prefix_bytes": -1}], ids=str
)
def test_counts_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        CudaConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.models
@pytest.mark.parametrize(("kv", "limit"), [("f16", 0.01), ("int8", 0.1)])
def test_the_default_model(model_path: Callable[[str], Path], kv: KvType, limit: float) -> None:
    """A prompt, then token by token; also what the calibration's text is not."""
    path = model_path("smollm2-135m-instruct-q4_1")
    file = open_gguf(path)
    ids = Tokenizer.from_gguf(file).encode(words())[:72]
    exact = TorchEngine(real_model(path), 72).extend(ids, 72)
    with load(file, kv=kv).open() as engine:
        got = np.concatenate([engine.extend(ids[:60], 60), *(engine.extend([token]) for token in ids[60:])])
    assert np.sqrt(np.mean((got - exact) ** 2)) / exact.std() < limit
