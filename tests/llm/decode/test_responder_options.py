"""Options of one reply, on a small model with a template that takes tools, and on one without."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf_writer import STRING, typed
from llama_files import SMALL, CountingLlama, one_thread, random_weights, write_llama
from tool_templates import QWEN
from torch_llama import Llama, TorchEngine

from llm.decode.generate import Called, Finished, GenerateConfig, Prefilled, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Responder
from llm.gguf.file import open_gguf
from llm.text.chat import Call, ChatTemplate, Message, Tool
from llm.text.tokenizer import Tokenizer

SYSTEM = Message("system", "Be brief.")
TOOL = Tool("f")
CONTEXT = 1024
LARGER = replace(SMALL, context=CONTEXT)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with one_thread():
        yield


class Parts:
    """A responder and what it is made of."""

    def __init__(self, path: Path, context: int = CONTEXT, max_tokens: int = 12) -> None:
        file = open_gguf(path)
        self.model = CountingLlama.of(Llama(file))
        self.tokenizer = Tokenizer.from_gguf(file)
        self.template = ChatTemplate.from_gguf(file, self.tokenizer)
        engine, config = TorchEngine(self.model, context), GenerateConfig(max_tokens, stop=())
        self.responder = Responder(engine, self.tokenizer, self.template, config)


@pytest.fixture(scope="module")
def tools_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never ends a reply by itself."""
    weights = random_weights(LARGER, tied=False)
    weights["output.weight"][-2:] = 0  # its two special tokens; of 256 others some logit is above 0
    path = tmp_path_factory.mktemp("options") / "tools.gguf"
    template = {"tokenizer.chat_template": typed(STRING, QWEN)}
    return write_llama(path, LARGER, weights=weights, metadata=template)


@pytest.fixture(scope="module")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("options") / "plain.gguf")


def tokens(parts: Parts, options: ReplyOptions) -> tuple[int, str]:
    """How many tokens a reply has, and why it ended."""
    events = list(parts.responder.reply(parts.responder.prompt([SYSTEM], "Hi", options), lambda: False))
    assert isinstance(events[-1], Finished)
    return sum(isinstance(event, Token) for event in events), events[-1].reason


@pytest.mark.parametrize(("limit", "expected"), [(None, 12), (1, 1), (5, 5), (40, 40)])
def test_a_reply_is_as_long_as_asked_for(tools_path: Path, limit: int | None, expected: int) -> None:
    assert tokens(Parts(tools_path), ReplyOptions(limit)) == (expected, "length")


def test_no_reply_is_longer_than_the_context(tools_path: Path) -> None:
    parts = Parts(tools_path, context=128)
    prompt = parts.responder.prompt([SYSTEM], "Hi", ReplyOptions(10_000))
    count, reason = tokens(parts, ReplyOptions(10_000))
    assert (count, reason) == (128 - len(prompt.ids) + 1, "length")


def test_a_long_limit_drops_no_more_of_the_history_than_a_quarter(tools_path: Path) -> None:
    parts = Parts(tools_path, context=200)
    history = [SYSTEM, Message("user", "a" * 20), Message("assistant", "b" * 20)]
    length = len(parts.template.ids([*history, Message("user", "Hi.")]))
    history[1] = Message("user", "a" * (20 + 150 - length))  # so that just 50 tokens are left
    assert len(parts.responder.prompt(history, "Hi").ids) == 150
    assert parts.responder.prompt(history, "Hi", ReplyOptions(10_000)).dropped == 0
    assert parts.responder.prompt(history, "Hi!", ReplyOptions(50)).dropped == 0
    assert parts.responder.prompt(history, "Hi there", ReplyOptions(50)).dropped == 2


def test_without_a_transcript_the_history_is_answered_as_it_stands(tools_path: Path) -> None:
    parts = Parts(tools_path)
    asked = [SYSTEM, Message("user", "what now")]
    call = Call("call_1", "f", "{}")
    answered = [*asked, Message("assistant", "", (call,)), Message("tool", "42", call_id="call_1")]
    for history in (asked, answered, [SYSTEM]):
        prompt = parts.responder.prompt(history, None)
        assert prompt.history == tuple(history)
        assert prompt.ids == parts.template.ids(history)
        *_, last = parts.responder.reply(prompt, lambda: False)
        assert isinstance(last, Finished)


def test_a_model_is_shown_the_tools_that_its_template_takes(tools_path: Path, plain_path: Path) -> None:
    options = ReplyOptions(tools=(TOOL,))
    shown = Parts(tools_path)
    assert shown.responder.takes_tools
    prompt = shown.responder.prompt([SYSTEM], "Hi", options)
    assert prompt.ids == shown.template.ids([SYSTEM, Message("user", "Hi.")], (TOOL,))
    assert '{"name": "f", ' in shown.tokenizer.decode(prompt.ids)
    assert prompt.options == options
    hidden = shown.responder.prompt([SYSTEM], "Hi", ReplyOptions(tools=(TOOL,), tool_choice="none"))
    assert hidden.ids == shown.responder.prompt([SYSTEM], "Hi").ids
    plain = Parts(plain_path)
    assert not plain.responder.takes_tools
    assert plain.responder.prompt([SYSTEM], "Hi", options).ids == plain.responder.prompt([SYSTEM], "Hi").ids


def test_what_was_read_ahead_with_tools_is_not_computed_again(tools_path: Path) -> None:
    parts, options = Parts(tools_path), ReplyOptions(tools=(TOOL,))
    parts.responder.read_ahead([SYSTEM], "tell me about", options)
    list(
        parts.responder.reply(parts.responder.prompt([SYSTEM], "tell me about frogs", options), lambda: False)
    )
    assert parts.tokenizer.decode(parts.model.computed[1]) == " frogs.\nassistant\n"


def test_a_model_that_writes_a_call_is_understood(tools_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up model's logits are replaced by those of a model that writes a call."""
    parts = Parts(tools_path, max_tokens=200)
    written = '<tool_call>\n{"name": "f", "arguments": {"a": "b\\nc"}}\n</tool_call>'
    script = [*parts.tokenizer.encode(written), *parts.tokenizer.eos_ids]
    forward = parts.model.forward

    def steered(*args: object) -> object:
        logits = forward(*args).clone()  # type: ignore[arg-type]
        logits[-1] = -10
        logits[-1, script[len(parts.model.computed) - 1]] = 10
        return logits

    monkeypatch.setattr(parts.model, "forward", steered)
    events = list(
        parts.responder.reply(
            parts.responder.prompt([SYSTEM], "Hi", ReplyOptions(tools=(TOOL,))), lambda: False
        )
    )
    assert isinstance(events[1], Prefilled)
    assert np.isfinite(events[1].logits).all()
    (call,) = [event for event in events if isinstance(event, Called)]
    assert (call.name, call.arguments) == ("f", '{"a": "b\\nc"}')
    assert events[-1] == Finished("tool_calls", "")
    assert "".join(event.text for event in events if isinstance(event, Token)) == ""


def test_as_configured_asks_for_nothing() -> None:
    assert ReplyOptions() == AS_CONFIGURED
