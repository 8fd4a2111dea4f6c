from collections.abc import Callable, Sequence

import numpy as np
import pytest
from gguf_writer import write_vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from llm.decode.engine import ContextFull
from llm.decode.generate import Finished, GenerateConfig, Generated, Prefilled, Started, Token, generate
from llm.decode.sample import BrokenLogits, Sampling
from llm.gguf.file import open_gguf
from llm.text.tokenizer import Tokenizer

PROMPT = [1, 2, 3]
END = 256  # of 256 single bytes, then the end of a reply


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|im_end|>"]
    path = tmp_path_factory.mktemp("generate") / "v.gguf"
    return Tokenizer.from_gguf(
        open_gguf(write_vocabulary(path, tokens, [1] * 256 + [3], [], ids={"eos": END}))
    )


class ScriptedEngine:
    """Wants the tokens of its script, in turn; refuses any call but the one that gives the next."""

    def __init__(self, script: Sequence[int], context: int = 1000) -> None:
        self.context = context
        self.script, self.held = list(script), list[int]()

    @property
    def tokens(self) -> Sequence[int]:
        return self.held

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        if self.held:
            assert list(tokens) == [self.script.pop(0)], "not the token that was the likeliest"
        assert len(self.held) + len(tokens) <= self.context, "past the context"
        self.held += tokens
        earlier = [np.full(END + 1, float(i), np.float32) for i in range(logits_for - 1)]
        return np.stack([*earlier, self._wants(self.script[0])])

    def truncate(self, length: int) -> None:
        assert length == len(self.held), "nothing to take back"

    def _wants(self, token: int) -> np.ndarray:
        logits = np.zeros(END + 1, np.float32)
        logits[token] = 1
        return logits


Run = Callable[..., tuple[list[Generated], ScriptedEngine]]


@pytest.fixture(scope="module")
def run(tokenizer: Tokenizer) -> Run:
    def run(
        script: str | bytes,
        *,
        context: int = 1000,
        stopped: Callable[[], bool] = lambda: False,
        **config: object,
    ) -> tuple[list[Generated], ScriptedEngine]:
        """A reply of the script, one token a byte, and the end; what came and the engine after it."""
        raw = script.encode() if isinstance(script, str) else script
        ids = {tokenizer.token_bytes(i): i for i in range(256)}
        engine = ScriptedEngine([*(ids[bytes([b])] for b in raw), END], context)
        events = generate(engine, tokenizer, PROMPT, GenerateConfig(**config), stopped=stopped)  # type: ignore[arg-type]
        return list(events), engine

    return run


def texts(events: list[Generated]) -> list[str]:
    return [event.text for event in events if isinstance(event, Token | Finished)]


def test_a_reply_to_its_end(run: Run, tokenizer: Tokenizer) -> None:
    events, engine = run("Hi!")
    assert isinstance(events[0], Started)
    assert isinstance(events[1], Prefilled)
    assert events[2:] == [*(Token(tokenizer.encode(c)[0], c) for c in "Hi!"), Finished("end", "")]
    assert engine.held == [*PROMPT, *tokenizer.encode("Hi!")]
    assert engine.script == [END]  # chosen, and not appended


def test_a_reply_of_nothing(run: Run) -> None:
    events, engine = run("")
    assert events[2:] == [Finished("end", "")]
    assert engine.held == PROMPT


def test_characters_come_when_their_last_byte_does(run: Run) -> None:
    events, _ = run("a🙂é")
    assert texts(events) == ["a", "", "", "", "🙂", "", "é", ""]


@pytest.mark.parametrize(("raw", "last"), [(b"ok \xf0\x9f", " \ufffd"), (b"ok \xff", "")])
def test_an_unfinished_character_is_replaced(run: Run, raw: bytes, last: str) -> None:
    events, _ = run(raw)
    assert "".join(texts(events)) == "ok \ufffd"
    assert events[-1] == Finished("end", last)


