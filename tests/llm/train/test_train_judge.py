"""Judging replies, on replies written for it."""

import pytest

from llm.text.message import Message
from llm.train.grammar import Example, call_text
from llm.train.judge import judge
from llm.train.sections import Kind


def example(kind: Kind, reply: str, pattern: str = "") -> Example:
    return Example(kind, f"{kind}/one", (Message("user", "Say something."),), reply, pattern)


TIMER = call_text([("HassStartTimer", {"minutes": 10, "name": "tea"})])


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        (TIMER, True),
        (
            TIMER.replace("tea", "Tea").replace("10", "10.0"),
            True,
        ),
        (f"{TIMER}\n{TIMER}", False),
        (call_text([("HassStartTimer", {"minutes": 10})]), False),
        (call_text([("HassStartTimer", {"minutes": 1, "name": "tea"})]), False),
        (call_text([("HassCancelTimer", {"minutes": 10, "name": "tea"})]), False),
        ('<tool_call>{"name": "HassStartTimer", "arguments": {"minutes": 10', False),
        ("I started a timer for ten minutes.", False),
    ],
)
def test_a_command_is_right_with_the_same_call_only(reply: str, right: bool) -> None:
    assert judge(example("command", TIMER), reply).right is right


def test_two_calls_may_come_in_any_order() -> None:
    calls = [("HassShoppingListAddItem", {"item": "figs"}), ("HassShoppingListAddItem", {"item": "jam"})]
    wanted = example("command", call_text(calls))
    assert judge(wanted, call_text(calls[::-1])).right
    assert not judge(wanted, call_text(calls[:1])).right


@pytest.mark.parametrize(
    ("reply", "right", "claimed"),
    [
        ("I can't check the weather, but I can set a timer.", True, False),
        ("I don't know, sorry.", True, False),
        ("Sorry, I have no access to your email.", True, False),
        ("I'm not sure.", True, False),
        ("It is sunny and warm today.", False, True),
        ("The temperature is 21 degrees.", False, True),
        ("I've sent the email to your boss.", False, True),
        ("Calling your mother now.", False, True),
        ("Calling is something I can't do, sorry.", True, False),
        ("Sure, your pizza is on its way!", False, True),
        ("I'll call them, although I can't see who it is.", False, True),
        ("The Reds won the match 3 to 1, I'm not sure though.", False, True),
        ("I have no phone. " + call_text([("HassStartTimer", {"minutes": 1})]), False, True),
        ("What a nice question.", False, False),
        ("", False, False),
    ],
)
def test_what_it_cannot_do_is_admitted_and_nothing_is_claimed(reply: str, right: bool, claimed: bool) -> None:
    verdict = judge(example("cannot", "I can't do that."), reply)
    assert (verdict.right, verdict.claimed) == (right, claimed)


def test_a_fact_is_right_if_its_pattern_is_there_and_nothing_is_called() -> None:
    wanted = example("fact", "A spider has eight legs.", r"\b(eight|8)\b")
    assert judge(wanted, "It has 8 legs.").right
    assert judge(wanted, "Eight.").right
    assert not judge(wanted, "It has 80 legs.").right
    verdict = judge(wanted, f"Eight. {TIMER}")
    assert (verdict.right, verdict.called, verdict.words) == (False, True, 1)
