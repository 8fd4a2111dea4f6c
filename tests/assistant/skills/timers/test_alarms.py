"""What people say of alarms, on a Wednesday at half past five in the afternoon."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from spoken_to import Home

SET: dict[str, tuple[dict[str, Any], str, str]] = {
    "Wake me up at 6:30 tomorrow.": (
        {"time": "06:30", "day": "tomorrow"},
        "6:30 tomorrow morning",
        "2026-12-03 06:30",
    ),
    "Set an alarm for quarter to seven.": ({"time": "18:45"}, "6:45 this evening", "2026-12-02 18:45"),
    "set an alarm for 6 a.m.": ({"time": "06:00"}, "6 tomorrow morning", "2026-12-03 06:00"),
    "set my alarm to seven thirty": ({"time": "19:30"}, "7:30 this evening", "2026-12-02 19:30"),
    "set an alarm for half six": ({"time": "18:30"}, "6:30 this evening", "2026-12-02 18:30"),
    "set an alarm at half past eight in the morning": (
        {"time": "08:30"},
        "8:30 tomorrow morning",
        "2026-12-03 08:30",
    ),
    "I need to be up by 7 tomorrow": (
        {"time": "07:00", "day": "tomorrow"},
        "7 tomorrow morning",
        "2026-12-03 07:00",
    ),
    "we've got to be awake at 4:45": ({"time": "04:45"}, "4:45 tomorrow morning", "2026-12-03 04:45"),
    "get me out of bed at 7 a.m.": ({"time": "07:00"}, "7 tomorrow morning", "2026-12-03 07:00"),
    "set an alarm for noon": ({"time": "12:00"}, "noon tomorrow", "2026-12-03 12:00"),
    "set a 7 a.m. alarm for Friday": (
        {"time": "07:00", "day": "friday"},
        "7 a.m. on Friday",
        "2026-12-04 07:00",
    ),
    "wake me up in the morning at 7": ({"time": "07:00"}, "7 tomorrow morning", "2026-12-03 07:00"),
    "can you wake me at 5": ({"time": "05:00"}, "5 tomorrow morning", "2026-12-03 05:00"),
    "tomorrow wake me up at eight": (
        {"time": "08:00", "day": "tomorrow"},
        "8 tomorrow morning",
        "2026-12-03 08:00",
    ),
    "wake me up in two hours": ({"hours": 2}, "7:30 this evening", "2026-12-02 19:30"),
    "set an alarm for 20 minutes from now": ({"minutes": 20}, "5:50 this afternoon", "2026-12-02 17:50"),
    "alarm for 8 pm": ({"time": "20:00"}, "8 this evening", "2026-12-02 20:00"),
    "I need an alarm for 5:30 am": ({"time": "05:30"}, "5:30 tomorrow morning", "2026-12-03 05:30"),
    "set an alarm to go off at 9 pm": ({"time": "21:00"}, "9 tonight", "2026-12-02 21:00"),
    "set an alarm for December 24th at 9 a.m.": (
        {"time": "09:00", "day": "2026-12-24"},
        "9 a.m. on December 24th",
        "2026-12-24 09:00",
    ),
    "set a daily alarm for 7 a.m.": (
        {"time": "07:00", "day": "daily"},
        "7 a.m. every day",
        "2026-12-03 07:00",
    ),
    "wake me up every weekday at 6:45": (
        {"time": "06:45", "day": "every weekday"},
        "6:45 a.m. every weekday",
        "2026-12-03 06:45",
    ),
    "set an alarm for saturdays at ten": (
        {"time": "10:00", "day": "saturdays"},
        "10 a.m. every Saturday",
        "2026-12-05 10:00",
    ),
}


@pytest.fixture(scope="module")
def reader() -> Home:
    return Home()


@pytest.mark.parametrize("said", SET)
def test_an_alarm_is_set_and_its_time_said_in_full(reader: Home, said: str) -> None:
    slots, spoken, at = SET[said]
    planned = reader.plan(said)
    assert planned is not None
    assert (planned.intent, planned.slots) == ("SetAlarm", slots)
    assert planned.text == f"Alarm set for {spoken}."
    asyncio.run(planned.act())
    (alarm,) = reader.due.items("alarm")
    assert f"{datetime.fromtimestamp(alarm.due_s or 0, reader.now.tzinfo):%Y-%m-%d %H:%M}" == at
    asyncio.run(planned.undo())
    assert reader.due.items("alarm") == []
    reader.conversation.forget()


def test_a_time_that_was_not_said_is_asked_for() -> None:
    home = Home()
    assert home.say("set an alarm") == "For what time?"
    assert home.say("tomorrow morning") == "For what time?"
    assert home.understood("half past six") == ("SetAlarm", {"time": "06:30", "day": "tomorrow"})
    assert home.say("half past six") == "Alarm set for 6:30 tomorrow morning."
    assert home.say("no, at seven") == "Alarm is now set for 7 tomorrow morning."
    assert home.say("make it 8 p.m.") == "Alarm is now set for 8 tomorrow evening."
    assert len(home.due.items("alarm")) == 1


def test_an_alarm_is_moved() -> None:
    home = Home()
    home.say("set an alarm for 6 a.m. every day")
    home.say("set an alarm for 7:15 a.m. on saturday")
    assert (
        home.say("move my alarm to 9") == "Which one? There are 6 a.m. every day and 7:15 a.m. on Saturday."
    )
    assert home.say("move my 6 a.m. alarm to 6:30") == "Alarm is now set for 6:30 a.m. every day."
    assert home.say("change the saturday alarm to 8") == "Alarm is now set for 8 a.m. on Saturday."
    assert len(home.due.items("alarm")) == 2


def test_a_time_that_is_over_is_not_set() -> None:
    home = Home()
    assert home.say("set an alarm for 3 p.m. today") == "That time is over already."
    assert home.state() == []


def test_alarms_are_asked_for_and_cancelled() -> None:
    home = Home()
    assert home.say("do I have any alarms") == "You have no alarm set."
    assert home.say("cancel my alarm") == "There is no alarm to cancel."
    for said in ("set an alarm for 6 am", "wake me up at 7 every weekday", "set an alarm for 9 on saturday"):
        home.say(said)
    assert home.say("what alarms do I have") == (
        "You have 3 alarms: 6 tomorrow morning, 7 a.m. every weekday and 9 a.m. on Saturday."
    )
    assert home.say("when is my next alarm") == "Your alarm is set for 6 tomorrow morning."
    assert home.say("what time will you wake me up") == "Your alarm is set for 6 tomorrow morning."
    assert home.say("how long until my next alarm") == (
        "It rings in 12 hours and 30 minutes, at 6 tomorrow morning."
    )
    assert home.say("do I have an alarm for saturday") == "Your alarm is set for 9 a.m. on Saturday."
    assert home.say("is there an alarm for sunday") == "You have no alarm then."
    assert home.understood("turn off my 7 a.m. alarm") == ("CancelAlarm", {"time": "07:00"})
    assert home.say("delete the alarm") == (
        "Which one? There are 6 tomorrow morning, 7 a.m. every weekday and 9 a.m. on Saturday."
    )
    assert home.say("the 6 o'clock one") == "The alarm for 6 tomorrow morning is off."
    assert home.say("cancel the saturday alarm") == "The alarm for 9 a.m. on Saturday is off."
    assert home.say("cancel all alarms") == "The alarm is off."
    assert home.state() == []


def test_an_alarm_is_snoozed_and_stopped() -> None:
    home = Home()
    home.say("wake me up at 6 pm")
    assert home.wait(minutes=30) == ["It's 6 p.m., and this is your alarm."]
    assert home.say("snooze") == "I'll wake you again in 10 minutes."
    assert home.wait(minutes=9) == []
    assert home.wait(minutes=1) == ["It's 6:10 p.m., and this is your alarm."]
    home.due.silence()  # by the voice of the user
    assert home.say("five more minutes") == "I'll wake you again in 5 minutes."
    assert home.wait(minutes=5) == ["It's 6:15 p.m., and this is your alarm."]
    assert home.say("stop") == "Okay."
    assert home.wait(hours=1) == []
    assert home.state() == []
    assert home.say("snooze") == "No alarm is ringing."
    assert home.say("stop") == ""


def test_an_alarm_that_is_stopped_comes_again_on_its_days() -> None:
    home = Home()
    home.say("set an alarm for 6 pm every day")
    home.wait(minutes=30)
    assert home.say("stop the alarm") == "Okay."
    assert home.say("when is my next alarm") == "Your alarm is set for 6 p.m. every day."
    assert home.wait(hours=23) == []
    assert home.wait(hours=1) == ["It's 6 p.m., and this is your alarm."]


@pytest.mark.parametrize("said", ["stop", "turn it off", "be quiet", "I'm awake", "stop that"])
def test_what_stops_an_alarm_means_nothing_while_none_rings(reader: Home, said: str) -> None:
    assert reader.understood(said) == ("", {})
    home = Home()
    home.say("wake me up at 6 pm")
    home.conversation.forget()
    assert home.understood(said) == ("", {})
    home.wait(minutes=30)
    assert home.say(said) == "Okay."
    assert home.due.ringing == []


@pytest.mark.parametrize(
    ("said", "complete"),
    [
        ("wake me up at 6:15", False),
        ("wake me up tomorrow", False),
        ("wake me up at 6 tomorrow", False),
        ("wake me up at 6:15 tomorrow", True),
        ("wake me up at 6 a.m.", True),
        ("wake me up in an hour", False),
        ("wake me up at 6 in the morning", False),
    ],
)
def test_it_is_known_whether_more_may_follow(reader: Home, said: str, complete: bool) -> None:
    planned = reader.plan(said)
    assert planned is not None
    assert planned.complete == complete
