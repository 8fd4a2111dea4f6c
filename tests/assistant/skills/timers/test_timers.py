"""What people say of timers: what is understood, what is said, and what is changed by it."""

import asyncio
from typing import Any

import pytest
from spoken_to import Home

STARTED: dict[str, dict[str, Any]] = {
    "Set a timer for ten minutes.": {"minutes": 10},
    "set a timer for twenty five minutes": {"minutes": 25},
    "Timer for 90 seconds.": {"seconds": 90},
    "timer 10 minutes": {"minutes": 10},
    "ten minute timer": {"minutes": 10},
    "10-minute timer please": {"minutes": 10},
    "new timer for six minutes": {"minutes": 6},
    "start a one hour timer": {"hours": 1},
    "set a timer for an hour and 15 minutes": {"hours": 1, "minutes": 15},
    "set a timer for 1 hour 30": {"hours": 1, "minutes": 30},
    "Can you set a half hour timer?": {"minutes": 30},
    "Set a timer for half an hour": {"minutes": 30},
    "set a quarter of an hour timer": {"minutes": 15},
    "set a timer for an hour and a half": {"hours": 1, "minutes": 30},
    "set a timer for two and a half minutes": {"minutes": 2, "seconds": 30},
    "set timer for 1 hour 15 minutes and 30 seconds": {"hours": 1, "minutes": 15, "seconds": 30},
    "set a timer for a hundred and twenty minutes": {"minutes": 120},
    "set a timer for ten": {"minutes": 10},
    "put a timer on for 20 minutes": {"minutes": 20},
    "put on a timer for 20 minutes": {"minutes": 20},
    "I need a timer for fifteen minutes": {"minutes": 15},
    "I'd like a five minute timer": {"minutes": 5},
    "Could I have a timer for 3 minutes?": {"minutes": 3},
    "Hey, could you please set me a timer for 12 minutes, thanks.": {"minutes": 12},
    "set a timer to go off in ten minutes": {"minutes": 10},
    "set another timer for 5 minutes": {"minutes": 5},
    "set a second timer for ten minutes": {"minutes": 10},
    "Give me a quarter of an hour.": {"minutes": 15},
    "give me ten minutes": {"minutes": 10},
    "count down from 30 seconds": {"seconds": 30},
    "start a countdown for two minutes": {"minutes": 2},
    "time me for 5 minutes": {"minutes": 5},
    "can you time twenty minutes for me": {"minutes": 20},
    "ten minutes on the timer": {"minutes": 10},
    "let me know in 10 minutes": {"minutes": 10},
    "tell me when ten minutes are up": {"minutes": 10},
    "Start a pasta timer for eight minutes, please.": {"name": "pasta", "minutes": 8},
    "set an egg timer for four minutes": {"name": "egg", "minutes": 4},
    "set a 3-minute tea timer": {"name": "tea", "minutes": 3},
    "set a timer for the eggs for six minutes": {"name": "eggs", "minutes": 6},
    "set a timer for six minutes for the eggs": {"name": "eggs", "minutes": 6},
    "set a timer for my laundry, 45 minutes": {"name": "laundry", "minutes": 45},
    "I need to set a timer for 20 minutes": {"minutes": 20},
    "pizza timer 12 minutes": {"name": "pizza", "minutes": 12},
    "time my eggs for seven minutes": {"name": "eggs", "minutes": 7},
    "put ten minutes on the clock": {"minutes": 10},
    "set a timer for like ten minutes": {"minutes": 10},
    "set a one-and-a-half-hour timer": {"hours": 1, "minutes": 30},
    "start a 20 minute timer for the rice": {"name": "rice", "minutes": 20},
    "20 minute timer called garlic bread": {"name": "garlic bread", "minutes": 20},
    "set a timer named bread for forty minutes": {"name": "bread", "minutes": 40},
}
SECONDS = {"hours": 3600, "minutes": 60, "seconds": 1}


@pytest.fixture(scope="module")
def reader() -> Home:
    """A home in which nothing is done, so that one will do for all."""
    return Home()


@pytest.mark.parametrize("said", STARTED)
def test_a_timer_is_started(reader: Home, said: str) -> None:
    slots = STARTED[said]
    planned = reader.plan(said)
    assert planned is not None
    assert (planned.intent, planned.slots) == ("HassStartTimer", slots)
    asyncio.run(planned.act())
    (timer,) = reader.due.items("timer")
    assert timer.text == slots.get("name", "")
    assert timer.left(reader.now) == sum(SECONDS[unit] * slots.get(unit, 0) for unit in SECONDS)
    asyncio.run(planned.undo())
    assert reader.due.items("timer") == []


