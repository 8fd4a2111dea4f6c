"""Turn taking without I/O: (state, event) -> (state, commands). No clock, no queue, no await.

`TABLE` is the whole machine: in which state, at which event, under which condition, what happens.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from asr.audio import RATE
from assistant.session.completeness import by_silence, with_sound
from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    AudioScored,
    Command,
    Continue,
    Discard,
    Duck,
    EndTurn,
    Event,
    Held,
    Hold,
    Listening,
    NothingSaid,
    Pausing,
    Refuse,
    Release,
    Reopen,
    ReplyCancelled,
    ReplyFinished,
    ReplyHeard,
    Replying,
    ReplyRequested,
    Respond,
    Score,
    Speaking,
    Speculate,
    State,
    Step,
    Stop,
    TextScored,
    Transcribed,
    TurnConfig,
    Unduck,
    Window,
)

S = TypeVar("S", Listening, Speaking, Pausing, Replying)
E = TypeVar("E")

_BY_SOUND = 2.5  # log-odds that may be missing for the sound to be asked: it adds 1.5, silence the rest

# Guards


def _always(_state: Any, _event: Any, _config: TurnConfig) -> bool:  # noqa: ANN401  # whatever they are
    return True


def _undetected(_state: Any, _event: Any, config: TurnConfig) -> bool:  # noqa: ANN401  # as above
    return config.detection == "none"


def _voice_began(state: Listening, window: Window, config: TurnConfig) -> bool:
    start = _voice_start(state.voice_start, window, config)
    needed_ms = config.start_ms if window.end_sample > state.echo_end else config.barge_in_ms
    return start is not None and _since_ms(start, window) >= needed_ms


def _voiced(_state: Speaking, window: Window, config: TurnConfig) -> bool:
    return window.voice >= config.voice_off


def _silent(state: Speaking, window: Window, config: TurnConfig) -> bool:
    return _since_ms(state.voice_end, window) >= config.prepare_ms


def _resumed(state: Pausing, window: Window, config: TurnConfig) -> bool:
    voice = _voice_start(state.voice_start, window, config)
    return voice is not None and _since_ms(voice, window) >= config.resume_ms


def _ended(state: Pausing, window: Window, config: TurnConfig) -> bool:
    if window.voice >= config.voice_on:
        return False
    return _is_over(replace(state, window_end=window.end_sample), config)


def _completed(state: Pausing, event: TextScored | AudioScored, config: TurnConfig) -> bool:
    silent = state.voice_start is None and config.detection != "none"
    return silent and _its_own(state, event, config) and _is_over(_noted(state, event), config)


def _unsure(state: Pausing, event: TextScored, config: TurnConfig) -> bool:
    """Whether the sound may end the turn where the words do not yet."""
    missing = config.threshold - event.log_odds
    return _its_own(state, event, config) and config.detection == "semantic" and 0 < missing < _BY_SOUND


def _goes_on_unheard(state: Replying, window: Window, config: TurnConfig) -> bool:
    unheard = config.interrupt_response and state.heard_sample is None
    return unheard and _voice_lasts(state, window, config, config.resume_ms)


def _barges_in(state: Replying, window: Window, config: TurnConfig) -> bool:
    heard = config.interrupt_response and state.heard_sample is not None
    return heard and _is_over_the_reply(state, window, config)


def _barges_in_for_good(state: Replying, window: Window, config: TurnConfig) -> bool:
    return not config.reversible and _barges_in(state, window, config)


def _is_over_the_reply(state: Replying, window: Window, config: TurnConfig) -> bool:
    return _voice_lasts(state, window, config, config.barge_in_ms)


def _may_barge_in(state: Replying, window: Window, config: TurnConfig) -> bool:
    wanted = config.interrupt_response and config.reversible and not state.ducked
    heard = wanted and state.heard_sample is not None
    return heard and _voice_lasts(state, window, config, config.duck_ms)


def _voice_lasts(state: Replying, window: Window, config: TurnConfig, ms: int) -> bool:
    voice = _voice_start(state.voice_start, window, config)
    return voice is not None and _since_ms(voice, window) >= ms


def _was_nothing(state: Replying, window: Window, config: TurnConfig) -> bool:
    return state.ducked and window.voice < config.voice_on


def _fell_silent(state: Replying, window: Window, config: TurnConfig) -> bool:
    return state.voice_end is not None and window.voice < config.voice_on


def _its_own(state: Pausing | Replying, event: Any, _config: TurnConfig) -> bool:  # noqa: ANN401
    """Whether the event is about the present turn: others are stale."""
    return bool(event.number == state.number)


def _holds(state: Speaking | Pausing, _event: Any, _config: TurnConfig) -> bool:  # noqa: ANN401
    return state.held is not None


def _takes_over(state: Speaking, window: Window, config: TurnConfig) -> bool:
    lasts = state.held is not None and _voiced(state, window, config)
    return lasts and _since_ms(state.start_sample, window) >= config.takeover_ms


def _is_no_turn(state: Pausing, event: NothingSaid | Transcribed, config: TurnConfig) -> bool:
    """Whether what was said over the held reply leaves it be."""
    return _may_be_no_turn(state, event, config) and state.voice_start is None


def _may_be_no_turn(state: Pausing, event: NothingSaid | Transcribed, config: TurnConfig) -> bool:
    """As `_is_no_turn`, if the voice that just begins is none."""
    nothing = isinstance(event, NothingSaid) or event.backchannel
    return nothing and state.held is not None and _its_own(state, event, config)


def _was_no_turn(state: Pausing, window: Window, config: TurnConfig) -> bool:
    return state.no_turn and window.voice < config.voice_on


def _is_a_turn(state: Pausing, event: Transcribed, config: TurnConfig) -> bool:
    return not event.backchannel and state.held is not None and _its_own(state, event, config)


def _held_is_over(state: Speaking | Pausing, event: ReplyFinished, _config: TurnConfig) -> bool:
    """Whether nothing was left of the held reply, or it failed."""
    return state.held is not None and event.number == state.held.reply.number


# Transitions


def _follow_voice(state: S, window: Window, config: TurnConfig) -> Step:
    assert not isinstance(state, Speaking)
    return replace(state, voice_start=_voice_start(state.voice_start, window, config)), ()


def _wait(state: Pausing, window: Window, config: TurnConfig) -> Step:
    voice_start = _voice_start(state.voice_start, window, config)
    return replace(state, voice_start=voice_start, window_end=window.end_sample), ()


def _start_speaking(state: Listening, window: Window, config: TurnConfig) -> Step:
    start = _voice_start(state.voice_start, window, config)
    assert start is not None, "the guard has seen voice"
    return Speaking(state.next_number, start, window.end_sample), ()


def _speak_on(state: Speaking, window: Window, _config: TurnConfig) -> Step:
    return replace(state, voice_end=window.end_sample), ()


def _pause(state: Speaking, window: Window, config: TurnConfig) -> Step:
    number, start = state.next_number, state.start_sample
    pausing = Pausing(
        number + 1,
        start,
        state.voice_end,
        number,
        window_end=window.end_sample,
        prepared=config.create_response,
        held=state.held,
    )
    return pausing, (Speculate(number, start, state.voice_end),)


def _resume(state: Pausing, window: Window, _config: TurnConfig) -> Step:
    speaking = Speaking(state.next_number, state.start_sample, window.end_sample, state.held)
    return speaking, (Discard(state.number),)


def _end(state: Pausing, event: Window | AudioCommitted, config: TurnConfig) -> Step:
    return _end_at(state, event.end_sample, config)


def _end_at(state: Pausing, sample: int, config: TurnConfig) -> Step:
    ended = EndTurn(state.number, sample)
    if not config.create_response:
        return Listening(state.next_number), (ended, Discard(state.number))
    if not state.prepared:
        after, commands = _respond(Listening(state.next_number), ReplyRequested(), config)
        return after, (ended, Discard(state.number), *commands)
    replying = Replying(state.next_number, state.start_sample, state.number)
    return replying, (ended, Release(state.number))


def _note_score(state: Pausing, event: TextScored | AudioScored, _config: TurnConfig) -> Step:
    return _noted(state, event), ()


def _complete(state: Pausing, event: TextScored | AudioScored, config: TurnConfig) -> Step:
    return _end_at(_noted(state, event), state.window_end, config)


def _ask_for_sound(state: Pausing, event: TextScored, config: TurnConfig) -> Step:
    """Once, and as it was at the beginning of the silence: the longer that is, the less the sound says."""
    end_sample = state.voice_end + config.prepare_ms * RATE // 1000
    return _noted(state, event), (Score(state.number, state.start_sample, end_sample),)


def _forget(state: Pausing | Replying, _event: NothingSaid | AudioCleared, _config: TurnConfig) -> Step:
    return Listening(state.next_number), (Discard(state.number),)


def _note_heard(state: Replying, event: ReplyHeard, _config: TurnConfig) -> Step:
    return replace(state, heard_sample=event.sample), ()


def _listen(state: Replying, event: ReplyFinished | ReplyCancelled, config: TurnConfig) -> Step:
    commands: tuple[Command, ...] = (Unduck(state.number),) if state.ducked else ()
    if state.voice_start is not None and state.voice_end is not None:
        return Speaking(state.next_number, state.voice_start, state.voice_end), commands
    echo_end = event.sample + config.echo_ms * RATE // 1000 if config.echo_ms else 0
    return Listening(state.next_number, state.voice_start, echo_end), commands


def _interrupt(state: Replying, window: Window, config: TurnConfig) -> Step:
    voice = _voice_start(state.voice_start, window, config)
    assert voice is not None, "the guard has seen voice"
    return Speaking(state.next_number, voice, window.end_sample), (Stop(state.number),)


def _go_on_unheard(state: Replying, window: Window, config: TurnConfig) -> Step:
    if state.start_sample is None:
        return _interrupt(state, window, config)
    return Speaking(state.next_number, state.start_sample, window.end_sample), (Reopen(state.number),)


def _duck(state: Replying, window: Window, config: TurnConfig) -> Step:
    voice = _voice_start(state.voice_start, window, config)
    return replace(state, voice_start=voice, ducked=True), (Duck(state.number),)


def _unduck(state: Replying, _window: Window, _config: TurnConfig) -> Step:
    return replace(state, voice_start=None, ducked=False), (Unduck(state.number),)


def _hold(state: Replying, window: Window, config: TurnConfig) -> Step:
    after, _ = _interrupt(state, window, config)
    assert isinstance(after, Speaking) and state.heard_sample is not None, "the guard has seen it"
    early = state.start_sample is not None and _since_ms(state.heard_sample, window) < config.reopen_ms
    reply = replace(state, voice_start=None, ducked=False)
    return replace(after, held=Held(reply, early)), (Hold(state.number),)


def _let_it_go_on(state: Speaking | Pausing, _event: Event, _config: TurnConfig) -> Step:
    """Drop the turn; the held reply goes on."""
    assert state.held is not None, "the guard has seen it"
    reply = replace(state.held.reply, next_number=state.next_number)
    commands: tuple[Command, ...] = (Discard(state.number),) if isinstance(state, Pausing) else ()
    return reply, (*commands, Continue(reply.number))


def _note_no_turn(state: Pausing, _event: Event, _config: TurnConfig) -> Step:
    """A voice just begins: what comes of it decides."""
    return replace(state, no_turn=True), ()


def _let_go(state: Speaking | Pausing, _event: Event, _config: TurnConfig) -> Step:
    """Keep the turn; `step` stops the held reply."""
    return replace(state, held=None), ()


def _take_over(state: Speaking, window: Window, _config: TurnConfig) -> Step:
    """Keep the turn, or go on with the one before."""
    after = replace(state, voice_end=window.end_sample, held=None)
    if (start := _reopened_at(state)) is None:
        return after, ()
    return replace(after, start_sample=start), _reopen(state)


def _keep(state: Pausing, _event: Transcribed, config: TurnConfig) -> Step:
    """Keep the turn, or go on with the one before: then both are transcribed as one."""
    if (start := _reopened_at(state)) is None:
        return replace(state, held=None), ()
    speaking = Speaking(state.next_number, start, state.voice_end)
    pausing, commands = _pause(speaking, Window(state.window_end, 0.0), config)
    assert isinstance(pausing, Pausing), "that is what it makes"
    after = replace(pausing, voice_start=state.voice_start)
    return after, (Discard(state.number), *_reopen(state), *commands)


def _reopened_at(state: Speaking | Pausing) -> int | None:
    """Where the turn before began, if the reply to it was held early."""
    return state.held.reply.start_sample if state.held is not None and state.held.early else None


def _reopen(state: Speaking | Pausing) -> tuple[Command, ...]:
    assert state.held is not None, "the guard has seen it"
    return (Reopen(state.held.reply.number),)


def _stop(state: Replying, event: ReplyCancelled, config: TurnConfig) -> Step:
    after, _ = _listen(state, event, config)
    return after, (Stop(state.number),)


def _respond(state: Listening, event: ReplyRequested, _config: TurnConfig) -> Step:
    number = state.next_number
    return Replying(number + 1, None, number), (Respond(number, event.request), Release(number))


def _end_and_respond(state: Pausing, event: ReplyRequested, config: TurnConfig) -> Step:
    """What was prepared does not know what the client has said since: answer both."""
    ended = (EndTurn(state.number, state.window_end), Discard(state.number))
    after, commands = _respond(Listening(state.next_number), event, config)
    return after, (*ended, *commands)


def _cut_and_respond(state: Speaking, event: ReplyRequested, config: TurnConfig) -> Step:
    """The client wants its reply now: what has been said so far is a turn."""
    number, start = state.next_number, state.start_sample
    pausing = Pausing(number + 1, start, state.voice_end, number, window_end=state.voice_end)
    after, commands = _end_and_respond(pausing, event, config)
    return after, (Speculate(number, start, state.voice_end), *commands)


def _refuse(state: Replying, event: ReplyRequested, _config: TurnConfig) -> Step:
    return state, (Refuse(event.request),)


def _note_voice(state: Replying, window: Window, config: TurnConfig) -> Step:
    start = _voice_start(state.voice_start, window, config)
    return replace(state, voice_start=start, voice_end=window.end_sample), ()


def _note_silence(state: Replying, _window: Window, _config: TurnConfig) -> Step:
    return replace(state, voice_start=None, voice_end=None), ()


def _commit_speech(state: Speaking, event: AudioCommitted, config: TurnConfig) -> Step:
    number, start = state.next_number, state.start_sample
    pausing = Pausing(number + 1, start, state.voice_end, number, window_end=event.end_sample)
    after, commands = _end(pausing, event, config)
    return after, (Speculate(number, start, state.voice_end), *commands)


def _commit_audio(state: Listening, event: AudioCommitted, config: TurnConfig) -> Step:
    """Nobody has detected voice: the client knows where it began."""
    return _commit_speech(Speaking(state.next_number, event.start_sample, event.end_sample), event, config)


def _stop_and_commit(state: Replying, event: AudioCommitted, config: TurnConfig) -> Step:
    """The client's next turn ends while the reply still sounds."""
    after, commands = _commit_audio(Listening(state.next_number), event, config)
    return after, (Stop(state.number), *commands)