def test_no_more_tokens_than_allowed(run: Run) -> None:
    events, engine = run("Hello", max_tokens=3)
    assert texts(events) == ["H", "e", "l", ""]
    assert events[-1] == Finished("length", "")
    assert len(engine.held) == len(PROMPT) + 2  # no step for a token that is not wanted
    events, _ = run("Hi🙂", max_tokens=4)
    assert events[-1] == Finished("length", "\ufffd")
    events, _ = run("Hel", max_tokens=3)
    assert events[-1] == Finished("length", "")


def test_a_reply_ends_where_the_context_does(run: Run) -> None:
    for room in range(4):
        events, engine = run("Hello", context=len(PROMPT) + room)
        assert "".join(texts(events)) == "Hello"[: room + 1]  # the last token chosen needs no room
        assert events[-1] == Finished("length", "")
        assert len(engine.held) == engine.context


def test_a_prompt_that_does_not_fit(tokenizer: Tokenizer) -> None:
    events = generate(ScriptedEngine([END], 2), tokenizer, PROMPT, GenerateConfig())
    assert isinstance(next(events), Started)
    with pytest.raises(ContextFull, match="3 tokens do not fit a context of 2"):
        next(events)


def test_a_stop_string_ends_the_reply_and_is_no_part_of_it(run: Run) -> None:
    events, engine = run("Yes.\nUser: no", stop=("###", "\nUser:"))
    assert texts(events) == ["Y", "e", "s", ".", "", "", "", "", "", "", ""]
    assert events[-1] == Finished("stop", "")
    assert len(engine.held) == len(PROMPT) + len("Yes.\nUser")  # no step after the colon


@pytest.mark.parametrize(("max_tokens", "reason"), [(96, "end"), (8, "length")])
def test_what_only_began_like_a_stop_string_is_not_lost(run: Run, max_tokens: int, reason: str) -> None:
    events, _ = run("Yes.\nUse", stop=("\nUser:",), max_tokens=max_tokens)
    assert events[-1] == Finished(reason, " Use")
    assert "".join(texts(events)) == "Yes. Use"


@pytest.mark.parametrize("tokens", range(4))
def test_it_ends_early_without_finished_once_stopped(run: Run, tokenizer: Tokenizer, tokens: int) -> None:
    answers = iter([False] * (tokens + 1) + [True])
    events, engine = run("Hello", stopped=lambda: next(answers))
    assert "".join(texts(events)) == "Hello"[:tokens]
    assert not any(isinstance(event, Finished) for event in events)
    assert len(engine.held) == len(PROMPT) + tokens


def test_nothing_is_computed_when_it_was_stopped_before_it_began(run: Run) -> None:
    events, engine = run("Hello", stopped=lambda: True)
    assert events == [Started()]
    assert engine.held == []


def test_nothing_is_computed_ahead_of_the_reader(tokenizer: Tokenizer) -> None:
    engine = ScriptedEngine([*tokenizer.encode("Hello"), END])
    events = generate(engine, tokenizer, PROMPT, GenerateConfig())
    next(events)
    assert engine.held == []
    next(events), next(events), next(events)
    assert engine.held == [*PROMPT, *tokenizer.encode("H")]
    events.close()  # type: ignore[attr-defined]  # it is a generator
    assert engine.held == [*PROMPT, *tokenizer.encode("H")]


def test_logits_of_the_prompts_last_tokens_are_given(tokenizer: Tokenizer) -> None:
    engine = ScriptedEngine([*tokenizer.encode("x"), END])
    _, prefilled, token, _ = generate(engine, tokenizer, PROMPT, GenerateConfig(), logits_for=3)
    assert isinstance(prefilled, Prefilled)
    assert prefilled.logits[:, 0].tolist() == [0, 1, 0]
    assert token == Token(tokenizer.encode("x")[0], "x")  # chosen by the last row


