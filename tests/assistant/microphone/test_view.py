"""What one sees: the view as a fold of events, the lines of a turn, and what is drawn."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from asr.stabilize import Partial
from assistant.microphone import view as views
from assistant.microphone.echo.levels import Levels
from assistant.microphone.screen import Lines, Screen, Status, render
from assistant.microphone.view import View
from assistant.session.events import (
    ReplyContinued,
    ReplyDiscarded,
    ReplyHeld,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.parts import Part
from assistant.trace.turns import ReplayedTurn

PARTS = (Part("endpoint.wait", 350.2, 0), Part("asr.final", 0.0, 20), Part("playback.start", 75.6, 0))
REPLY = "It is a dog."
TURN = ReplayedTurn("turn-1", None, "What is it?", REPLY, 425.8, PARTS, False, REPLY, 0)


def drawn(view: View, status: Status | None = None) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(render(view, status or Status()))
    return capture.get()


def test_a_turn_from_the_first_word_to_the_last() -> None:
    view = View(state="listening")
    states = []
    for event in (
        SpeechStarted(0, "item_1"),
        Partial("what is", "it"),
        SpeechStopped(900, "item_1"),
        ReplyStarted(0, "item_2"),
    ):
        view = views.follow(view, event)
        states.append((view.state, view.stable, view.unstable))
    assert states == [
        ("hearing", "", ""),
        ("hearing", "what is", "it"),
        ("listening", "what is", "it"),
        ("thinking", "what is", "it"),
    ]
    assert views.heard(view, "") == view
    view = views.heard(view, "It is")
    assert (view.state, view.reply) == ("speaking", "It is")
    assert views.follow(view, ReplyDiscarded(0)) == View(state="listening")


def test_a_reply_that_goes_on_behind_a_backchannel_is_shown_again() -> None:
    view = View(state="speaking", stable="what is it", reply="It is")
    for event in (SpeechStarted(0, "item_3"), ReplyHeld(0), Partial("", "yeah")):
        view = views.follow(view, event)
    assert (view.state, view.unstable, view.reply) == ("hearing", "yeah", "")
    for event in (ReplyContinued(0), SpeechStopped(900, "item_3")):
        view = views.follow(view, event)
    assert (view.state, view.unstable) == ("speaking", "")
    assert views.heard(view, "It is a").reply == "It is a"


def test_nothing_is_heard_of_a_reply_that_is_over() -> None:
    view = View(state="listening")
    assert views.heard(view, "late") == view


def test_the_lines_of_a_turn_are_what_was_said_heard_and_waited_for() -> None:
    assert views.lines(TURN) == [
        "you:       What is it?",
        "assistant: It is a dog.",
        "           426 ms: endpoint.wait 350, playback.start 76",
    ]
    cut = replace(TURN, interrupted=True, heard="It", ttfa_ms=None)
    assert views.lines(cut) == ["you:       What is it?", "assistant: It (interrupted)"]
    assert views.lines(replace(cut, heard=""))[1] == "assistant: (nothing was heard) (interrupted)"


def test_live_lines_show_state_levels_words_and_the_last_wait() -> None:
    view = View("speaking", "what is", "it", "It is", PARTS)
    text = drawn(view, Status(Levels(-20, -30, -30), muted=True, keys="q quit"))
    assert text.splitlines()[0].split()[:3] == ["●", "speaking", "muted"]
    assert "voice ████████········  echo ████████········" in text
    assert "you:       what is it" in text and "assistant: It is" in text
    assert "last wait  426 ms: endpoint.wait 350, playback.start 76" in text and "q quit" in text


def test_words_that_may_still_change_are_dim() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    with console.capture() as capture:
        console.print(render(View("hearing", "what is", "it"), Status()))
    assert "what is \x1b[2mit\x1b[0m" in capture.get()


def test_a_screen_draws_only_what_has_changed() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Screen(console) as screen:
        screen.draw(View("listening"), Status(Levels(-40.0, -60.0, -40.0)))
        before = console.file.tell()
        screen.draw(View("listening"), Status(Levels(-40.4, -90.0, -40.4)))  # the same bars
        assert console.file.tell() == before
        screen.draw(View("hearing"), Status(Levels(-40.0, -60.0, -40.0)))
        assert console.file.tell() > before


def test_a_line_stays_on_the_screen_once_and_above_what_is_live() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with Screen(console) as screen:
        screen.draw(View("listening"), Status())
        screen.say("assistant: [bold]It[/bold] is")
        screen.draw(View("hearing"), Status())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("assistant: [bold]It[/bold] is") == 1


def test_without_a_terminal_only_lines_are_written() -> None:
    written: list[str] = []
    with Lines(written.append) as lines:
        lines.draw(View("hearing", "what"), Status())
        lines.say("listening")
    assert written == ["listening"]


@pytest.mark.parametrize("state", ["starting", "listening", "hearing", "thinking", "speaking"])
def test_every_state_is_shown_by_its_name(state: str) -> None:
    assert state in drawn(replace(View(), state=state))


def test_asleep_it_says_what_to_say() -> None:
    text = drawn(View("listening"), Status(asleep="hey mycroft"))
    assert text.splitlines()[0].startswith('○ asleep: say "hey mycroft"') and "listening" not in text


def test_without_a_terminal_falling_asleep_and_waking_up_are_a_line_each() -> None:
    written: list[str] = []
    lines = Lines(written.append)
    for asleep in ("", "hey mycroft", "hey mycroft", "", "", "hey mycroft"):
        lines.draw(View("listening"), Status(asleep=asleep))
    assert written == ['asleep: say "hey mycroft"', "listening", 'asleep: say "hey mycroft"']