# With these timers: pasta for 8 minutes, 20 minutes without a name, and tea for 3 minutes; a minute ago.
ASKED: dict[str, tuple[str, dict[str, Any], str]] = {
    "how much time is left on the pasta": (
        "HassTimerStatus",
        {"name": "pasta"},
        "7 minutes left on the pasta timer.",
    ),
    "how long for the tea": ("HassTimerStatus", {"name": "tea"}, "2 minutes left on the tea timer."),
    "cancel the pasta one": ("HassCancelTimer", {"name": "pasta"}, "The pasta timer is cancelled."),
    "pause the pasta timer for a sec": (
        "HassPauseTimer",
        {"name": "pasta"},
        "The pasta timer is paused with 7 minutes left.",
    ),
    "how long is left on the pasta timer": (
        "HassTimerStatus",
        {"name": "pasta"},
        "7 minutes left on the pasta timer.",
    ),
    "when is the tea timer done": ("HassTimerStatus", {"name": "tea"}, "2 minutes left on the tea timer."),
    "has the tea timer finished": ("HassTimerStatus", {"name": "tea"}, "2 minutes left on the tea timer."),
    "tell me how long is left on the tea timer": (
        "HassTimerStatus",
        {"name": "tea"},
        "2 minutes left on the tea timer.",
    ),
    "how much longer for the pasta": (
        "HassTimerStatus",
        {"name": "pasta"},
        "7 minutes left on the pasta timer.",
    ),
    "How much time is left on my 20 minute timer?": (
        "HassTimerStatus",
        {"start_minutes": 20},
        "19 minutes left on the 20-minute timer.",
    ),
    "cancel the pasta timer": ("HassCancelTimer", {"name": "pasta"}, "The pasta timer is cancelled."),
    "delete the 20 minute timer": (
        "HassCancelTimer",
        {"start_minutes": 20},
        "The 20-minute timer is cancelled.",
    ),
    "turn the tea timer off": ("HassCancelTimer", {"name": "tea"}, "The tea timer is cancelled."),
    "I don't need the tea timer anymore": ("HassCancelTimer", {"name": "tea"}, "The tea timer is cancelled."),
    "cancel the egg timer": ("HassCancelTimer", {"name": "egg"}, "There is no egg timer."),
    "Add five minutes to the pasta timer.": (
        "HassIncreaseTimer",
        {"name": "pasta", "minutes": 5},
        "Now 12 minutes left on the pasta timer.",
    ),
    "put another half an hour on the 20 minute timer": (
        "HassIncreaseTimer",
        {"start_minutes": 20, "minutes": 30},
        "Now 49 minutes left on the 20-minute timer.",
    ),
    "extend the tea timer by a minute": (
        "HassIncreaseTimer",
        {"name": "tea", "minutes": 1},
        "Now 3 minutes left on the tea timer.",
    ),
    "take two minutes off the pasta timer": (
        "HassDecreaseTimer",
        {"name": "pasta", "minutes": 2},
        "Now 5 minutes left on the pasta timer.",
    ),
    "shorten the tea timer by ten minutes": (
        "HassDecreaseTimer",
        {"name": "tea", "minutes": 10},
        "There are only 2 minutes left on it.",
    ),
    "Pause the tea timer.": (
        "HassPauseTimer",
        {"name": "tea"},
        "The tea timer is paused with 2 minutes left.",
    ),
    "make the pasta timer 15 minutes": (
        "HassStartTimer",
        {"name": "pasta", "minutes": 15},
        "The pasta timer is now set for 15 minutes.",
    ),
    "Cancel the timer.": (
        "HassCancelTimer",
        {"which": "?"},
        "Which one? You have the pasta timer, the 20-minute timer and the tea timer.",
    ),
    "cancel all my timers": ("HassCancelAllTimers", {}, "All 3 timers are cancelled."),
    "what timers do I have": (
        "HassTimerStatus",
        {},
        "You have 3 timers. 2 minutes left on the tea timer. 7 minutes left on the pasta timer. "
        "19 minutes left on the 20-minute timer.",
    ),
}


@pytest.fixture(scope="module")
def kitchen() -> Home:
    home = Home()
    for said in (
        "set a pasta timer for 8 minutes",
        "set a timer for 20 minutes",
        "set a tea timer for 3 minutes",
    ):
        home.say(said)
    home.wait(minutes=1)
    home.conversation.forget()
    return home


@pytest.mark.parametrize("said", ASKED)
def test_timers_are_known_by_name_and_by_duration(kitchen: Home, said: str) -> None:
    planned, before = kitchen.plan(said), kitchen.state()
    assert planned is not None
    assert (planned.intent, dict(planned.slots), planned.text) == ASKED[said]
    asyncio.run(planned.act())
    changes = planned.answer.act is not None
    assert (kitchen.state() != before) == changes
    asyncio.run(planned.undo())
    kitchen.conversation.forget()
    assert kitchen.state() == before


def lefts(home: Home) -> list[tuple[str, float]]:
    return [(timer.text, timer.left(home.now)) for timer in home.due.items("timer")]


