"""Guards and transitions from the first voice of a turn to its end."""

from dataclasses import replace
from typing import Any, TypeVar

from asr.audio import RATE
from assistant.session.completeness import log_odds
from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    AudioScored,
    Discard,
    EndTurn,
    Listening,
    NothingSaid,
    Pausing,
    Read,
    Release,
    Replying,
    ReplyRequested,
    Respond,
    Score,
    Speaking,
    Speculate,
    Step,
    TextScored,
    TurnConfig,
    Window,
)

S = TypeVar("S", Listening, Pausing, Replying)
_Score = TextScored | Read | AudioScored

_BY_SOUND = 2.5  # log-odds that may be missing for the sound to be asked: it adds 1.5, silence the rest

# Guards


def always(_state: Any, _event: Any, _config: TurnConfig) -> bool:  # noqa: ANN401  # whatever they are
    """For the last row of a state and an event."""
    return True


def undetected(_state: Any, _event: Any, config: TurnConfig) -> bool:  # noqa: ANN401  # as above
    """Whether only the client says when a turn ends."""
    return config.detection == "none"


def voice_began(state: Listening, window: Window, config: TurnConfig) -> bool:
    """Whether a voice has lasted long enough to begin a turn; what may be an echo has to last longer."""
    start = voice_start(state.voice_start, window, config)
    needed_ms = config.start_ms if window.end_sample > state.echo_end else config.barge_in_ms
    return start is not None and since_ms(start, window) >= needed_ms


def voiced(_state: Speaking, window: Window, config: TurnConfig) -> bool:
    """Whether the user still speaks."""
    return window.voice >= config.voice_off


def silent(state: Speaking, window: Window, config: TurnConfig) -> bool:
    """Whether the silence has lasted long enough to transcribe the turn."""
    return since_ms(state.voice_end, window) >= config.prepare_ms


def resumed(state: Pausing, window: Window, config: TurnConfig) -> bool:
    """Whether the user has gone on speaking."""
    voice = voice_start(state.voice_start, window, config)
    return voice is not None and since_ms(voice, window) >= config.resume_ms


def silent_enough(state: Pausing, window: Window, config: TurnConfig) -> bool:
    """Whether the turn is over with this window."""
    if window.voice >= config.voice_on:
        return False
    return _is_over(replace(state, window_end=window.end_sample), config)


def completed(state: Pausing, event: _Score, config: TurnConfig) -> bool:
    """Whether the turn is over with this score."""
    quiet = state.voice_start is None and config.detection != "none"
    return quiet and its_own(state, event, config) and _is_over(_noted(state, event), config)


def unsure(state: Pausing, event: TextScored | Read, config: TurnConfig) -> bool:
    """Whether the sound may end the turn where the words do not yet, and nothing else is asked."""
    missing = config.threshold - event.log_odds
    read_first = isinstance(event, TextScored) and event.reading
    asks = config.detection == "semantic" and not read_first
    return its_own(state, event, config) and asks and 0 < missing < _BY_SOUND


def its_own(state: Pausing | Replying, event: Any, _config: TurnConfig) -> bool:  # noqa: ANN401
    """Whether the event is about the present turn: others are stale."""
    return bool(event.number == state.number)


# Transitions


def follow_voice(state: S, window: Window, config: TurnConfig) -> Step:
    """Note where a run of voiced windows began."""
    return replace(state, voice_start=voice_start(state.voice_start, window, config)), ()


def wait(state: Pausing, window: Window, config: TurnConfig) -> Step:
    """Note the silence, and where a run of voiced windows began."""
    voice = voice_start(state.voice_start, window, config)
    return replace(state, voice_start=voice, window_end=window.end_sample), ()


def start_speaking(state: Listening, window: Window, config: TurnConfig) -> Step:
    """A turn begins."""
    start = voice_start(state.voice_start, window, config)
    assert start is not None, "the guard has seen voice"
    return Speaking(state.next_number, start, window.end_sample), ()


def speak_on(state: Speaking, window: Window, _config: TurnConfig) -> Step:
    """It goes on."""
    return replace(state, voice_end=window.end_sample), ()


def pause(state: Speaking, window: Window, config: TurnConfig) -> Step:
    """It may be over: prepare the reply."""
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


def resume(state: Pausing, window: Window, _config: TurnConfig) -> Step:
    """It was not over."""
    speaking = Speaking(state.next_number, state.start_sample, window.end_sample, state.held)
    return speaking, (Discard(state.number),)


def note_score(state: Pausing, event: _Score, _config: TurnConfig) -> Step:
    """Keep the score for the windows to come."""
    return _noted(state, event), ()


def ask_for_sound(state: Pausing, event: TextScored | Read, config: TurnConfig) -> Step:
    """Once, and as it was at the beginning of the silence: the longer that is, the less the sound says."""
    end_sample = state.voice_end + config.prepare_ms * RATE // 1000
    return _noted(state, event), (Score(state.number, state.start_sample, end_sample),)


def complete(state: Pausing, event: _Score, config: TurnConfig) -> Step:
    """The score ends the turn."""
    return _end_at(_noted(state, event), state.window_end, config)


def end(state: Pausing, event: Window | AudioCommitted, config: TurnConfig) -> Step:
    """The silence, or the client, ends the turn."""
    return _end_at(state, event.end_sample, config)


def _end_at(state: Pausing, sample: int, config: TurnConfig) -> Step:
    ended = EndTurn(state.number, sample)
    if not config.create_response:
        return Listening(state.next_number), (ended, Discard(state.number))
    if not state.prepared:
        after, commands = respond(Listening(state.next_number), ReplyRequested(), config)
        return after, (ended, Discard(state.number), *commands)
    replying = Replying(state.next_number, state.start_sample, state.number)
    return replying, (ended, Release(state.number))


def forget(state: Pausing | Replying, _event: NothingSaid | AudioCleared, _config: TurnConfig) -> Step:
    """Nothing was said after all, or it is taken back."""
    return Listening(state.next_number), (Discard(state.number),)


def respond(state: Listening, event: ReplyRequested, _config: TurnConfig) -> Step:
    """The reply that was requested is all there is to wait for."""
    number = state.next_number
    return Replying(number + 1, None, number), (Respond(number, event.request), Release(number))


# What guards and transitions look at


def _noted(state: Pausing, event: _Score) -> Pausing:
    if isinstance(event, Read):
        return replace(state, text=event.log_odds, read=True)
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
    return log_odds(state.text, state.audio, silence_ms, read=state.read) >= config.threshold


def since_ms(sample: int, now: Window) -> float:
    """How long ago `sample` was at the end of `now`."""
    return (now.end_sample - sample) * 1000 / RATE


def voice_start(since: int | None, window: Window, config: TurnConfig) -> int | None:
    """Where the present run of voiced windows began, None if this window is not voiced."""
    if window.voice < config.voice_on:
        return None
    return window.end_sample - 512 if since is None else since
