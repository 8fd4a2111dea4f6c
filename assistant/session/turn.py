"""Turn taking without I/O: (state, event) -> (state, commands). No clock, no queue, no await.

Time is audio time: every window of the microphone carries the sample at which it ends, so the
machine runs the same on a recording, on a live microphone and in a test.

    Listening --voice--> Speaking --silence--> Pausing --complete, or silent too long--> Replying
        ^                   ^  ^------voice------|                                     |  |
        |                   |------------voice over the reply (barge-in)---------------|  |
        |-----------------------------------reply finished--------------------------------|
"""

from dataclasses import dataclass, replace
from math import log

SAMPLES_PER_MS = 16


@dataclass(frozen=True)
class TurnConfig:
    """Delays in milliseconds of audio, thresholds in probability of speech."""

    voice_on: float = 0.5
    voice_off: float = 0.35
    start_ms: int = 64
    """Voice this long begins a turn; with two windows one click does not."""
    prepare_ms: int = 64
    """Silence this long starts the transcript, the score and the reply, on speculation."""
    resume_ms: int = 64
    """Voice this long in a pause, or before any reply is heard, takes the turn back."""
    barge_in_ms: int = 192
    """Voice this long over a reply that is being heard stops it."""
    min_silence_ms: int = 250
    max_silence_ms: int = 1600
    """A turn ends after this much silence whatever the scores say."""
    rescore_ms: int = 384
    strict: float = 3.5
    """Completeness (log-odds) that ends a turn at `min_silence_ms`; it falls, slowly at first, to
    `lenient` at `max_silence_ms`."""
    lenient: float = -4.0
    audio_weight: float = 1.0
    text_weight: float = 2.0
    """The words count for more than their sound: over 193 pauses and ends in recordings of read sentences,
    they tell the two apart with an area under the ROC curve of 0.71, the sound with 0.56."""
    text_bias: float = 1.7
    barge_in: bool = True


# Events


@dataclass(frozen=True)
class Window:
    """A window of audio that ends at `end_sample`, and the probability that it is voiced."""

    end_sample: int
    voice: float


@dataclass(frozen=True)
class AudioScored:
    """How complete the turn sounds, in [0, 1]."""

    reply: int
    probability: float


@dataclass(frozen=True)
class TextScored:
    """How complete the transcript reads, in [0, 1]."""

    reply: int
    probability: float


@dataclass(frozen=True)
class NothingSaid:
    """The transcript of the prepared reply is empty: what the VAD took for voice was noise."""

    reply: int


@dataclass(frozen=True)
class ReplyHeard:
    """The first audible sample of the reply has been played."""

    reply: int


@dataclass(frozen=True)
class ReplyFinished:
    """The reply has been played to its end."""

    reply: int


Event = Window | AudioScored | TextScored | NothingSaid | ReplyHeard | ReplyFinished

# Commands


@dataclass(frozen=True)
class Prepare:
    """Transcribe from `start_sample`, prefill and synthesize a reply that nobody hears yet."""

    reply: int
    start_sample: int
    voice_end_sample: int


@dataclass(frozen=True)
class Score:
    """Score how complete the turn from `start_sample` sounds."""

    reply: int
    start_sample: int


@dataclass(frozen=True)
class Abandon:
    """The user went on speaking, or said nothing: drop the prepared reply without a trace."""

    reply: int


@dataclass(frozen=True)
class Commit:
    """The turn has ended: let the prepared reply be heard."""

    reply: int
    decided_sample: int


@dataclass(frozen=True)
class Interrupt:
    """Stop the reply; the history keeps what was heard. If nothing was, the turn is still the same."""

    reply: int
    heard: bool


Command = Prepare | Score | Abandon | Commit | Interrupt

# States; each carries `next_reply`, the number of the next reply to prepare


@dataclass(frozen=True)
class Listening:
    """Nobody speaks; `voice_start` is where the present run of voiced windows began, if there is one."""

    next_reply: int = 0
    voice_start: int | None = None


@dataclass(frozen=True)
class Speaking:
    """The user speaks; `voice_end` is the last sample taken for voice."""

    next_reply: int
    start_sample: int
    voice_end: int


@dataclass(frozen=True)
class Pausing:
    """The user is silent since `voice_end`, and reply number `reply` is being prepared."""

    next_reply: int
    start_sample: int
    voice_end: int
    reply: int
    scored_sample: int
    audio: float | None = None
    text: float | None = None
    voice_start: int | None = None


@dataclass(frozen=True)
class Replying:
    """The reply is committed; `heard` once it has been audible."""

    next_reply: int
    start_sample: int
    reply: int
    heard: bool = False
    voice_start: int | None = None


State = Listening | Speaking | Pausing | Replying
Step = tuple[State, tuple[Command, ...]]


