"""What people say of reminders, on a Wednesday at half past five in the afternoon."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from spoken_to import Home

from assistant.skills.timers.reminder_words import yours

SET: dict[str, tuple[dict[str, Any], str, str]] = {
    "Remind me to call the dentist at three pm.": (
        {"text": "call the dentist", "time": "15:00"},
        "at 3 tomorrow afternoon to call the dentist",
        "2026-12-03 15:00",
    ),
    "Remind me in twenty minutes to check the oven.": (
        {"text": "check the oven", "minutes": 20},
        "in 20 minutes to check the oven",
        "2026-12-02 17:50",
    ),
    "In 20 minutes, remind me to check my email.": (
        {"text": "check my email", "minutes": 20},
        "in 20 minutes to check your email",
        "2026-12-02 17:50",
    ),
    "at half past eight remind me to put the bins out": (
        {"text": "put the bins out", "time": "20:30"},
        "at 8:30 this evening to put the bins out",
        "2026-12-02 20:30",
    ),
    "can you remind me to turn off the oven in an hour and a half please": (
        {"text": "turn off the oven", "hours": 1, "minutes": 30},
        "in 1 hour and 30 minutes to turn off the oven",
        "2026-12-02 19:00",
    ),
    "remind me tomorrow to buy milk at 3": (
        {"text": "buy milk", "time": "15:00", "day": "tomorrow"},
        "at 3 tomorrow afternoon to buy milk",
        "2026-12-03 15:00",
    ),
    "remind me to take the bins out tonight": (
        {"text": "take the bins out", "day": "tonight"},
        "at 8 this evening to take the bins out",
        "2026-12-02 20:00",
    ),
    "remind me tomorrow morning to call Anna": (
        {"text": "call Anna", "day": "tomorrow"},
        "at 9 tomorrow morning to call Anna",
        "2026-12-03 09:00",
    ),
    "remind me about the meeting at ten on Friday": (
        {"text": "the meeting", "time": "10:00", "day": "friday"},
        "at 10 a.m. on Friday about the meeting",
        "2026-12-04 10:00",
    ),
    "remind me that I have an appointment on Friday at 10": (
        {"text": "I have an appointment", "time": "10:00", "day": "friday"},
        "at 10 a.m. on Friday that you have an appointment",
        "2026-12-04 10:00",
    ),
    "remind me I have a meeting at 3": (
        {"text": "I have a meeting", "time": "15:00"},
        "at 3 tomorrow afternoon that you have a meeting",
        "2026-12-03 15:00",
    ),
    "don't let me forget to pay my rent on the 1st": (
        {"text": "pay my rent", "day": "2027-01-01"},
        "at 9 a.m. on January 1st to pay your rent",
        "2027-01-01 09:00",
    ),
    "remind me to take my medicine every day at 8 a.m.": (
        {"text": "take my medicine", "time": "08:00", "day": "every day"},
        "at 8 a.m. every day to take your medicine",
        "2026-12-03 08:00",
    ),
    "set a reminder for 7 p.m. to pick up the kids": (
        {"text": "pick up the kids", "time": "19:00"},
        "at 7 this evening to pick up the kids",
        "2026-12-02 19:00",
    ),
    "create a reminder to feed the cat in two hours": (
        {"text": "feed the cat", "hours": 2},
        "in 2 hours to feed the cat",
        "2026-12-02 19:30",
    ),
    "remind me to read chapter 7 at 7": (
        {"text": "read chapter 7", "time": "19:00"},
        "at 7 this evening to read chapter 7",
        "2026-12-02 19:00",
    ),
    "remind me to say hi to Tom tomorrow": (
        {"text": "say hi to Tom", "day": "tomorrow"},
        "at 9 tomorrow morning to say hi to Tom",
        "2026-12-03 09:00",
    ),
    "remind me to submit the report by Friday": (
        {"text": "submit the report by Friday", "day": "friday"},
        "at 9 a.m. on Friday to submit the report by Friday",
        "2026-12-04 09:00",
    ),
    "tell me to call mom at 5 pm": (
        {"text": "call mom", "time": "17:00"},
        "at 5 tomorrow afternoon to call mom",
        "2026-12-03 17:00",
    ),
    "remind me to check the grill 10 minutes from now": (
        {"text": "check the grill", "minutes": 10},
        "in 10 minutes to check the grill",
        "2026-12-02 17:40",
    ),
    "remind me this weekend to mow the lawn": (
        {"text": "mow the lawn", "day": "this weekend"},
        "at 9 a.m. on Saturday to mow the lawn",
        "2026-12-05 09:00",
    ),
    "Reminder: call mom at 6.": (
        {"text": "call mom", "time": "18:00"},
        "at 6 this evening to call mom",
        "2026-12-02 18:00",
    ),
}


@pytest.fixture(scope="module")
def reader() -> Home:
    return Home()


@pytest.mark.parametrize("said", SET)
def test_a_reminder_is_set_and_said_back(reader: Home, said: str) -> None:
    slots, spoken, at = SET[said]
    planned = reader.plan(said)
    assert planned is not None
    assert (planned.intent, planned.slots) == ("SetReminder", slots)
    assert planned.text == f"I'll remind you {spoken}."
    asyncio.run(planned.act())
    (reminder,) = reader.due.items("reminder")
    assert f"{datetime.fromtimestamp(reminder.due_s or 0, reader.now.tzinfo):%Y-%m-%d %H:%M}" == at
    asyncio.run(planned.undo())
    reader.conversation.forget()
    assert reader.due.items("reminder") == []


def test_a_time_that_was_not_said_is_asked_for() -> None:
    home = Home()
    assert home.say("remind me to call my mother") == "When?"
    assert home.understood("tomorrow at five") == (
        "SetReminder",
        {"text": "call my mother", "time": "17:00", "day": "tomorrow"},
    )
    assert home.say("tomorrow at five") == "I'll remind you at 5 tomorrow afternoon to call your mother."
    assert home.say("no, at six") == "I'll remind you at 6 tomorrow evening to call your mother."
    assert home.wait(days=2) == ["Here is your reminder: call your mother."]


def test_what_to_remind_of_is_asked_for() -> None:
    home = Home()
    assert home.say("set a reminder for tomorrow morning") == "Of what?"
    assert home.say("to water the plants") == "I'll remind you at 9 tomorrow morning to water the plants."
    assert home.say("set a reminder") == "Of what?"
    assert home.say("feed the cat") == "When?"
    assert home.say("never mind") == ""
    assert home.say("in an hour") == ""
    assert len(home.due.items("reminder")) == 1


def test_a_time_that_no_clock_shows_is_asked_for() -> None:
    home = Home()
    assert home.say("remind me after dinner to call Bob") == "When?"
    assert home.say("at 8") == "I'll remind you at 8 this evening to call Bob after dinner."


def test_reminders_are_asked_for_and_cancelled() -> None:
    home = Home()
    assert home.say("what are my reminders") == "You have no reminders."
    for said in (
        "remind me to call Anna at 9 pm",
        "remind me to buy bread on saturday",
        "remind me to eat at 8 pm",
        "remind me to eat lunch at noon",
    ):
        home.say(said)
    assert home.say("what reminders do I have for tomorrow") == "At noon tomorrow: eat lunch."
    assert home.say("when is my next reminder") == "At 8 this evening: eat."
    assert home.say("do I have any reminders") == (
        "You have 4 reminders. At 8 this evening: eat. At 9 tonight: call Anna. At noon tomorrow: eat lunch. "
        "At 9 a.m. on Saturday: buy bread."
    )
    assert home.understood("cancel the bread reminder") == ("CancelReminder", {"text": "buy bread"})
    assert home.say("delete the reminder to eat") == "The reminder to eat is cancelled."
    assert home.say("cancel my 9 p.m. reminder") == "The reminder to call Anna is cancelled."
    assert home.say("cancel the reminder") == "Which one? There are eat lunch and buy bread."
    assert home.say("the lunch one") == "The reminder to eat lunch is cancelled."
    assert home.say("cancel the reminder about the dentist") == "There is no such reminder."
    assert home.say("delete all reminders") == "The reminder is cancelled."
    assert home.state() == []


def test_a_reminder_comes_again_when_it_is_asked_for() -> None:
    home = Home()
    home.say("remind me to breathe in 10 seconds")
    assert home.wait(seconds=10) == ["Here is your reminder: breathe."]
    assert home.say("remind me again in ten minutes") == "I'll remind you again in 10 minutes."
    assert home.wait(minutes=10) == ["Here is your reminder: breathe."]


@pytest.mark.parametrize(
    ("said", "back"),
    [
        ("call my mother", "call your mother"),
        ("I am late", "you are late"),
        ("ask if I'm invited", "ask if you're invited"),
        ("mine is myself", "yours is yourself"),
        ("the game is at 9 am", "the game is at 9 am"),
        ("My dog bites me", "Your dog bites you"),
        ("visit the US", "visit the US"),
        ("meet Mylene in Armenia", "meet Mylene in Armenia"),
    ],
)
def test_what_is_mine_is_yours(said: str, back: str) -> None:
    assert yours(said) == back
