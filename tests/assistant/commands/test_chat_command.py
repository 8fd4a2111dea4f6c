"""A typed conversation: what is answered, what Ctrl-C stops, and what ends it."""

import asyncio
import io
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from assistant.commands.chat import Chat, converse
from assistant.commands.typed import MAX_CHARS
from assistant.runtime import Clock
from assistant.session.session import SessionConfig
from assistant.session.stages import AskUrgency, Stages
from llm.decode.engine import ContextFull
from llm.decode.generate import Finished, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message


@dataclass
class Echo:
    """A language model that says back what it was told; "forever" it does without an end."""

    takes_tools = False
    tells_ends = False
    on_token: Callable[[int], None] = lambda _: None
    asked: list[str] = field(default_factory=list)
    answering: str = ""

    async def read_ahead(self, *_: object) -> None:
        raise AssertionError("nobody speaks")

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        self.answering = transcript or ""
        self.asked.append(self.answering)
        return Prompt([1], tuple(history), 0, options)

    async def reply(self, _prompt: Prompt, _urgency: AskUrgency) -> AsyncGenerator[Generated, None]:
        yield Started()
        if self.answering == "too long":
            raise ContextFull(3000, 2048)
        number = 0
        while not number or "forever" in self.answering:
            yield Token(7, f"{self.answering}. ")
            number += 1
            self.on_token(number)
            await asyncio.sleep(0)
        yield Finished("end", "")

    def completeness(self, _prefilled: Prefilled) -> float:
        raise AssertionError("nobody speaks")


class Keyboard(io.StringIO):
    """Lines of a terminal; at None the user presses Ctrl-C."""

    def __init__(self, *lines: str | None) -> None:
        super().__init__()
        self._lines = list(lines)

    def isatty(self) -> bool:
        return True

    def readline(self, _size: int | None = -1, /) -> str:
        line = self._lines.pop(0) if self._lines else ""
        if line is None:
            signal.raise_signal(signal.SIGINT)
        return line or ""


def chat(source: io.StringIO, model: Echo) -> Chat:
    return asyncio.run(converse(source, Stages(model), SessionConfig("Be brief."), Clock()))


def test_every_line_is_answered_in_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    model = Echo()
    ended = chat(io.StringIO("one\n\n  two \nthree"), model)
    assert model.asked == ["one", "two", "three"]
    assert capsys.readouterr().out == "one. \ntwo. \nthree. \n"
    assert [reply.strip() for reply in ended.replies] == ["one.", "two.", "three."]
    assert ended.interrupts == 0


def test_a_line_that_fails_is_one_line_and_the_next_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    model = Echo()
    chat(io.StringIO(f"too long\n{'a' * (MAX_CHARS + 5)}\ntwo\n"), model)
    assert model.asked == ["too long", "two"]
    printed = capsys.readouterr()
    assert printed.out == "\ntwo. \n"
    assert printed.err.splitlines() == [
        "assistant: no reply: 3000 tokens do not fit a context of 2048",
        f"assistant: a line of more than {MAX_CHARS} characters is not read",
    ]


def test_ctrl_c_stops_the_reply_and_the_next_line_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    model = Echo(on_token=lambda number: signal.raise_signal(signal.SIGINT) if number == 5 else None)
    ended = chat(Keyboard("forever\n", "two\n"), model)
    assert model.asked == ["forever", "two"]
    assert capsys.readouterr().out.splitlines()[-1] == "two. "
    assert len(ended.replies) == 2
    assert ended.replies[0].count("forever") >= 5
    assert ended.interrupts < 2


@pytest.mark.parametrize("source", [Keyboard("forever\n", "two\n"), io.StringIO("forever\ntwo\n")])
def test_ctrl_c_twice_in_a_reply_leaves_and_once_where_nobody_types(source: io.StringIO) -> None:
    presses = {5, 6} if source.isatty() else {5}
    model = Echo(on_token=lambda number: signal.raise_signal(signal.SIGINT) if number in presses else None)
    ended = chat(source, model)
    assert model.asked == ["forever"]
    assert ended.interrupts > 1


def test_ctrl_c_at_the_prompt_says_how_to_leave_and_a_second_one_leaves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = Echo()
    ended = chat(Keyboard("one\n", None, "two\n", None, None, "three\n"), model)
    assert model.asked == ["one", "two"]
    assert "Ctrl-D or /quit leaves" in capsys.readouterr().out
    assert ended.interrupts > 1


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    model = Echo()
    ended = chat(io.StringIO("/help\n/quti\n/etc/hosts is what?\n/quit\nnever\n"), model)
    assert model.asked == ["/etc/hosts is what?"]
    printed = capsys.readouterr()
    assert "/quit" in printed.out
    assert "Ctrl-C" in printed.out
    assert printed.err == "assistant: no command '/quti'; did you mean '/quit'?\n"
    assert ended.interrupts == 0