def _clear(state: Speaking, _event: AudioCleared, _config: TurnConfig) -> Step:
    return Listening(state.next_number), ()


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
    Row(Listening, Window, _voice_began, _start_speaking),
    Row(Listening, Window, _always, _follow_voice),
    Row(Listening, AudioCommitted, _always, _commit_audio),
    Row(Listening, ReplyRequested, _always, _respond),
    #
    Row(Speaking, Window, _takes_over, _take_over),
    Row(Speaking, Window, _voiced, _speak_on),
    Row(Speaking, Window, _silent, _pause),
    Row(Speaking, ReplyFinished, _held_is_over, _let_go),
    Row(Speaking, ReplyCancelled, _holds, _let_go),
    Row(Speaking, AudioCleared, _holds, _let_it_go_on),
    Row(Speaking, AudioCommitted, _always, _commit_speech),
    Row(Speaking, AudioCleared, _always, _clear),
    Row(Speaking, ReplyRequested, _always, _cut_and_respond),
    #
    Row(Pausing, Window, _undetected, _resume),
    Row(Pausing, Window, _resumed, _resume),
    Row(Pausing, Window, _was_no_turn, _let_it_go_on),
    Row(Pausing, Window, _ended, _end),
    Row(Pausing, Window, _always, _wait),
    Row(Pausing, TextScored, _completed, _complete),
    Row(Pausing, TextScored, _unsure, _ask_for_sound),
    Row(Pausing, TextScored, _its_own, _note_score),
    Row(Pausing, AudioScored, _completed, _complete),
    Row(Pausing, AudioScored, _its_own, _note_score),
    Row(Pausing, Transcribed, _is_no_turn, _let_it_go_on),
    Row(Pausing, Transcribed, _may_be_no_turn, _note_no_turn),
    Row(Pausing, Transcribed, _is_a_turn, _keep),
    Row(Pausing, NothingSaid, _is_no_turn, _let_it_go_on),
    Row(Pausing, NothingSaid, _may_be_no_turn, _note_no_turn),
    Row(Pausing, NothingSaid, _its_own, _forget),
    Row(Pausing, ReplyFinished, _held_is_over, _let_go),
    Row(Pausing, ReplyCancelled, _holds, _let_go),
    Row(Pausing, AudioCommitted, _always, _end),
    Row(Pausing, AudioCleared, _holds, _let_it_go_on),
    Row(Pausing, AudioCleared, _always, _forget),
    Row(Pausing, ReplyRequested, _always, _end_and_respond),
    #
    Row(Replying, Window, _goes_on_unheard, _go_on_unheard),
    Row(Replying, Window, _barges_in_for_good, _interrupt),
    Row(Replying, Window, _barges_in, _hold),
    Row(Replying, Window, _is_over_the_reply, _note_voice),
    Row(Replying, Window, _fell_silent, _note_silence),
    Row(Replying, Window, _may_barge_in, _duck),
    Row(Replying, Window, _was_nothing, _unduck),
    Row(Replying, Window, _always, _follow_voice),
    Row(Replying, NothingSaid, _its_own, _forget),
    Row(Replying, ReplyHeard, _its_own, _note_heard),
    Row(Replying, ReplyFinished, _its_own, _listen),
    Row(Replying, ReplyCancelled, _always, _stop),
    Row(Replying, ReplyRequested, _always, _refuse),
    Row(Replying, AudioCommitted, _always, _stop_and_commit),
)