def step(state: State, event: Event, config: TurnConfig) -> Step:
    """The next state, and what to do now. An event about another reply than the present one is stale."""
    match state, event:
        case Listening(), Window():
            return _listening(state, event, config)
        case Speaking(), Window():
            return _speaking(state, event, config)
        case Pausing(), Window():
            return _pausing(state, event, config)
        case Replying(), Window():
            return _replying(state, event, config)
        case Pausing(reply=reply), AudioScored(reply=about, probability=p) if about == reply:
            return replace(state, audio=p), ()
        case Pausing(reply=reply), TextScored(reply=about, probability=p) if about == reply:
            return replace(state, text=p), ()
        case Pausing(reply=reply) | Replying(reply=reply), NothingSaid(reply=about) if about == reply:
            return Listening(state.next_reply), (Abandon(reply),)
        case Replying(reply=reply), ReplyHeard(reply=about) if about == reply:
            return replace(state, heard=True), ()
        case Replying(reply=reply), ReplyFinished(reply=about) if about == reply:
            return Listening(state.next_reply, state.voice_start), ()
        case _:
            return state, ()


def completeness(audio: float, text: float, config: TurnConfig) -> float:
    """Log-odds that the turn is complete, from how it sounds and how it reads."""
    words = config.text_weight * (_log_odds(text) + config.text_bias)
    return config.audio_weight * _log_odds(audio) + words


def threshold(silence_ms: float, config: TurnConfig) -> float:
    """Completeness that ends the turn after `silence_ms`; falls while the silence lasts."""
    span = config.max_silence_ms - config.min_silence_ms
    share = min(1.0, max(0.0, (silence_ms - config.min_silence_ms) / span))
    # Cubed: pauses to think last up to a second, and most turns are decided at the strict end anyway.
    return config.strict + share**3 * (config.lenient - config.strict)


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return log(p / (1 - p))


def _since_ms(sample: int, now: Window) -> float:
    return (now.end_sample - sample) / SAMPLES_PER_MS


def _voice_start(since: int | None, window: Window, config: TurnConfig) -> int | None:
    """Where the present run of voiced windows began, None if this window is not voiced."""
    if window.voice < config.voice_on:
        return None
    return window.end_sample - 512 if since is None else since


def _listening(state: Listening, window: Window, config: TurnConfig) -> Step:
    start = _voice_start(state.voice_start, window, config)
    if start is not None and _since_ms(start, window) >= config.start_ms:
        return Speaking(state.next_reply, start, window.end_sample), ()
    return replace(state, voice_start=start), ()


def _speaking(state: Speaking, window: Window, config: TurnConfig) -> Step:
    if window.voice >= config.voice_off:
        return replace(state, voice_end=window.end_sample), ()
    if _since_ms(state.voice_end, window) < config.prepare_ms:
        return state, ()
    reply, start = state.next_reply, state.start_sample
    pausing = Pausing(reply + 1, start, state.voice_end, reply, scored_sample=window.end_sample)
    return pausing, (Prepare(reply, start, state.voice_end), Score(reply, start))


def _pausing(state: Pausing, window: Window, config: TurnConfig) -> Step:
    voice = _voice_start(state.voice_start, window, config)
    if voice is not None and _since_ms(voice, window) >= config.resume_ms:
        speaking = Speaking(state.next_reply, state.start_sample, window.end_sample)
        return speaking, (Abandon(state.reply),)
    state = replace(state, voice_start=voice)
    if voice is not None:
        return state, ()
    if _ended(state, window, config):
        replying = Replying(state.next_reply, state.start_sample, state.reply)
        return replying, (Commit(state.reply, window.end_sample),)
    if state.audio is not None and _since_ms(state.scored_sample, window) >= config.rescore_ms:
        return replace(state, scored_sample=window.end_sample), (Score(state.reply, state.start_sample),)
    return state, ()


def _ended(state: Pausing, window: Window, config: TurnConfig) -> bool:
    silence_ms = _since_ms(state.voice_end, window)
    if silence_ms >= config.max_silence_ms:
        return True
    if silence_ms < config.min_silence_ms or state.audio is None or state.text is None:
        return False
    return completeness(state.audio, state.text, config) >= threshold(silence_ms, config)


def _replying(state: Replying, window: Window, config: TurnConfig) -> Step:
    voice = _voice_start(state.voice_start, window, config)
    state = replace(state, voice_start=voice)
    needed_ms = config.barge_in_ms if state.heard else config.resume_ms
    if voice is None or not config.barge_in or _since_ms(voice, window) < needed_ms:
        return state, ()
    # Nothing was heard of the reply, so to the user this is still one turn: read all of it again.
    start = voice if state.heard else state.start_sample
    return Speaking(state.next_reply, start, window.end_sample), (Interrupt(state.reply, state.heard),)
