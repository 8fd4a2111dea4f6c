from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, CountingLlama, one_thread, write_llama
from torch_llama import Llama, TorchEngine

from llm.decode.engine import ContextFull, prefill, step
from llm.gguf.file import open_gguf

Make = Callable[[int], tuple[TorchEngine, CountingLlama]]
TOLERANCE = 1e-4  # of logits; the order of the sums depends on how the tokens were cut


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    return Llama(open_gguf(write_llama(tmp_path_factory.mktemp("engine") / "m.gguf")))


@pytest.fixture
def make(model: Llama) -> Make:
    def make(context: int = 64) -> tuple[TorchEngine, CountingLlama]:
        counting = CountingLlama.of(model)
        return TorchEngine(counting, context), counting

    return make


def fresh(model: Llama, tokens: list[int], logits_for: int = 1) -> np.ndarray:
    """What an engine without a past gives."""
    return prefill(TorchEngine(model, len(tokens)), tokens, logits_for)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a - b).max() < TOLERANCE)


def test_only_what_differs_is_computed(model: Llama, make: Make) -> None:
    engine, counting = make(64)
    system, first, second = [7, 8, 9], [20, 21], [30, 31, 32]
    for prompt, computed in (
        (system + first, system + first),
        (system + second, second),  # rolled back to the system prompt
        (system + second + first, first),  # carried on
        (system + second + first, first[-1:]),  # the last token again, for its logits
        (system + second, second[-1:]),  # cut back
        ([8, *system], [8, *system]),  # nothing in common
        ([8], [8]),
    ):
        logits = prefill(engine, prompt)
        assert counting.computed.pop() == computed
        assert logits.dtype == np.float32
        assert close(logits, fresh(model, prompt))
    assert counting.computed == []


def test_tokens_that_were_decoded_are_reused(model: Llama, make: Make) -> None:
    engine, counting = make(64)
    prefill(engine, [1, 2, 3])
    for token in (4, 5):
        logits = step(engine, token)
    assert logits.shape == (SMALL.vocabulary,)
    assert close(logits, fresh(model, [1, 2, 3, 4, 5])[-1])
    prefill(engine, [1, 2, 3, 4, 9, 9])  # the last word was not heard
    assert counting.computed == [[1, 2, 3], [4], [5], [9, 9]]


def test_logits_of_several_last_tokens(model: Llama, make: Make) -> None:
    prompt = list(range(40, 52))
    rows = np.stack([fresh(model, prompt[: i + 1])[0] for i in range(len(prompt))])
    for logits_for in (1, 2, 5, len(prompt)):
        engine, counting = make(64)
        assert close(prefill(engine, prompt, logits_for), rows[-logits_for:])
        # All of it is held, but the logits were not kept.
        assert close(prefill(engine, prompt, logits_for), rows[-logits_for:])
        assert counting.computed[1] == prompt[-logits_for:]


@pytest.mark.parametrize(("length", "logits_for"), [(3, -1), (3, 4), (0, 1)])
def test_logits_of_tokens_that_are_not_there_are_refused(make: Make, length: int, logits_for: int) -> None:
    engine, _ = make(64)
    with pytest.raises(ValueError, match=f"{logits_for} logits asked of {length} tokens"):
        prefill(engine, [5] * length, logits_for)


def test_the_context_holds_exactly_what_it_says(model: Llama, make: Make) -> None:
    engine, counting = make(6)
    assert engine.context == 6
    with pytest.raises(ContextFull, match="7 tokens do not fit a context of 6") as caught:
        prefill(engine, [1] * 7)
    assert (caught.value.tokens, caught.value.context) == (7, 6)
    assert close(prefill(engine, [1, 2, 3, 4]), fresh(model, [1, 2, 3, 4]))
    step(engine, 5)
    assert close(step(engine, 6), fresh(model, [1, 2, 3, 4, 5, 6])[0])
    for _ in range(2):
        with pytest.raises(ContextFull, match="7 tokens do not fit a context of 6"):
            step(engine, 7)
    with pytest.raises(ContextFull):
        prefill(engine, [1, 2, 3, 4, 5, 6, 7])
    # The refusals have changed nothing.
    assert close(prefill(engine, [1, 2, 3, 4, 5, 7]), fresh(model, [1, 2, 3, 4, 5, 7]))
    assert counting.computed[-1] == [7]
    assert close(prefill(engine, [9] * 6), fresh(model, [9] * 6))


def test_the_context_is_no_longer_than_the_models(model: Llama) -> None:
    assert TorchEngine(model, 10**9).context == SMALL.context


def test_logits_stay_what_they_were(make: Make) -> None:
    engine, _ = make(64)
    first = prefill(engine, [1, 2, 3], 2)
    kept = first.copy()
    stepped = step(engine, 4)
    kept_step = stepped.copy()
    step(engine, 5)
    prefill(engine, [9, 9, 9, 9], 2)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(stepped, kept_step)


few = st.integers(0, 1)  # two tokens only, so that prompts have much in common
prefills = st.tuples(st.lists(few, min_size=1, max_size=8), st.integers(1, 3))


