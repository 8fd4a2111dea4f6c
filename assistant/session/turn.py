"""The states, events and commands of turn taking; `turn_table` says when which transition is made.

Time is audio time: every window of the microphone carries the sample at which it ends, so the machine
runs the same on a recording, on a live microphone and in a test.

    Listening --voice--> Speaking --silence--> Pausing --complete, or silent too long--> Replying
        ^                   ^  ^------voice------|                                     |  |
        |                   |------------voice over the reply (barge-in)---------------|  |
        |-----------------------------------reply finished--------------------------------|

A barge-in can be taken back where the sink can: the reply is ducked when a voice begins, and held, silent
but kept, when it lasts. What the user says then is a turn like any other, which carries the held reply. The
reply goes on at the sample where it was if that turn is a backchannel ("mm-hm") or nothing; anything else,
or a long voice, stops it for good. A user who speaks when little of the reply was heard has most likely not
finished: their turn becomes one with the turn before. That is decided with the rest, not when the voice
begins, so that an early backchannel costs no reply; the price is that a short continuation is transcribed
once more, together with what came before it.
"""

from dataclasses import dataclass
from typing import Literal

from assistant.session.request import ReplyRequest


@dataclass(frozen=True)
class TurnConfig:
    """Delays in milliseconds of audio, thresholds in probability of speech."""

    detection: Literal["semantic", "silence", "none"] = "semantic"
    """What ends a turn: how complete it sounds and reads, silence alone, or the client."""
    create_response: bool = True
    """Whether the end of a turn is answered; if not, a reply has to be requested."""
    interrupt_response: bool = True
    """Whether a voice stops the reply."""
    voice_on: float = 0.5
    voice_off: float = 0.35
    start_ms: int = 64
    """Voice this long begins a turn; with two windows one click does not."""
    prepare_ms: int = 32
    """Silence this long starts the transcript and the reply, on speculation."""
    resume_ms: int = 64
    """Voice this long in a pause, or before any reply is heard, takes the turn back."""
    reversible: bool = True
    """Whether the sink can duck and hold a reply. If not, a voice of `barge_in_ms` stops it at once."""
    duck_ms: int = 64
    """Voice this long over a reply that is being heard ducks it, for as long as the voice lasts."""
    barge_in_ms: int = 192
    """Voice this long over a reply that is being heard holds it; without `reversible` it stops it."""
    takeover_ms: int = 1000
    """What is said over a held reply is no backchannel once it lasts this long: the reply is stopped."""
    reopen_ms: int = 500
    """A held reply of which less was heard was begun too soon: if it does not go on, the turn does."""
    echo_ms: int = 0
    """So long after its last sample a reply may still be heard in the microphone: what barges in has to last
    as long as over the reply."""
    silence_ms: int = 500
    """Silence that ends a turn where silence alone decides."""
    min_silence_ms: int = 96
    max_silence_ms: int = 1600
    """A turn ends after this much silence whatever the scores say."""
    patience: float = 0.7
    """In [0, 1]: how sure it has to be that a turn is over, against the wait."""

    def __post_init__(self) -> None:
        if not 0 <= self.patience <= 1:
            raise ValueError(f"patience must be 0 to 1, not {self.patience:g}")

    @property
    def threshold(self) -> float:
        """The turn ends once the log-odds that it is over reach this."""
        return 4 * self.patience


# Events. A turn and the reply to it have one number.


@dataclass(frozen=True)
class Window:
    """A window of audio that ends at `end_sample`, and the probability that it is voiced."""

    end_sample: int
    voice: float
    fades: bool = False
    """Whether it is quiet beside the speech before it: within a turn that is silence."""


@dataclass(frozen=True)
class AudioScored:
    """How complete the turn sounds, in [0, 1]."""

    number: int
    probability: float


@dataclass(frozen=True)
class TextScored:
    """Log-odds that the turn is over, by its transcript; see `completeness`.

    With `reading` the language model reads it, too, and `Read` follows.
    """

    number: int
    log_odds: float
    reading: bool = False


@dataclass(frozen=True)
class Read:
    """The same log-odds, when the language model has read the transcript."""

    number: int
    log_odds: float


@dataclass(frozen=True)
class NothingSaid:
    """The turn's transcript is empty: what the VAD took for voice was noise."""

    number: int


@dataclass(frozen=True)
class Transcribed:
    """The turn's transcript is there, and something was said; perhaps only a backchannel."""

    number: int
    backchannel: bool


@dataclass(frozen=True)
class ReplyHeard:
    """The first audible sample of the reply has been played, at `sample` of the user's audio."""

    number: int
    sample: int = 0


@dataclass(frozen=True)
class ReplyFinished:
    """The reply has been played to its end, at `sample` of the user's audio."""

    number: int
    sample: int = 0


