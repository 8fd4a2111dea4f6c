"""Whatever is said, heard and called: a request begins with the one before it, byte for byte."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.decode.generate import GenerateConfig
from llm.decode.options import ReplyOptions
from llm.remote.chat_api import request_body
from llm.remote.client import RemoteModel
from llm.remote.config import RemoteConfig
from llm.remote.layout import closed_turns, fit
from llm.text.message import Call, Message, Tool

SYSTEM = Message("system", "Be brief.")
TOOLS = (Tool("look", "Look it up."), Tool("stop"))

texts = st.text("ab ?.,!\n\u2026\u00e9\U0001f600", min_size=1, max_size=12).filter(str.strip)
# What the user says, typed or spoken, whether words of the reply were heard, calls with outputs, and what a
# client tells the model.
turns = st.lists(
    st.tuples(texts, st.one_of(st.none(), texts), st.integers(0, 2), st.one_of(st.none(), texts)),
    min_size=2,
    max_size=8,
)
Turn = tuple[str, str | None, int, str | None]


def requests(said: Sequence[Turn], budget: int, choices: Sequence[str] = ("auto",)) -> list[bytes]:
    """The body of each request of a conversation."""
    remote = RemoteModel(RemoteConfig("http://127.0.0.1/v1", max_prompt_chars=budget), GenerateConfig(), {})
    history, bodies = [SYSTEM], list[bytes]()

    def ask(text: str | None) -> int:
        options = ReplyOptions(tools=TOOLS, tool_choice=choices[len(bodies) % len(choices)])
        prompt = remote.prompt(history, text, options)
        bodies.append(request_body("tiny", prompt.history, GenerateConfig(), options))
        return prompt.dropped

    for text, heard, calls, told in said:
        dropped = ask(text)
        history.append(Message("user", text))  # as it was said, and not as it was sent
        for number in range(calls):
            history.append(Message("assistant", "", calls=(Call(f"c{len(history)}", "look", "{}"),)))
            history.append(Message("tool", str(number), call_id=f"c{len(history) - 1}"))
        if calls:
            del history[1 : 1 + dropped]
            dropped = ask(None)
        if heard:
            history.append(Message("assistant", heard))
        del history[1 : 1 + dropped]  # as a conversation forgets them when its reply is over
        if told and heard:
            history.append(Message("system", told))
    return bodies


def messages(body: bytes) -> list[bytes]:
    """Each message of a request, as it is written there."""
    written = [json.dumps(message).encode() for message in json.loads(body)["messages"]]
    assert b'"messages": [' + b", ".join(written) + b"]" in body
    return written


@given(turns)
def test_a_request_begins_with_the_one_before_it(said: list[Turn]) -> None:
    for (_, heard, calls, _), (before, after) in zip(said, pairwise(requests(said, 10**6)), strict=False):
        if any(turn[2] for turn in said):
            break  # requests are not one a turn: below
        grows = not heard and not calls
        same = messages(before)[: -1 if grows else None]
        assert messages(after)[: len(same)] == same
        if not grows:
            assert after.startswith(before[: before.rindex(b"]", 0, before.index(b'"stream"'))])


@given(turns, st.permutations(["auto", "none", "required", "look"]))
def test_calls_and_choices_of_tools_change_nothing_of_it(said: list[Turn], choices: list[str]) -> None:
    bodies = requests(said, 10**6, choices)
    assert len({json.dumps(json.loads(body)["tools"]) for body in bodies}) == 1
    for before, after in pairwise(bodies):
        one, other = messages(before), messages(after)
        assert other[: len(one) - 1] == one[:-1]
        if one[-1] != other[len(one) - 1]:  # what the user said was not answered with a word
            was, now = json.loads(one[-1]), json.loads(other[len(one) - 1])
            assert was["role"] == now["role"] == "user"
            assert now["content"].startswith(was["content"].rstrip(".?!"))


@given(turns, st.integers(60, 200))
def test_what_does_not_fit_is_dropped_seldom(said: list[Turn], budget: int) -> None:
    """A request either begins with the one before, or it leaves a quarter free, or has its last turn only."""
    for before, after in pairwise(requests(said, budget)):
        one, other = messages(before), messages(after)
        if other[: len(one) - 1] == one[:-1]:
            continue
        asked = json.loads(after)["messages"]
        chars = sum(len(message["content"] or "") for message in asked)
        users = sum(message["role"] == "user" for message in asked)
        marks = 2 * len(said)  # that close and join sentences, which are not counted
        assert chars <= budget * 3 // 4 + marks or users == 1


def test_where_it_is_cut_stays_while_nothing_is_forgotten() -> None:
    """A reply that is held has not made the conversation forget what did not fit."""
    history = [SYSTEM]
    kept: list[list[Message]] = []
    for number in range(12):
        history.append(Message("user", f"{number:02}" * 5))
        kept.append(fit(history, 100)[1:])
        history.append(Message("assistant", f"{number:02}" * 5))
    # 9 characters of the system, 20 a turn, 10 of the last: 5 turns are 99, 3 are 59, 4 over three quarters.
    assert [len(messages) // 2 + 1 for messages in kept] == [1, 2, 3, 4, 5, 3, 4, 5, 3, 4, 5, 3]
    for before, after in pairwise(kept):
        assert after[: len(before)] == before or len(after) < len(before) + 2


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (["What time is it"], "What time is it."),
        (["Do you", "know Rome?"], "Do you know Rome?"),
        (["Wait\u2026", "no"], "Wait\u2026 no."),
    ],
)
def test_what_the_user_says_is_the_same_when_it_is_asked_and_when_it_is_history(
    said: list[str], sent: str
) -> None:
    remote = RemoteModel(RemoteConfig("http://127.0.0.1/v1"), GenerateConfig(), {})
    *before, last = (Message("user", text) for text in said)
    asked = remote.prompt([SYSTEM, *before], last.content).history
    later = remote.prompt([SYSTEM, *before, last, Message("assistant", "Yes.")], "Thanks").history
    assert asked == (SYSTEM, Message("user", sent))
    assert later[:2] == asked
    assert closed_turns(later) == list(later)
