"""Guards and transitions over a reply that sounds, or that is held."""

from dataclasses import replace
from typing import Any

from asr.audio import RATE
from assistant.session.turn import (
    Command,
    Continue,
    Discard,
    Duck,
    Event,
    Held,
    Hold,
    Listening,
    NothingSaid,
    Pausing,
    Reopen,
    ReplyCancelled,
    ReplyFinished,
    ReplyHeard,
    Replying,
    Speaking,
    Step,
    Stop,
    Transcribed,
    TurnConfig,
    Unduck,
    Window,
)
from assistant.session.turn_speech import its_own, pause, since_ms, voice_start, voiced

# Guards


def goes_on_unheard(state: Replying, window: Window, config: TurnConfig) -> bool:
    """Whether the user speaks on before they have heard anything of the reply."""
    unheard = config.interrupt_response and state.heard_sample is None
    return unheard and _voice_lasts(state, window, config, config.resume_ms)


def barges_in(state: Replying, window: Window, config: TurnConfig) -> bool:
    """Whether a voice over a reply that is being heard interrupts it."""
    heard = config.interrupt_response and state.heard_sample is not None
    return heard and is_over_the_reply(state, window, config)


def barges_in_for_good(state: Replying, window: Window, config: TurnConfig) -> bool:
    """As `barges_in`, where the sink cannot hold a reply."""
    return not config.reversible and barges_in(state, window, config)


def may_barge_in(state: Replying, window: Window, config: TurnConfig) -> bool:
    """Whether a voice begins over a reply that is being heard, and the sink can duck it."""
    wanted = config.interrupt_response and config.reversible and not state.ducked
    heard = wanted and state.heard_sample is not None
    return heard and _voice_lasts(state, window, config, config.duck_ms)


def is_over_the_reply(state: Replying, window: Window, config: TurnConfig) -> bool:
    """Whether a voice has lasted long enough to be somebody who speaks over the reply."""
    return _voice_lasts(state, window, config, config.barge_in_ms)


def _voice_lasts(state: Replying, window: Window, config: TurnConfig, ms: int) -> bool:
    voice = voice_start(state.voice_start, window, config)
    return voice is not None and since_ms(voice, window) >= ms


def was_nothing(state: Replying, window: Window, config: TurnConfig) -> bool:
    """Whether the voice that the reply was ducked for is over."""
    return state.ducked and window.voice < config.voice_on


def fell_silent(state: Replying, window: Window, config: TurnConfig) -> bool:
    """Whether a voice that interrupted nothing is over."""
    return state.voice_end is not None and window.voice < config.voice_on


def holds(state: Speaking | Pausing, _event: Any, _config: TurnConfig) -> bool:  # noqa: ANN401
    """Whether the turn carries a held reply."""
    return state.held is not None


def takes_over(state: Speaking, window: Window, config: TurnConfig) -> bool:
    """Whether what is said over the held reply is too long for a backchannel."""
    lasts = state.held is not None and voiced(state, window, config)
    return lasts and since_ms(state.start_sample, window) >= config.takeover_ms


def is_no_turn(state: Pausing, event: NothingSaid | Transcribed, config: TurnConfig) -> bool:
    """Whether what was said over the held reply leaves it be."""
    return may_be_no_turn(state, event, config) and state.voice_start is None


def may_be_no_turn(state: Pausing, event: NothingSaid | Transcribed, config: TurnConfig) -> bool:
    """As `is_no_turn`, if the voice that just begins is none."""
    nothing = isinstance(event, NothingSaid) or event.backchannel
    return nothing and state.held is not None and its_own(state, event, config)


def was_no_turn(state: Pausing, window: Window, config: TurnConfig) -> bool:
    """Whether the voice that `may_be_no_turn` waited for is over, too."""
    return state.no_turn and window.voice < config.voice_on


def is_a_turn(state: Pausing, event: Transcribed, config: TurnConfig) -> bool:
    """Whether what was said over the held reply wants an answer of its own."""
    return not event.backchannel and state.held is not None and its_own(state, event, config)


def held_is_over(state: Speaking | Pausing, event: ReplyFinished, _config: TurnConfig) -> bool:
    """Whether nothing was left of the held reply, or it failed."""
    return state.held is not None and event.number == state.held.reply.number


# Transitions


def note_heard(state: Replying, event: ReplyHeard, _config: TurnConfig) -> Step:
    """The reply is audible from now on."""
    return replace(state, heard_sample=event.sample), ()


