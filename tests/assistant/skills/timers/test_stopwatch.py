"""The stopwatch."""

import asyncio
from pathlib import Path

import pytest
from spoken_to import Home


def test_a_stopwatch_runs_stands_and_goes_on() -> None:
    home = Home()
    assert home.say("how long has the stopwatch been running") == "The stopwatch is not running."
    assert home.say("start a stopwatch") == "The stopwatch is running."
    home.wait(minutes=1, seconds=5)
    assert home.say("how long has it been?") == "The stopwatch is at 1 minute and 5 seconds."
    assert home.say("start the stopwatch") == "The stopwatch is running, at 1 minute and 5 seconds."
    assert home.say("stop it") == "Stopped at 1 minute and 5 seconds."
    home.wait(hours=1)
    assert home.say("what's on the stopwatch") == "The stopwatch is stopped at 1 minute and 5 seconds."
    assert home.say("resume the stopwatch") == "The stopwatch goes on from 1 minute and 5 seconds."
    home.wait(seconds=10)
    assert home.say("pause the stopwatch") == "Stopped at 1 minute and 15 seconds."
    assert home.say("reset it") == "The stopwatch is back at zero."
    assert home.say("check the stopwatch") == "The stopwatch is not running."


def test_it_goes_on_over_a_restart(tmp_path: Path) -> None:
    home = Home(path=tmp_path / "skills.db")
    home.say("stopwatch start")
    home.restart()
    home.wait(seconds=30)
    assert home.say("what does the stopwatch say") == "The stopwatch is at 30 seconds."


def test_what_was_not_meant_is_undone() -> None:
    home = Home()
    home.say("start the stopwatch")
    home.wait(seconds=20)
    planned = home.plan("stop the stopwatch")
    assert planned is not None
    asyncio.run(planned.act())
    asyncio.run(planned.undo())
    home.wait(seconds=20)
    assert home.say("check the stopwatch") == "The stopwatch is at 40 seconds."


@pytest.mark.parametrize("said", ["stop it", "how long has it been", "start again", "reset it", "lap time"])
def test_it_is_meant_only_if_it_was_spoken_of(said: str) -> None:
    home = Home()
    assert home.understood(said) == ("", {})
    home.say("start the stopwatch")
    assert (home.understood(said)[0] != "") == (said != "start again")
