"""Calls in a reply that an engine writes token by token."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_templates import EOS, QWEN, SPECIAL, write_bytes

from llm.decode.generate import Called, Finished, GenerateConfig, Generated, Token, generate
from llm.gguf.file import open_gguf
from llm.text.tokenizer import Tokenizer

PROMPT = [1, 2, 3]
ROME = '{"city": "Rome"}'
HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'


class Script:
    """An engine that wants the tokens of a script, one after the other."""

    context = 2000

    def __init__(self, script: Sequence[int], vocabulary: int) -> None:
        self.tokens: list[int] = []
        self._script, self._vocabulary = list(script), vocabulary

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        self.tokens += tokens
        logits = np.zeros((logits_for, self._vocabulary), np.float32)
        logits[-1, self._script[len(self.tokens) - len(PROMPT)]] = 1
        return logits

    def truncate(self, length: int) -> None:
        assert length == len(self.tokens)

    def shift(self, start: int, stop: int) -> None:
        raise AssertionError("nothing is too long")


Run = Callable[..., list[Generated]]


@pytest.fixture(scope="module", params=["special", "text"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Markers of calls are special tokens, or written letter by letter."""
    special = SPECIAL if request.param == "special" else SPECIAL[:2]
    path = write_bytes(tmp_path_factory.mktemp("tools") / "v.gguf", QWEN, special)
    tokenizer = Tokenizer.from_gguf(open_gguf(path))

    def run(text: str, tools: Sequence[str] = ("get_weather", "stop"), **config: object) -> list[Generated]:
        script = [*tokenizer.encode_template(text), EOS]
        engine = Script(script, tokenizer.vocab_size)
        wanted = GenerateConfig(**{"max_tokens": 1000, **config})  # type: ignore[arg-type]
        return list(generate(engine, tokenizer, PROMPT, wanted, tools=tools))  # type: ignore[arg-type]

    return run


def said(events: Sequence[Generated]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token | Finished))


def called(events: Sequence[Generated]) -> list[tuple[str, str]]:
    return [(event.name, event.arguments) for event in events if isinstance(event, Called)]


def test_a_call_is_told_and_not_said(run: Run) -> None:
    *_, call, last = events = run(HERMES)
    assert said(events) == ""
    assert isinstance(call, Token | Called)
    assert called(events) == [("get_weather", ROME)]
    assert last == Finished("tool_calls", "")
    (found,) = [event for event in events if isinstance(event, Called)]
    assert found.call_id.startswith("call_")
    assert len(found.call_id) <= 32


def test_text_may_come_before_it_and_lines_do_not_end_it(run: Run) -> None:
    events = run(f"Let me see.\n\n{HERMES}\n{HERMES}")
    assert said(events) == "Let me see."
    assert called(events) == [("get_weather", ROME)] * 2
    assert events[-1] == Finished("tool_calls", "")


def test_a_stop_string_in_text_ends_the_reply_before_a_call(run: Run) -> None:
    events = run(f"Hello.\nAnd more. {HERMES}", stop=("\n",))
    assert said(events) == "Hello."
    assert events[-1] == Finished("stop", "")
    # One token more than without tools: a call could have followed.
    tokens = sum(isinstance(event, Token) for event in events)
    assert tokens == 1 + sum(isinstance(event, Token) for event in run("Hello.\nAnd more.", (), stop=("\n",)))


def test_a_call_that_completes_with_the_reply_comes_before_its_end(run: Run) -> None:
    events = run('{"name": "stop", "parameters": {}}')
    assert called(events) == [("stop", "{}")]
    assert events[-1] == Finished("tool_calls", "")


def test_a_call_that_is_cut_off_is_neither_told_nor_said(run: Run) -> None:
    events = run(f"Well. {HERMES}", max_tokens=30)
    assert said(events) == "Well."
    assert called(events) == []
    assert events[-1] == Finished("length", "")


def test_what_began_like_a_call_is_said_at_the_end(run: Run) -> None:
    events = run("a <tool")
    assert said(events) == "a <tool"
    assert events[-1] == Finished("end", " <tool")


def test_without_tools_a_call_is_text_and_its_special_tokens_are_not_shown(run: Run) -> None:
    events = run("<tool_call>{}</tool_call>", ())
    assert said(events) in ("{}", "<tool_call>{}</tool_call>")
    assert called(events) == []
    assert events[-1] == Finished("end", "")


@given(text=st.text(st.sampled_from("ab é🙂\n"), max_size=12))
@settings(max_examples=100, deadline=None)
def test_with_tools_an_ordinary_reply_is_the_same(run: Run, text: str) -> None:
    with_tools, without = run(text), run(text, ())
    assert said(with_tools) == said(without)
    # Lines with nothing behind them are the end of a reply either way.
    reasons = {event.reason for event in (with_tools[-1], without[-1]) if isinstance(event, Finished)}
    assert reasons in ({"end"}, {"stop"}, {"end", "stop"})
    assert len(reasons) == 1 or not text.partition("\n")[2].strip()