def note_voice(state: Replying, window: Window, config: TurnConfig) -> Step:
    """Somebody speaks over a reply that no voice interrupts."""
    start = voice_start(state.voice_start, window, config)
    return replace(state, voice_start=start, voice_end=window.end_sample), ()


def note_silence(state: Replying, _window: Window, _config: TurnConfig) -> Step:
    """They speak no longer."""
    return replace(state, voice_start=None, voice_end=None), ()


def listen(state: Replying, event: ReplyFinished | ReplyCancelled, config: TurnConfig) -> Step:
    """The reply is over. Who already speaks goes on speaking: that is a turn."""
    commands: tuple[Command, ...] = (Unduck(state.number),) if state.ducked else ()
    if state.voice_start is not None and state.voice_end is not None:
        return Speaking(state.next_number, state.voice_start, state.voice_end), commands
    echo_end = event.sample + config.echo_ms * RATE // 1000 if config.echo_ms else 0
    return Listening(state.next_number, state.voice_start, echo_end), commands


def interrupt(state: Replying, window: Window, config: TurnConfig) -> Step:
    """Stop the reply for the turn that begins."""
    voice = voice_start(state.voice_start, window, config)
    assert voice is not None, "the guard has seen voice"
    return Speaking(state.next_number, voice, window.end_sample), (Stop(state.number),)


def go_on_unheard(state: Replying, window: Window, config: TurnConfig) -> Step:
    """Take back the end of the turn, if the reply answers one."""
    if state.start_sample is None:
        return interrupt(state, window, config)
    return Speaking(state.next_number, state.start_sample, window.end_sample), (Reopen(state.number),)


def duck(state: Replying, window: Window, config: TurnConfig) -> Step:
    """Play the reply quietly until it is known what the voice is."""
    voice = voice_start(state.voice_start, window, config)
    return replace(state, voice_start=voice, ducked=True), (Duck(state.number),)


def unduck(state: Replying, _window: Window, _config: TurnConfig) -> Step:
    """Play it as before."""
    return replace(state, voice_start=None, ducked=False), (Unduck(state.number),)


def hold(state: Replying, window: Window, config: TurnConfig) -> Step:
    """Silence the reply for a turn that carries it."""
    after, _ = interrupt(state, window, config)
    assert isinstance(after, Speaking) and state.heard_sample is not None, "the guard has seen it"
    early = state.start_sample is not None and since_ms(state.heard_sample, window) < config.reopen_ms
    reply = replace(state, voice_start=None, ducked=False)
    return replace(after, held=Held(reply, early)), (Hold(state.number),)


def let_it_go_on(state: Speaking | Pausing, _event: Event, _config: TurnConfig) -> Step:
    """Drop the turn; the held reply goes on."""
    assert state.held is not None, "the guard has seen it"
    reply = replace(state.held.reply, next_number=state.next_number)
    commands: tuple[Command, ...] = (Discard(state.number),) if isinstance(state, Pausing) else ()
    return reply, (*commands, Continue(reply.number))


def note_no_turn(state: Pausing, _event: Event, _config: TurnConfig) -> Step:
    """A voice just begins: what comes of it decides."""
    return replace(state, no_turn=True), ()


def let_go(state: Speaking | Pausing, _event: Event, _config: TurnConfig) -> Step:
    """Keep the turn; `step` stops the held reply."""
    return replace(state, held=None), ()


def take_over(state: Speaking, window: Window, _config: TurnConfig) -> Step:
    """Keep the turn, or go on with the one before."""
    after = replace(state, voice_end=window.end_sample, held=None)
    if (start := _reopened_at(state)) is None:
        return after, ()
    return replace(after, start_sample=start), _reopen(state)


def keep(state: Pausing, _event: Transcribed, config: TurnConfig) -> Step:
    """Keep the turn, or go on with the one before: then both are transcribed as one."""
    if (start := _reopened_at(state)) is None:
        return replace(state, held=None), ()
    speaking = Speaking(state.next_number, start, state.voice_end)
    pausing, commands = pause(speaking, Window(state.window_end, 0.0), config)
    assert isinstance(pausing, Pausing), "that is what it makes"
    after = replace(pausing, voice_start=state.voice_start)
    return after, (Discard(state.number), *_reopen(state), *commands)


def _reopened_at(state: Speaking | Pausing) -> int | None:
    """Where the turn before began, if the reply to it was held early."""
    return state.held.reply.start_sample if state.held is not None and state.held.early else None


def _reopen(state: Speaking | Pausing) -> tuple[Command, ...]:
    assert state.held is not None, "the guard has seen it"
    return (Reopen(state.held.reply.number),)
