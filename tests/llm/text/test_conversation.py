from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_files import SMALL, write_llama

from llm.gguf.file import open_gguf
from llm.text.chat import ChatTemplate, Message, Tool
from llm.text.conversation import fit
from llm.text.tokenizer import Tokenizer

SYSTEM = Message("system", "Be brief.")


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> ChatTemplate:
    """ChatML over single bytes: a message of n bytes takes n, its role and 4 more."""
    file = open_gguf(write_llama(tmp_path_factory.mktemp("conversation") / "m.gguf", SMALL))
    return ChatTemplate.from_gguf(file, Tokenizer.from_gguf(file))


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


TURNS = [user("a" * 10), assistant("b" * 20), user("c" * 10), assistant("d" * 20), user("e" * 10)]
REPLY = len("assistant\n") + 1  # what asks for a reply
COSTS = [len(m.role) + len(m.content) + 4 for m in [SYSTEM, *TURNS]]


def test_all_of_it_is_kept_while_it_fits(chatml: ChatTemplate) -> None:
    tokens = sum(COSTS) + REPLY
    ids, kept = fit([SYSTEM, *TURNS], chatml, context=tokens + 30, reserve=30)
    assert kept == [SYSTEM, *TURNS]
    assert ids == chatml.ids(kept)
    assert len(ids) == tokens


def test_whole_turns_are_dropped_oldest_first_until_a_quarter_is_free(chatml: ChatTemplate) -> None:
    everything = sum(COSTS) + REPLY
    without_one = everything - COSTS[1] - COSTS[2]
    long = user("f" * 60)  # without the oldest turn three quarters of the room are enough for the rest
    without_two = without_one - COSTS[3] - COSTS[4]
    cost = len("user") + 60 + 4
    assert without_one <= 0.75 * (everything - 1) < without_one + cost
    for messages, budget, kept in (
        (TURNS, everything, TURNS),
        (TURNS, everything - 1, TURNS[2:]),
        ([*TURNS, long], everything + cost - 1, [*TURNS[4:], long]),
        ([*TURNS, long], int((without_two + cost) / 0.75) + 1, [*TURNS[4:], long]),
        (TURNS, without_one - 1, TURNS[4:]),
        (TURNS, 1, TURNS[4:]),  # the engine will refuse it
        (TURNS, -50, TURNS[4:]),
    ):
        expected = chatml.ids([SYSTEM, *kept]), [SYSTEM, *kept]
        assert fit([SYSTEM, *messages], chatml, context=1000, reserve=1000 - budget) == expected


def test_the_callers_history_is_left_alone(chatml: ChatTemplate) -> None:
    history = [SYSTEM, *TURNS]
    fit(history, chatml, context=40, reserve=10)
    assert history == [SYSTEM, *TURNS]
    assert fit(tuple(history), chatml, context=40, reserve=10)[1] == [SYSTEM, TURNS[4]]


@pytest.mark.parametrize("messages", [[SYSTEM], [user("x")], [SYSTEM, user("x")], [SYSTEM, assistant("Hi!")]])
def test_what_has_one_turn_at_most_is_kept(chatml: ChatTemplate, messages: list[Message]) -> None:
    assert fit(messages, chatml, context=1, reserve=1) == (chatml.ids(messages), messages)


def longest(
    messages: Sequence[Message], chatml: ChatTemplate, budget: int
) -> tuple[list[Message], list[list[Message]]]:
    """All of it, else the longest end from a user message in 3/4 of the budget, else the last turn."""
    head = [m for m in messages[:1] if m.role == "system"]
    starts = [i for i, m in enumerate(messages) if m.role == "user"]
    ends = [list(messages), *([*head, *messages[i:]] for i in starts)]
    if len(chatml.ids(list(messages))) <= budget:
        return list(messages), ends
    fitting = [end for end in ends if len(chatml.ids(end)) <= 0.75 * budget]
    return max(fitting, key=len, default=ends[-1]), ends


turn = st.tuples(
    st.text("xy", max_size=20).map(user),
    st.lists(st.text("z", max_size=30).map(assistant), max_size=2),  # none: the reply was not heard
).map(lambda parts: [parts[0], *parts[1]])


@given(
    head=st.sampled_from([[], [SYSTEM], [assistant("Hello!")], [SYSTEM, assistant("Hello!")]]),
    turns=st.lists(turn, min_size=1, max_size=7),
    context=st.integers(0, 450),
    reserve=st.integers(0, 100),
)
@settings(max_examples=200, deadline=None)
def test_the_longest_history_that_fits(
    chatml: ChatTemplate, head: list[Message], turns: list[list[Message]], context: int, reserve: int
) -> None:
    messages = [*head, *(message for turn in turns for message in turn)]
    expected, ends = longest(messages, chatml, context - reserve)
    ids, kept = fit(messages, chatml, context=context, reserve=reserve)
    assert kept == expected
    assert ids == chatml.ids(kept)
    assert len(ids) <= context - reserve or kept == ends[-1]
    assert kept[-1] == messages[-1]
    assert [m for m in kept if m.role == "system"] == [m for m in messages if m.role == "system"]


class Watched:
    """A template that counts the characters that it is given to encode."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template, self.chars = template, 0

    def ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        self.chars += sum(len(message.content) for message in messages)
        return self._template.ids(messages, tools)


def test_a_long_history_is_not_encoded_once_a_turn(chatml: ChatTemplate) -> None:
    """A quarter of a megabyte, of which 16 characters for each of 1500 tokens are looked at."""
    template = Watched(chatml)
    history = [SYSTEM, *(user(f"{number:03} " + "x" * 496) for number in range(500))]
    ids, kept = fit(history, template, context=2000, reserve=500)  # type: ignore[arg-type]
    assert kept == [SYSTEM, *history[-2:]] and len(ids) <= 1500
    assert template.chars < 4 * 16 * 1500