def test_the_repetition_penalty_knows_the_reply_and_not_the_prompt(tokenizer: Tokenizer) -> None:
    class Steady(ScriptedEngine):
        def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
            return self._wants(tokens[-1])[None]

        def _wants(self, token: int) -> np.ndarray:
            logits = np.zeros(END + 1, np.float32)
            logits[[1, 10, 11]] = 4, 3.5, 3  # token 1 is in the prompt
            return logits

    config = GenerateConfig(max_tokens=4, sampling=Sampling(repetition_penalty=1.2))
    events = generate(Steady([0]), tokenizer, PROMPT, config)
    # 4, 3.5, 3; then 3.33, 3.5, 3; then 3.33, 2.92, 3; then the same again.
    assert [event.id for event in events if isinstance(event, Token)] == [1, 10, 1, 1]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize(
    ("value", "everywhere"), [(np.nan, False), (np.nan, True), (np.inf, False), (-np.inf, True)]
)
def test_a_model_that_computes_nonsense_is_told(
    tokenizer: Tokenizer, temperature: float, value: float, everywhere: bool
) -> None:
    class Broken(ScriptedEngine):
        def _wants(self, token: int) -> np.ndarray:
            logits = super()._wants(token)
            logits[slice(None) if everywhere else 7] = value
            return logits

    config = GenerateConfig(sampling=Sampling(temperature=temperature, repetition_penalty=1.1))
    events = generate(Broken([END]), tokenizer, PROMPT, config)
    assert isinstance(next(events), Started)
    assert isinstance(next(events), Prefilled)
    with pytest.raises(
        BrokenLogits, match=f"largest of 257 logits is {value}: the model or its file is broken"
    ):
        next(events)


def test_a_reply_of_no_tokens_is_refused() -> None:
    for max_tokens in (0, -1):
        with pytest.raises(ValueError, match="max_tokens must be positive"):
            GenerateConfig(max_tokens=max_tokens)
    with pytest.raises(ValueError, match="enough_chars not negative"):
        GenerateConfig(enough_chars=-1)


def test_enough_ends_with_its_sentence(run: Run) -> None:
    events, engine = run("It is so. Is it? Yes. No.", enough_chars=10)
    assert "".join(texts(events)) == "It is so. Is it?"
    assert events[-1] == Finished("stop", "")
    assert engine.held[-1:] == engine.held[len(PROMPT) + len("It is so. Is it? ") - 1 :]  # Y was chosen


def test_a_reply_has_no_lines(run: Run) -> None:
    events, _ = run("Two:\n1. one\n2. two\n\nMore.\n\nOver.")
    assert "".join(texts(events)) == "Two: one. two. More."
    assert events[-1] == Finished("stop", "")


def test_the_last_reply_is_penalized_with_this_one(tokenizer: Tokenizer) -> None:
    class Either(ScriptedEngine):
        def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
            logits = np.zeros(END + 1, np.float32)
            logits[[70, 71]] = 4, 3.8
            return logits[None]

    config = GenerateConfig(max_tokens=1, sampling=Sampling(repetition_penalty=1.1))
    for said, chosen in (([], 70), ([70], 71), ([70, 71], 70), ([9], 70)):
        events = generate(Either([0]), tokenizer, PROMPT, config, said=said)
        assert [event.id for event in events if isinstance(event, Token)] == [chosen]


@given(
    text=st.text("ab é🙂", max_size=12),
    stop=st.lists(st.text("ab é🙂", min_size=1, max_size=3), max_size=2).map(tuple),
    max_tokens=st.integers(1, 20),
)
@settings(max_examples=300, deadline=None)
def test_the_texts_joined_are_the_reply(run: Run, text: str, stop: tuple[str, ...], max_tokens: int) -> None:
    events, _ = run(text, stop=stop, max_tokens=max_tokens)
    said = text.encode()[:max_tokens].decode(errors="replace")
    ends = [end for end in range(len(said) + 1) if said[:end].endswith(stop) and stop]
    if ends:
        start = ends[0] - max(len(s) for s in stop if said[: ends[0]].endswith(s))
        said, reason = said[:start], "stop"
    else:
        reason = "length" if len(text.encode()) >= max_tokens else "end"
    assert "".join(texts(events)) == said.strip()
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == reason
