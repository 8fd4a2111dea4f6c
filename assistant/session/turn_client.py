"""Transitions at what a client asks for: it ends a turn, clears it, wants a reply or no more of one."""

from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    Discard,
    EndTurn,
    Listening,
    Pausing,
    Refuse,
    ReplyCancelled,
    Replying,
    ReplyRequested,
    Speaking,
    Speculate,
    Step,
    Stop,
    TurnConfig,
)
from assistant.session.turn_reply import listen
from assistant.session.turn_speech import end, respond


def commit_audio(state: Listening, event: AudioCommitted, config: TurnConfig) -> Step:
    """Nobody has detected voice: the client knows where it began."""
    return commit_speech(Speaking(state.next_number, event.start_sample, event.end_sample), event, config)


def commit_speech(state: Speaking, event: AudioCommitted, config: TurnConfig) -> Step:
    """The client ends what the user is saying."""
    number, start = state.next_number, state.start_sample
    pausing = Pausing(number + 1, start, state.voice_end, number, window_end=event.end_sample)
    after, commands = end(pausing, event, config)
    return after, (Speculate(number, start, state.voice_end), *commands)


def stop_and_commit(state: Replying, event: AudioCommitted, config: TurnConfig) -> Step:
    """The client's next turn ends while the reply still sounds."""
    after, commands = commit_audio(Listening(state.next_number), event, config)
    return after, (Stop(state.number), *commands)


def clear(state: Speaking, _event: AudioCleared, _config: TurnConfig) -> Step:
    """The client takes back what the user is saying."""
    return Listening(state.next_number), ()


def end_and_respond(state: Pausing, event: ReplyRequested, config: TurnConfig) -> Step:
    """What was prepared does not know what the client has said since: answer both."""
    ended = (EndTurn(state.number, state.window_end), Discard(state.number))
    after, commands = respond(Listening(state.next_number), event, config)
    return after, (*ended, *commands)


def cut_and_respond(state: Speaking, event: ReplyRequested, config: TurnConfig) -> Step:
    """The client wants its reply now: what has been said so far is a turn."""
    number, start = state.next_number, state.start_sample
    pausing = Pausing(number + 1, start, state.voice_end, number, window_end=state.voice_end)
    after, commands = end_and_respond(pausing, event, config)
    return after, (Speculate(number, start, state.voice_end), *commands)


def refuse(state: Replying, event: ReplyRequested, _config: TurnConfig) -> Step:
    """One reply at a time."""
    return state, (Refuse(event.request),)


def stop(state: Replying, event: ReplyCancelled, config: TurnConfig) -> Step:
    """The client wants no more of the reply."""
    after, _ = listen(state, event, config)
    return after, (Stop(state.number),)
