"""Greedy tokens judged by a reference: by hand, by brute force, and where an engine makes mistakes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, one_thread, random_weights, write_llama
from numpy.typing import NDArray
from table_engine import VOCABULARY, Table, TableEngine, constant_table, random_table
from torch_llama import Llama, TorchEngine

from llm.decode.engine import ContextFull, MultiStepEngine
from llm.decode.sample import Sampling
from llm.eval.greedy import Judged, judge
from llm.eval.predict import EvalError
from llm.gguf.file import open_gguf

PROMPTS = [list(text) for text in (b"Who are you?", b"Hello.", b"And now?")]


class MultiStepTable(TableEngine):
    """Also chooses itself, by a table that may be another; notes how many steps it was asked for."""

    def __init__(self, table: Table, ahead: Table) -> None:
        super().__init__(table)
        self.ahead, self.asked = ahead, list[int]()

    def shift(self, start: int, stop: int) -> None:
        raise AssertionError("not asked for")

    def can_sample(self, sampling: Sampling) -> bool:
        return True

    def decode_steps(
        self, token: int, steps: int, *, seen: Sequence[int], sampling: Sampling, lookahead: int = 0
    ) -> list[int]:
        assert sampling == Sampling()
        assert seen[-1] == token
        self.asked.append(steps)
        chosen = [token]
        for _ in range(steps):
            self.tokens.append(chosen[-1])
            chosen.append(int(self.ahead[len(self.tokens) - 1, chosen[-1]].argmax()))
        return chosen[1:]


class Mistaken(TorchEngine):
    """Adds to the logit of the least likely token after one position; 0 changes nothing."""

    def __init__(self, model: Llama, context: int, at: int, more: float) -> None:
        super().__init__(model, context)
        self.at, self.more = at, more

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        logits = super().extend(tokens, logits_for)
        if logits_for and len(self.tokens) - 1 == self.at:
            logits[-1, logits[-1].argmin()] += self.more
        return logits


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    return Llama(open_gguf(write_llama(tmp_path_factory.mktemp("greedy") / "m.gguf")))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    noise=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    asked=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=8), min_size=1, max_size=4),
    tokens=st.integers(1, 9),
)
def test_each_token_is_judged_after_the_engines_own_text(
    seed: int, noise: float, asked: list[list[int]], tokens: int
) -> None:
    theirs = random_table(seed)
    ours = theirs + np.float32(noise) * random_table(seed + 1)
    gaps = []
    for prompt in asked:
        ids = list(prompt)
        for _ in range(tokens):
            at = len(ids) - 1, ids[-1]
            ids.append(int(ours[at].argmax()))
            gaps.append(float(theirs[at].max() - theirs[at][ids[-1]]))
    [judged] = judge(TableEngine(ours), TableEngine(theirs), asked, tokens)
    assert judged.form == "one by one"
    assert [gap for gaps_ in judged.gaps for gap in gaps_] == pytest.approx(gaps, abs=1e-6)
    assert [len(row) for row in judged.gaps] == [tokens] * len(asked)
    assert judged.equal == sum(gap == 0 for gap in gaps)
    assert judged.beyond() == sum(gap > 0.1 for gap in gaps)
    assert judged.tokens == judged.equal + judged.ties() + judged.beyond() == tokens * len(asked)


def test_counts_by_hand() -> None:
    judged = Judged("ahead", ((0.0, 0.05, 0.0), (0.3, 0.0, 0.1)))
    assert (judged.tokens, judged.equal, judged.largest) == (6, 3, 0.3)
    assert (judged.ties(), judged.beyond()) == (2, 1)
    assert (judged.ties(0.04), judged.beyond(0.04)) == (0, 3)
    assert (judged.ties(0.3), judged.beyond(0.3)) == (3, 0)
    assert judged.to_dict() == {
        "form": "ahead",
        "tokens": 6,
        "equal": 3,
        "ties": 2,
        "beyond": 1,
        "tie_logits": 0.1,
        "largest_gap": 0.3,
        "largest_gaps": [0.05, 0.3],
    }


def test_an_engine_agrees_with_itself_to_the_last_token(small: Llama) -> None:
    """Reading one by one, and all at once, add up in another order; what is far apart stays so."""
    [judged] = judge(TorchEngine(small, 160), TorchEngine(small, 160), PROMPTS)
    assert judged.tokens == 3 * 128
    assert (judged.beyond(), judged.largest < 1e-4) == (0, True)
    assert judged.equal >= 3 * 128 - 2


@pytest.mark.parametrize("late", [0, 17, 39])
def test_one_wrong_token_is_one_beyond_and_those_after_it_are_not(small: Llama, late: int) -> None:
    """Also the last, and though the reply goes on as another text."""
    prompt, reference = PROMPTS[0], TorchEngine(small, 64)
    at = len(prompt) - 1 + late
    assert judge(Mistaken(small, 64, at, 0.0), reference, [prompt], 40)[0].beyond() == 0
    [judged] = judge(Mistaken(small, 64, at, 20.0), reference, [prompt], 40)
    assert judged.beyond() == 1
    assert judged.gaps[0][late] == judged.largest > 0.1
    row = TorchEngine(small, 64).extend(list(reference.tokens)[: at + 1])[0]  # read anew
    assert judged.largest == pytest.approx(row.max() - row.min(), abs=1e-4)


def test_an_engine_whose_logits_are_off_is_reported(small: Llama) -> None:
    class Noisy(TorchEngine):
        def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
            logits = super().extend(tokens, logits_for)
            noise = np.random.default_rng(len(self.tokens)).normal(0, 1, logits.shape)
            return logits + noise.astype(np.float32)

    [judged] = judge(Noisy(small, 64), TorchEngine(small, 64), PROMPTS, 40)
    assert judged.beyond() > 12  # of 120; noise of 1 logit exceeds many a lead
    assert judged.largest > 0.5


def test_steps_ahead_are_judged_apart() -> None:
    theirs = random_table(3, 64)
    wrong = theirs.copy()
    wrong[20:] = random_table(4, 44)
    engine = MultiStepTable(theirs, wrong)
    assert isinstance(engine, MultiStepEngine)
    steps, ahead = judge(engine, TableEngine(theirs), [[1, 2], [3]], 40)
    assert (steps.form, steps.equal) == ("one by one", 80)
    assert ahead.form == "ahead"
    for prompt, row in zip(([1, 2], [3]), ahead.gaps, strict=True):
        right = 21 - len(prompt)  # of positions before 20
        assert set(row[:right]) == {0.0}
        assert sum(gap > 0.1 for gap in row[right:]) > 5
    # The first is chosen by the prompt's logits, the other 39 as the assistant has them chosen.
    assert engine.asked == 2 * [1, 8, 16, 14]
    right_ahead = judge(MultiStepTable(theirs, theirs), TableEngine(theirs), [[1, 2], [3]], 40)
    assert [judged.equal for judged in right_ahead] == [80, 80]


def test_what_the_engines_held_is_dropped() -> None:
    engine, reference = TableEngine(random_table(1)), TableEngine(random_table(1))
    for one in (engine, reference):
        one.extend([1, 2, 3])
        one.calls.clear()
    judge(engine, reference, [[1, 2]], 2)
    assert [engine.calls[0], reference.calls[0]] == [0, 0]
    assert next(call for call in engine.calls if isinstance(call, tuple)) == ([1, 2], 1)
    assert [call for call in reference.calls if isinstance(call, tuple)] == [
        ([1, 2, int(engine.table[1, 2].argmax())], 2)
    ]


@pytest.mark.parametrize(("asked", "tokens"), [([], 3), ([[1], []], 3), ([[1]], 0)])
def test_nothing_to_judge(asked: list[list[int]], tokens: int) -> None:
    engine = TableEngine(random_table(0))
    with pytest.raises(ValueError, match="nothing to continue"):
        judge(engine, engine, asked, tokens)


@pytest.mark.parametrize("short", ["engine", "reference"])
def test_a_reply_must_fit_both_contexts(short: str) -> None:
    engines = [TableEngine(random_table(0, 8 if short == which else 16)) for which in ("engine", "reference")]
    assert judge(*engines, [[1] * 4], 5)[0].tokens == 5  # the last one is not read
    for engine in engines:
        engine.calls.clear()
    with pytest.raises(ContextFull, match="9 tokens do not fit a context of 8"):
        judge(*engines, [[1], [1] * 4], 6)
    assert [engine.calls for engine in engines] == [[], []]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_reference_that_is_not_finite_judges_nothing(value: float) -> None:
    row = constant_table([1.0, 2.0, 0.0])
    sick = row.copy()
    sick[3, 1, 2] = value
    assert judge(TableEngine(row), TableEngine(sick), [[0]], 3)[0].equal == 3
    with pytest.raises(EvalError, match="a logit of the reference is not finite"):
        judge(TableEngine(row), TableEngine(sick), [[0]], 4)


def test_a_model_of_other_weights_does_not_agree(tmp_path: Path, small: Llama) -> None:
    other = Llama(open_gguf(write_llama(tmp_path / "n.gguf", weights=random_weights(SMALL, seed=5))))
    [judged] = judge(TorchEngine(other, 64), TorchEngine(small, 64), PROMPTS, 40)
    assert judged.beyond() > 100