@given(calls=st.lists(st.one_of(prefills, few), max_size=10))
@settings(max_examples=60, deadline=None)
def test_any_calls_give_what_a_fresh_engine_gives(
    model: Llama, calls: list[tuple[list[int], int] | int]
) -> None:
    counting = CountingLlama.of(model)
    engine, held = TorchEngine(counting, 12), list[int]()
    for call in calls:
        if isinstance(call, int):
            if len(held) == 12:
                with pytest.raises(ContextFull):
                    step(engine, call)
                continue
            logits, logits_for, expected = step(engine, call)[None], 1, [call]
            held = [*held, call]
        else:
            prompt, logits_for = call[0], min(call[1], len(call[0]))
            logits = prefill(engine, prompt, logits_for)
            common = max(i for i in range(len(prompt) + 1) if prompt[:i] == held[:i])
            expected = prompt[min(common, len(prompt) - logits_for) :]
            held = prompt
        assert counting.computed.pop() == expected
        assert close(logits, fresh(model, held, logits_for))


# What is left out of the middle


@dataclass
class Tape:
    """An engine that only writes down what it holds and does."""

    context: int = 4096
    tokens: list[int] = field(default_factory=list)
    computed: int = 0
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        assert len(self.tokens) + len(tokens) <= self.context
        assert 0 <= logits_for <= len(tokens)
        self.tokens.extend(tokens)
        self.computed += len(tokens)
        return np.zeros((logits_for, 3), np.float32)

    def truncate(self, length: int) -> None:
        assert 0 <= length <= len(self.tokens)
        del self.tokens[length:]

    def shift(self, start: int, stop: int) -> None:
        assert 0 <= start < stop <= len(self.tokens)
        self.cuts.append((start, stop))
        del self.tokens[start:stop]


@given(
    system=st.integers(1, 50),
    dropped=st.integers(1, 200),
    kept=st.integers(32, 200),
    new=st.integers(1, 20),
    unheard=st.integers(0, 20),
    logits_for=st.integers(0, 25),
)
@settings(max_examples=100, deadline=None)
def test_turns_that_are_left_out_are_cut(
    system: int, dropped: int, kept: int, new: int, unheard: int, logits_for: int
) -> None:
    """The end of what was held is not wanted either: words that nobody heard."""
    text = list(range(system + dropped + kept + unheard + new))
    left = text[:system] + text[system + dropped : -unheard - new]
    tape, wanted = Tape(tokens=text[:-new]), left + text[-new:]
    logits_for = min(logits_for, len(wanted))
    prefill(tape, wanted, logits_for)
    assert tape.tokens == wanted
    assert tape.cuts == [(system, system + dropped)]
    assert tape.computed == max(new, logits_for)


def test_a_short_stretch_is_read_anew() -> None:
    text = list(range(200))
    for kept, computed in ((31, 31), (32, 0)):
        tape = Tape(tokens=list(text))
        prefill(tape, text[:20] + text[-kept:], 0)
        assert (tape.computed, len(tape.cuts)) == (computed, computed == 0)
    tape = Tape(tokens=list(text))
    prefill(tape, text[:20] + text[100:131] + [300] + text[132:], 0)
    assert tape.cuts == []


def test_of_stretches_that_begin_alike_the_one_that_goes_on_is_kept() -> None:
    question, system = list(range(100, 140)), list(range(9))
    turns = [question + [answer] * 30 for answer in (1, 2, 3, 4)]
    tape = Tape(tokens=[*system, 50, *turns[0], *turns[1], *turns[2], *turns[3]])
    wanted = [*system, *turns[2], *turns[3], *question]
    prefill(tape, wanted)
    assert tape.tokens == wanted
    assert tape.computed == len(question)


@given(
    calls=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40)), max_size=5), st.integers(0, 100)
        ),
        max_size=8,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_prompts_leave_what_was_asked_for(calls: list[tuple[list[tuple[int, int]], int]]) -> None:
    tape = Tape()
    for runs, logits_for in calls:
        prompt = [token for token, count in runs for _ in range(count)]
        same = next((i for i, (a, b) in enumerate(zip(tape.tokens, prompt, strict=False)) if a != b), None)
        same = min(len(tape.tokens), len(prompt)) if same is None else same
        tape.computed, logits_for = 0, min(logits_for, len(prompt))
        assert prefill(tape, prompt, logits_for).shape == (logits_for, 3)
        assert tape.tokens == prompt
        assert logits_for <= tape.computed <= max(len(prompt) - same, logits_for)


def test_the_reference_cuts_as_if_it_had_never_been_there(model: Llama, make: Make) -> None:
    engine, counting = make(64)
    text = list(range(40, 60))
    for start, stop in ((5, 9), (0, 3), (15, 20), (0, 20)):
        engine.truncate(0)
        engine.extend(text)
        counting.computed.clear()
        engine.shift(start, stop)
        assert counting.computed == ([text[stop:]] if text[stop:] else [])
        left = text[:start] + text[stop:]
        assert engine.tokens == left
        assert close(engine.extend([7]), fresh(model, [*left, 7]))


def test_the_reference_reads_nothing(make: Make) -> None:
    engine, _ = make(64)
    assert engine.extend([], 0).shape == (0, SMALL.vocabulary)
    assert prefill(engine, [1, 2], 0).shape == (0, SMALL.vocabulary)
    assert prefill(engine, [1, 2], 0).shape == (0, SMALL.vocabulary)
    assert engine.tokens == [1, 2]
