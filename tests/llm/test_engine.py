from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, CountingLlama, one_thread, write_llama

from llm.engine import ContextFull, prefill, step
from llm.gguf import open_gguf
from llm.model import Llama
from llm.torch_engine import TorchEngine

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
