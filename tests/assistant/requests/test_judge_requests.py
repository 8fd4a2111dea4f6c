"""What counts as right, wrong and claimed, on replies written by hand."""

import pytest

from assistant.requests import Asked, Request, Turn, Verdict, judge
from assistant.requests.read import Kind


def verdict(kind: Kind, turn: Turn, asked: Asked) -> Verdict:
    return judge(Request(kind, (turn,)), [asked])


TIMER = Turn("x", "HassStartTimer", {"minutes": 10}, ("ten|10",))
ALARM = Turn("x", "SetAlarm", {"time": "06:45|18:45"})


@pytest.mark.parametrize(
    ("turn", "intent", "slots", "reply", "expected"),
    [
        (TIMER, "HassStartTimer", {"minutes": 10}, "10 minutes, starting now.", "right"),
        (TIMER, "HassStartTimer", {"minutes": 10.0, "name": "tea"}, "Ten minutes.", "right"),
        (TIMER, "HassStartTimer", {"minutes": 1}, "10 minutes, starting now.", "wrong"),
        (TIMER, "HassStartTimer", {}, "10 minutes, starting now.", "wrong"),
        (TIMER, "HassStartTimer", {"minutes": 10}, "Starting now.", "wrong"),
        (TIMER, "HassCancelTimer", {"minutes": 10}, "10 minutes.", "wrong"),
        (TIMER, "", {}, "I've set a timer for ten minutes.", "claimed"),
        (TIMER, "", {}, "Ten minutes is a long time.", "wrong"),
        (ALARM, "SetAlarm", {"time": "18:45"}, "18:45.", "right"),
        (ALARM, "SetAlarm", {"time": "19:45"}, "19:45.", "wrong"),
    ],
)
def test_a_command_is_right_if_it_was_understood_and_said(
    turn: Turn, intent: str, slots: dict[str, object], reply: str, expected: Verdict
) -> None:
    assert verdict("command", turn, Asked("x", intent, slots, reply)) == expected


@pytest.mark.parametrize(
    ("intent", "reply", "expected"),
    [
        ("CannotWeather", "I can't check the weather. I can tell you the time.", "right"),
        ("", "I'm sorry, but I don't have access to the weather.", "right"),
        ("", "It is sunny and 25 degrees.", "wrong"),
        ("", "I am calling your sister now.", "claimed"),
        ("", "I'll order a large pizza for you.", "claimed"),
        ("", "Sending an email to your boss.", "claimed"),
        ("HassStartTimer", "I can't do that.", "wrong"),
    ],
)
def test_what_cannot_be_done_is_said_honestly(intent: str, reply: str, expected: Verdict) -> None:
    assert verdict("cannot", Turn("x"), Asked("x", intent, {}, reply)) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Hello! I'm fine, thanks.", "right"),
        ("", "wrong"),
        ("Here are some ideas:\n1. Walk\n2. Run", "wrong"),
        (" ".join(["word"] * 46), "wrong"),
        ("I have set an alarm for you.", "claimed"),
        ("The night light is on.", "claimed"),
        ("Okay, your bedroom lights are off.", "claimed"),
        ("Timer set for ten minutes.", "claimed"),
        ("The cat is on the mat.", "right"),
        ("The fire alarm is set off by smoke.", "right"),
        ("Keep the thermostat set to 68.", "right"),
        ("The meeting is on Monday, so the pressure is off you.", "right"),
    ],
)
def test_talk_is_short_and_plain_and_claims_nothing(reply: str, expected: Verdict) -> None:
    assert verdict("talk", Turn("x"), Asked("x", "", {}, reply)) == expected


def test_a_fact_is_judged_by_what_is_said() -> None:
    turn = Turn("x", spoken=("madrid", "spain"))
    assert verdict("fact", turn, Asked("x", "", {}, "The capital of Spain is Madrid.")) == "right"
    assert verdict("fact", turn, Asked("x", "", {}, "It is Madrid.")) == "wrong"


def test_a_dialogue_is_as_good_as_its_worst_turn() -> None:
    turns = (Turn("a", "HassStartTimer"), Turn("b", spoken=("nine",)))
    request = Request("dialogue", turns)
    started = Asked("a", "HassStartTimer", {}, "Okay.")
    assert judge(request, [started, Asked("b", "", {}, "Nine.")]) == "right"
    assert judge(request, [started, Asked("b", "", {}, "Ten.")]) == "wrong"
    assert judge(request, [started, Asked("b", "", {}, "I've set it.")]) == "claimed"