def step(state: State, event: Event, config: TurnConfig) -> Step:
    """The next state, and what to do now.

    Where detection is off no voice is looked for: a pause that it was switched off in is none any more.
    Whatever ends a hold stops the held reply first, but for a row that lets it go on, or reopens its turn.
    """
    if isinstance(event, Window) and config.detection == "none" and not isinstance(state, Pausing):
        if isinstance(state, Replying) and state.ducked:
            return _unduck(state, event, config)
        if isinstance(state, Speaking) and state.held:
            return _let_it_go_on(state, event, config)
        return state, ()
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


def _noted(state: Pausing, event: TextScored | AudioScored) -> Pausing:
    if isinstance(event, TextScored):
        return replace(state, text=event.log_odds)
    return replace(state, audio=event.probability)


def _is_over(state: Pausing, config: TurnConfig) -> bool:
    """Whether the turn has ended, if the user has been silent up to the window that was looked at last."""
    silence_ms = (state.window_end - state.voice_end) * 1000 / RATE
    if config.detection == "silence":
        return silence_ms >= config.silence_ms
    if silence_ms >= config.max_silence_ms:
        return True
    if silence_ms < config.min_silence_ms or state.text is None:
        return False
    return log_odds(state.text, state.audio, silence_ms) >= config.threshold


def log_odds(text: float, audio: float | None, silence_ms: float) -> float:
    """Log-odds that a turn is over, by its words, by its sound, if that was scored, and by the silence."""
    scored = text if audio is None else with_sound(text, audio)
    return scored + by_silence(silence_ms)


def _since_ms(sample: int, now: Window) -> float:
    return (now.end_sample - sample) * 1000 / RATE


def _voice_start(since: int | None, window: Window, config: TurnConfig) -> int | None:
    """Where the present run of voiced windows began, None if this window is not voiced."""
    if window.voice < config.voice_on:
        return None
    return window.end_sample - 512 if since is None else since