def test_a_turn_may_be_about_the_timer_of_the_turn_before() -> None:
    home = Home()
    home.say("Set a timer for five minutes.")
    assert home.understood("Make it ten.") == ("HassStartTimer", {"minutes": 10})
    assert home.say("Make it ten.") == "The timer is now set for 10 minutes."
    home.wait(minutes=1)
    assert home.say("How long is left?") == "9 minutes left."
    assert home.understood("add two more minutes") == ("HassIncreaseTimer", {"minutes": 2})
    assert home.say("add two more minutes") == "Now 11 minutes left."
    assert home.say("pause it") == "The timer is paused with 11 minutes left."
    home.wait(hours=1)
    assert home.say("how much longer?") == "The timer is paused with 11 minutes left."
    assert home.say("resume it") == "The timer goes on with 11 minutes left."
    assert home.say("no, 90 seconds") == "The timer is now set for 90 seconds."
    assert home.say("make it 30") == "The timer is now set for 30 seconds."
    assert home.say("cancel that") == "The timer is cancelled."
    assert home.state() == []


def test_it_is_the_timer_that_was_spoken_of() -> None:
    home = Home()
    home.say("set a pasta timer for 8 minutes")
    home.say("set an egg timer for 4 minutes")
    home.say("how long is left on the pasta timer")
    assert home.understood("cancel it") == ("HassCancelTimer", {"name": "pasta"})
    home.say("how long is left on the pasta timer")
    home.say("add five minutes to it")
    assert lefts(home) == [("pasta", 780.0), ("egg", 240.0)]
    home.say("set a tea timer for 3 minutes")
    home.say("one more minute")
    assert lefts(home)[-1] == ("tea", 240.0)


def test_another_one_is_a_timer_after_a_timer() -> None:
    home = Home()
    assert home.say("and a 25 minute one for the chicken") == ""
    home.say("set a pasta timer for 8 minutes")
    assert home.say("and a 25 minute one for the chicken") == "Chicken timer set for 25 minutes."
    assert home.say("another one for 20 minutes") == "Timer set for 20 minutes."
    assert home.say("another one for the road") == ""
    assert home.say("and a blue one for the kitchen") == ""
    assert lefts(home) == [("pasta", 480.0), ("chicken", 1500.0), ("", 1200.0)]
    assert home.say("how long on the chicken") == "25 minutes left on the chicken timer."
    assert home.say("how long on the motorway") == ""
    assert home.say("cancel the meeting one") == ""


def test_a_new_timer_is_no_other_time_for_an_old_one() -> None:
    home = Home()
    home.say("set a pasta timer for 8 minutes")
    home.say("set a timer")
    assert home.say("no, two hours") == "Timer set for 2 hours."
    assert lefts(home) == [("pasta", 480.0), ("", 7200.0)]


def test_a_question_is_answered_by_the_next_turn() -> None:
    home = Home()
    assert home.say("set a timer for dinner") == "For how long?"
    assert home.understood("half an hour") == ("HassStartTimer", {"name": "dinner", "minutes": 30})
    assert home.say("half an hour") == "Dinner timer set for 30 minutes."
    home.say("set a timer for 10 minutes")
    assert home.say("pause the timer") == "Which one? You have the dinner timer and the 10-minute timer."
    assert home.say("the ten minute one") == "The 10-minute timer is paused with 10 minutes left."
    assert home.say("stop the timer") == "Which one? You have the dinner timer and the 10-minute timer."
    assert home.say("both") == "All 2 timers are cancelled."


def test_a_question_is_not_answered_by_what_is_no_answer() -> None:
    home = Home()
    home.say("set a timer")
    assert home.say("who was Ada Lovelace") == ""
    assert home.say("half an hour") == ""
    assert home.state() == []


def test_a_timer_that_rings_is_stopped() -> None:
    home = Home()
    home.say("set a timer for one minute")
    home.say("set a timer for one hour")
    home.wait(minutes=1)
    assert home.say("stop the timer") == "Okay."
    assert home.wait(minutes=10) == []
    assert lefts(home) == [("", 3600 - 660)]


def test_without_a_timer_nothing_is_claimed() -> None:
    home = Home()
    assert home.say("how much time is left on the timer") == "No timer is running."
    assert home.say("cancel the timer") == "No timer is running."
    home.conversation.forget()
    assert [
        home.say(said) for said in ("how long is left", "five more minutes", "pause it", "make it ten")
    ] == [""] * 4


@pytest.mark.parametrize(
    ("said", "complete"),
    [
        ("set a timer for ten", False),
        ("set a timer for an hour", False),
        ("set a timer for 1 hour 15", False),
        ("set a timer for ten minutes", True),
        ("set a one hour timer", True),
        ("set a timer", False),
    ],
)
def test_it_is_known_whether_more_may_follow(reader: Home, said: str, complete: bool) -> None:
    planned = reader.plan(said)
    assert planned is not None
    assert planned.complete == complete