@dataclass(frozen=True)
class AudioCommitted:
    """The client says that the turn is over. Where nobody detects voice, it began at `start_sample`."""

    start_sample: int
    end_sample: int


@dataclass(frozen=True)
class AudioCleared:
    """The client takes back the audio of the turn."""


@dataclass(frozen=True)
class ReplyRequested:
    """The client wants a reply to the conversation as it stands, or to what the request brings."""

    request: ReplyRequest = ReplyRequest()


@dataclass(frozen=True)
class ReplyCancelled:
    """The client wants no more of the reply, which is silent at `sample` of the user's audio."""

    sample: int = 0


External = AudioCommitted | AudioCleared | ReplyRequested | ReplyCancelled
Event = (
    Window
    | AudioScored
    | TextScored
    | Read
    | NothingSaid
    | Transcribed
    | ReplyHeard
    | ReplyFinished
    | External
)

# Commands


@dataclass(frozen=True)
class Speculate:
    """Transcribe from `start_sample`; prefill and synthesize a reply that nobody hears yet."""

    number: int
    start_sample: int
    voice_end_sample: int


@dataclass(frozen=True)
class Score:
    """Score how complete the turn sounds, from `start_sample` to `end_sample`."""

    number: int
    start_sample: int
    end_sample: int


@dataclass(frozen=True)
class Discard:
    """Drop what was speculated without a trace: the user went on speaking, or said nothing."""

    number: int


@dataclass(frozen=True)
class EndTurn:
    """The turn has ended: what the user said enters the conversation."""

    number: int
    decided_sample: int


@dataclass(frozen=True)
class Respond:
    """Prepare the reply that was requested."""

    number: int
    request: ReplyRequest = ReplyRequest()


@dataclass(frozen=True)
class Refuse:
    """There is a reply already, and no other is made of this request."""

    request: ReplyRequest


@dataclass(frozen=True)
class Release:
    """Let the reply be heard."""

    number: int


@dataclass(frozen=True)
class Stop:
    """Stop the reply; the history keeps what was heard."""

    number: int


@dataclass(frozen=True)
class Reopen:
    """Little or nothing was heard of the reply, so to the user this is still one turn: take its end back."""

    number: int


@dataclass(frozen=True)
class Duck:
    """Play the reply quietly: somebody may be speaking over it."""

    number: int


@dataclass(frozen=True)
class Unduck:
    """Play the reply at its own loudness again: that was nothing."""

    number: int


@dataclass(frozen=True)
class Hold:
    """Silence the reply and keep what has not sounded yet: it may go on."""

    number: int


@dataclass(frozen=True)
class Continue:
    """Let the held reply go on at the sample where it was held, at its own loudness."""

    number: int


Command = (
    Speculate
    | Score
    | Discard
    | EndTurn
    | Respond
    | Refuse
    | Release
    | Stop
    | Reopen
    | Duck
    | Unduck
    | Hold
    | Continue
)

# States; each carries `next_number`, that of the next turn


@dataclass(frozen=True)
class Listening:
    """Nobody speaks; `voice_start` is where the present run of voiced windows began, if there is one.

    Up to `echo_end` the microphone may hear the end of a reply.
    """

    next_number: int = 0
    voice_start: int | None = None
    echo_end: int = 0


@dataclass(frozen=True)
class Speaking:
    """The user speaks; `voice_end` is the last sample taken for voice."""

    next_number: int
    start_sample: int
    voice_end: int
    held: "Held | None" = None


@dataclass(frozen=True)
class Pausing:
    """The user is silent since `voice_end`, and the reply to turn `number` is being prepared."""

    next_number: int
    start_sample: int
    voice_end: int
    number: int
    window_end: int  # of the window that was looked at last
    audio: float | None = None
    text: float | None = None
    read: bool = False  # whether `text` is what the language model makes of the words
    voice_start: int | None = None
    no_turn: bool = False  # over a held reply: it was none, unless the voice that just begins goes on
    prepared: bool = True  # whether there is a reply to release: replies may be switched on in a pause
    held: "Held | None" = None


@dataclass(frozen=True)
class Replying:
    """The reply is released, and audible since `heard_sample`; None before that.

    `start_sample` is where the turn that it answers began; None if it answers no speech.
    """

    next_number: int
    start_sample: int | None
    number: int
    heard_sample: int | None = None
    voice_start: int | None = None
    voice_end: int | None = None  # of a user who speaks over a reply that no voice interrupts: a client may
    ducked: bool = False


@dataclass(frozen=True)
class Held:
    """A reply that the user has silenced, as it was.

    `early`: it answers speech, and little of it was heard. That counts from its first audible sample, earlier
    holds included: who has said "mm-hm" to a reply has taken note of it.
    """

    reply: Replying
    early: bool


State = Listening | Speaking | Pausing | Replying
Step = tuple[State, tuple[Command, ...]]
