"""A greedy reply of an engine that decodes ahead is the one that comes token by token."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from gguf_writer import write_vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.decode.drafts import prompt_lookups
from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Token, generate
from llm.decode.sample import BrokenLogits, Sampler, Sampling
from llm.decode.speculate import Speculated, Speculator
from llm.gguf.file import open_gguf
from llm.text.tokenizer import Tokenizer

A, NEWLINE, END = 0, 4, 5
WEIGHTS = np.array([5, 4, 3, 2, 1, 1])  # of the likeliest token and so on


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path: Path = tmp_path_factory.mktemp("ahead") / "v.gguf"
    tokens, kinds = ["a", "b", "c", "d", "Ċ", "<|im_end|>"], [1] * 5 + [3]
    return Tokenizer.from_gguf(open_gguf(write_vocabulary(path, tokens, kinds, [], ids={"eos": END})))


class Plain:
    """Which tokens are likely depends on all those held; none is from `broken` tokens on."""

    def __init__(self, context: int = 1000, broken: int | None = None) -> None:
        self.context, self.held, self._broken = context, list[int](), broken

    @property
    def tokens(self) -> Sequence[int]:
        return self.held

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        assert len(self.held) + len(tokens) <= self.context, "past the context"
        self.held += tokens
        ends = range(len(self.held) - logits_for + 1, len(self.held) + 1)
        rows: np.ndarray = np.stack([self._logits(self.held[:end]) for end in ends])
        return rows

    def truncate(self, length: int) -> None:
        assert length <= len(self.held)
        del self.held[length:]

    def shift(self, start: int, stop: int) -> None:
        raise AssertionError("not asked for")

    def _logits(self, tokens: Sequence[int]) -> np.ndarray:
        order = np.random.default_rng([len(tokens), *tokens]).permutation(len(WEIGHTS))
        logits = np.log(WEIGHTS)[order].astype(np.float32)
        if self._broken is not None and len(tokens) >= self._broken:
            logits[2] = np.nan
        return logits


class MultiStepRunner(Plain):
    """Remembers its runs."""

    def __init__(self, context: int = 1000, broken: int | None = None) -> None:
        super().__init__(context, broken)
        self.runs, self.lookahead = list[int](), list[int]()

    def truncate(self, length: int) -> None:
        super().truncate(length)
        self.lookahead.clear()

    def can_sample(self, sampling: Sampling) -> bool:
        return sampling.temperature == 0

    def decode_steps(
        self, token: int, steps: int, *, seen: Sequence[int], sampling: Sampling, lookahead: int = 0
    ) -> list[int]:
        assert not any(self.lookahead[-1:]) or steps == self.lookahead[-1], "what was said to come next"
        self.runs.append(steps)
        self.lookahead.append(lookahead)
        sampler, seen = Sampler(sampling), list(seen)
        chosen: list[int] = []
        for _ in range(steps):
            logits = self.extend([chosen[-1] if chosen else token])[0]
            try:
                chosen.append(sampler.choose(logits, seen))
            except BrokenLogits:
                self.held.pop()
                if not chosen:
                    raise
                self.lookahead[-1] = 0  # there is no next
                break
            seen.append(chosen[-1])
        return chosen


def after(calls: int | None) -> Callable[[], bool]:
    """Stopped from that call on."""
    calls_made = count()
    return lambda: next(calls_made) >= calls if calls is not None else False


def outcome(events: Iterator[Generated]) -> tuple[list[Generated], bool]:
    """What came, without what has no plain `==`, and whether it broke."""
    came: list[Generated] = []
    try:
        came.extend(event for event in events if not isinstance(event, Prefilled))
    except BrokenLogits:
        return came, True
    return came, False


CONFIGS = st.builds(
    GenerateConfig,
    max_tokens=st.integers(1, 40),
    stop=st.lists(st.text("abcd\n", min_size=1, max_size=4), max_size=2).map(tuple),
    sampling=st.builds(
        Sampling,
        repetition_penalty=st.sampled_from([1.0, 1.1, 1.5, 0.8]),
        temperature=st.sampled_from([0.0, 0.0, 0.0, 0.7]),
        seed=st.integers(0, 9),
    ),
)


@given(
    prompts=st.lists(
        st.lists(st.integers(A, NEWLINE), min_size=1, max_size=6),
        min_size=1,
        max_size=3,
    ),
    config=CONFIGS,
    context=st.integers(6, 60),
    stops_after=st.none() | st.integers(0, 20),
    broken=st.none() | st.integers(1, 30),
    speculate=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_reply_is_the_one_that_comes_token_by_token(
    tokenizer: Tokenizer,
    prompts: list[list[int]],
    config: GenerateConfig,
    context: int,
    stops_after: int | None,
    broken: int | None,
    speculate: bool,
) -> None:
    plain, ahead = Plain(context, broken), MultiStepRunner(context, broken)
    for prompt in prompts:
        speculator = Speculator(list(prompt_lookups()), lambda: 0) if speculate else None
        expected, failed = outcome(
            generate(plain, tokenizer, prompt, config, stopped=after(stops_after), speculator=None)
        )
        got = outcome(
            generate(ahead, tokenizer, prompt, config, stopped=after(stops_after), speculator=speculator)
        )
        if config.sampling.temperature == 0:
            assert got == (expected, failed)
            if not failed:
                assert ahead.held == plain.held
        else:
            assert not ahead.runs
            assert [event for event in got[0] if not isinstance(event, Speculated)] == expected


@pytest.mark.parametrize(
    ("max_tokens", "runs"),
    [
        (1, []),
        (2, [1]),
        (3, [1, 1]),
        (9, [1, 7]),
        (40, [1, 8, 16, 14]),
    ],
)
def test_runs_grow_up_to_what_the_reply_may_have(
    tokenizer: Tokenizer, max_tokens: int, runs: list[int]
) -> None:
    engine = endless()
    list(generate(engine, tokenizer, [A], GenerateConfig(max_tokens, stop=())))
    assert engine.runs == runs
    assert not engine.lookahead, "nothing is left under way"


def test_a_reader_who_leaves_leaves_what_was_chosen(tokenizer: Tokenizer) -> None:
    for wanted in range(1, 20):
        engine = endless()
        events = generate(engine, tokenizer, [A], GenerateConfig(40, stop=()))
        ids = []
        for event in events:
            if isinstance(event, Token):
                ids.append(event.id)
            if len(ids) == wanted:
                break
        events.close()
        assert engine.held == [A, *ids[:-1]]


def test_what_follows_a_reply_is_not_taken_back_when_its_events_are_over(tokenizer: Tokenizer) -> None:
    engine = endless()
    for event in generate(engine, tokenizer, [A], GenerateConfig(12, stop=())):
        if isinstance(event, Finished):
            held = [*engine.held, A, A]
            engine.extend([A, A])
    assert engine.held == held


def test_the_end_is_told_with_nothing_held_behind_it(tokenizer: Tokenizer) -> None:
    engine = endless()
    said = "".join(
        e.text for e in generate(engine, tokenizer, [A], GenerateConfig(stop=())) if isinstance(e, Token)
    )
    engine.truncate(0)
    stop = said[8:16]  # ends within the third run
    for event in generate(engine, tokenizer, [A], GenerateConfig(stop=(stop,))):
        if isinstance(event, Finished):
            assert event.reason == "stop"
            assert engine.runs[-3:] == [1, 8, 16]
            assert len(engine.held) == said.index(stop) + len(stop)


def endless() -> MultiStepRunner:
    """An engine that neither ends nor breaks the line."""

    class Endless(MultiStepRunner):
        def _logits(self, tokens: Sequence[int]) -> np.ndarray:
            logits = super()._logits(tokens)
            logits[[NEWLINE, END]] = -9
            return logits

    return Endless()
