"""Turn taking without I/O: (state, event) -> (state, commands). No clock, no queue, no await.

`TABLE` is the whole machine: in which state, at which event, under which condition, what happens. Its guards
and transitions are in `turn_speech`, `turn_reply` and `turn_client`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from assistant.session import turn_client as client
from assistant.session import turn_reply as reply
from assistant.session import turn_speech as speech
from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    AudioScored,
    Command,
    Continue,
    Event,
    Held,
    Listening,
    NothingSaid,
    Pausing,
    Read,
    Reopen,
    ReplyCancelled,
    ReplyFinished,
    ReplyHeard,
    Replying,
    ReplyRequested,
    Speaking,
    State,
    Step,
    Stop,
    TextScored,
    Transcribed,
    TurnConfig,
    Window,
)

S = TypeVar("S", Listening, Speaking, Pausing, Replying)
E = TypeVar("E")


@dataclass(frozen=True)
class Row(Generic[S, E]):
    """In `state`, at `event`, if `when` holds: `then` gives the next state and the commands."""

    state: type[S]
    event: type[E]
    when: Callable[[S, E, TurnConfig], bool]
    then: Callable[[S, E, TurnConfig], Step]


TABLE: tuple[Row[Any, Any], ...] = (
    # The first row that fits is taken; where none does, nothing happens. A held reply that goes on in neither
    # the next state nor the commands is stopped before them: see `step`.
    Row(Listening, Window, speech.voice_began, speech.start_speaking),
    Row(Listening, Window, speech.always, speech.follow_voice),
    Row(Listening, AudioCommitted, speech.always, client.commit_audio),
    Row(Listening, ReplyRequested, speech.always, speech.respond),
    #
    Row(Speaking, Window, reply.takes_over, reply.take_over),
    Row(Speaking, Window, speech.voiced, speech.speak_on),
    Row(Speaking, Window, speech.silent, speech.pause),
    Row(Speaking, ReplyFinished, reply.held_is_over, reply.let_go),
    Row(Speaking, ReplyCancelled, reply.holds, reply.let_go),
    Row(Speaking, AudioCleared, reply.holds, reply.let_it_go_on),
    Row(Speaking, AudioCommitted, speech.always, client.commit_speech),
    Row(Speaking, AudioCleared, speech.always, client.clear),
    Row(Speaking, ReplyRequested, speech.always, client.cut_and_respond),
    #
    Row(Pausing, Window, speech.undetected, speech.resume),
    Row(Pausing, Window, speech.resumed, speech.resume),
    Row(Pausing, Window, reply.was_no_turn, reply.let_it_go_on),
    Row(Pausing, Window, speech.silent_enough, speech.end),
    Row(Pausing, Window, speech.always, speech.wait),
    Row(Pausing, TextScored, speech.completed, speech.complete),
    Row(Pausing, TextScored, speech.unsure, speech.ask_for_sound),
    Row(Pausing, TextScored, speech.its_own, speech.note_score),
    Row(Pausing, Read, speech.completed, speech.complete),
    Row(Pausing, Read, speech.unsure, speech.ask_for_sound),
    Row(Pausing, Read, speech.its_own, speech.note_score),
    Row(Pausing, AudioScored, speech.completed, speech.complete),
    Row(Pausing, AudioScored, speech.its_own, speech.note_score),
    Row(Pausing, Transcribed, reply.is_no_turn, reply.let_it_go_on),
    Row(Pausing, Transcribed, reply.may_be_no_turn, reply.note_no_turn),
    Row(Pausing, Transcribed, reply.is_a_turn, reply.keep),
    Row(Pausing, NothingSaid, reply.is_no_turn, reply.let_it_go_on),
    Row(Pausing, NothingSaid, reply.may_be_no_turn, reply.note_no_turn),
    Row(Pausing, NothingSaid, speech.its_own, speech.forget),
    Row(Pausing, ReplyFinished, reply.held_is_over, reply.let_go),
    Row(Pausing, ReplyCancelled, reply.holds, reply.let_go),
    Row(Pausing, AudioCommitted, speech.always, speech.end),
    Row(Pausing, AudioCleared, reply.holds, reply.let_it_go_on),
    Row(Pausing, AudioCleared, speech.always, speech.forget),
    Row(Pausing, ReplyRequested, speech.always, client.end_and_respond),
    #
    Row(Replying, Window, reply.goes_on_unheard, reply.go_on_unheard),
    Row(Replying, Window, reply.barges_in_for_good, reply.interrupt),
    Row(Replying, Window, reply.barges_in, reply.hold),
    Row(Replying, Window, reply.is_over_the_reply, reply.note_voice),
    Row(Replying, Window, reply.fell_silent, reply.note_silence),
    Row(Replying, Window, reply.may_barge_in, reply.duck),
    Row(Replying, Window, reply.was_nothing, reply.unduck),
    Row(Replying, Window, speech.always, speech.follow_voice),
    Row(Replying, NothingSaid, speech.its_own, speech.forget),
    Row(Replying, ReplyHeard, speech.its_own, reply.note_heard),
    Row(Replying, ReplyFinished, speech.its_own, reply.listen),
    Row(Replying, ReplyCancelled, speech.always, client.stop),
    Row(Replying, ReplyRequested, speech.always, client.refuse),
    Row(Replying, AudioCommitted, speech.always, client.stop_and_commit),
)


def step(state: State, event: Event, config: TurnConfig) -> Step:
    """The next state, and what to do now.

    A window that fades is silence within a turn, and what the detector says of it everywhere else.
    Where detection is off no voice is looked for: a pause that it was switched off in is none any more.
    Whatever ends a hold stops the held reply first, but for a row that lets it go on, or reopens its turn.
    """
    if isinstance(event, Window) and config.detection == "none" and not isinstance(state, Pausing):
        if isinstance(state, Replying) and state.ducked:
            return reply.unduck(state, event, config)
        if isinstance(state, Speaking) and state.held:
            return reply.let_it_go_on(state, event, config)
        return state, ()
    if isinstance(event, Window) and event.fades and isinstance(state, Speaking | Pausing):
        event = replace(event, voice=0.0)
    for row in TABLE:
        if row.state is type(state) and row.event is type(event) and row.when(state, event, config):
            after, commands = row.then(state, event, config)
            return after, (*_stopped(state, after, commands), *commands)
    return state, ()


def _stopped(before: State, after: State, commands: tuple[Command, ...]) -> tuple[Command, ...]:
    held = _held(before)
    kept = held is None or held == _held(after)
    settled = any(isinstance(command, Continue | Reopen) for command in commands)
    return () if kept or settled or held is None else (Stop(held.reply.number),)


def _held(state: State) -> Held | None:
    return state.held if isinstance(state, Speaking | Pausing) else None


Decide = Callable[[State, Event, TurnConfig], Step]
"""What `step` is."""
