"""What a session needs of its models, so that a faster one, a remote one or a scripted one takes their place.

Models are shared and run elsewhere (`scheduled`); what is opened here is one session's own.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio import AudioSpan
from asr.stabilize import Partial
from asr.words import Hypothesis
from assistant.runtime import Urgency
from llm.decode.generate import Generated
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from llm.text.message import Tool
from tts.stream import SpeechChunk

Audio = NDArray[np.float32]
AskUrgency = Callable[[], Urgency]
"""Asked before each step: it changes while the work goes on."""


@dataclass(frozen=True)
class Utterance:
    """What the user says from `start_sample` on, or as much of it as the recognizer may not have yet."""

    start_sample: int
    span: AudioSpan


class VoiceDetector(Protocol):
    """Probability that the next window of the session's audio is voiced; see `asr.vad`."""

    async def probability(self, window: Audio) -> float: ...  # noqa: D102


class TurnScorer(Protocol):
    """Probability that a turn sounds complete; see `asr.turn_end`."""

    async def probability(self, turn: Audio) -> float: ...  # noqa: D102


class Recognizer(Protocol):
    """Partials and the final transcript of one utterance; see `asr.stream`."""

    async def partial(self, latest: Callable[[], Utterance | None]) -> Partial | None:
        """Decode what `latest` gives when a thread is free; None if that is nothing any more."""
        ...

    async def final(self, utterance: Utterance) -> Hypothesis: ...  # noqa: D102


class LanguageModel(Protocol):
    """History and transcript to a reply, token by token; see `llm.decode.responder`."""

    @property
    def takes_tools(self) -> bool:
        """Whether its template, or the server, knows tools."""
        ...

    async def read_ahead(
        self,
        history: Sequence[Message],
        words: str,
        wanted: Callable[[], bool],
        options: ReplyOptions = AS_CONFIGURED,
    ) -> None:
        """Put the prompt up to the user's `words` into the cache, if it is still `wanted` when it can."""
        ...

    @property
    def tells_ends(self) -> bool:
        """Whether what `closes` gives was fitted for it."""
        ...

    async def closes(
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None:
        """Log-odds that a sentence is over that reads so far; None if it cannot tell this time.

        It leaves the prompt up to there in the cache, and must come before the reply to the transcript.
        """
        ...

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        """What asks for a reply to `transcript`, or, without one, to the history as it stands."""
        ...

    def reply(self, prompt: Prompt, urgency: AskUrgency) -> AsyncGenerator[Generated, None]: ...  # noqa: D102


class Plan(Protocol):
    """A reply that needs no language model: what is said, and what is done once the turn is over."""

    @property
    def intent(self) -> str:
        """The name of what was understood."""
        ...

    @property
    def slots(self) -> Mapping[str, object]:
        """What was understood of it."""
        ...

    @property
    def text(self) -> str:
        """What is said if all goes as expected."""
        ...

    @property
    def complete(self) -> bool:
        """Whether nothing need follow what the user said."""
        ...

    async def act(self) -> str:
        """Do it, and tell what is to be said."""
        ...

    async def undo(self) -> None:
        """Take back what was done: the turn was not over."""
        ...


class Device(Protocol):
    """How the user hears the assistant, as far as that can be changed in a conversation."""

    @property
    def volume(self) -> float | None:
        """Percent; None where it cannot be set from here."""
        ...

    @volume.setter
    def volume(self, percent: float) -> None: ...

    @property
    def speed(self) -> float:
        """Of the voice, from 0.25 to 1.5."""
        ...

    @speed.setter
    def speed(self, speed: float) -> None: ...


class Skills(Protocol):
    """What is answered without the language model; see `assistant.skills`."""

    def answer(self, transcript: str, history: Sequence[Message], device: Device) -> Plan | None:
        """What comes of a transcript, in a few milliseconds and with nothing done; None if not understood."""
        ...

    def announcements(self) -> AsyncIterator[str]:
        """What is to be said without being asked, from now on."""
        ...

    async def run(self) -> None:
        """What goes on beside the conversation, while that lasts: timers run out."""
        ...

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Functions that a language model is told of, if it takes any."""
        ...

    @property
    def calls(self) -> tuple[str, ...]:
        """Names of all functions that a language model may call."""
        ...

    def call(self, name: str, arguments: str, device: Device) -> Plan | None:
        """What comes of a call; `arguments` is JSON text. None if no skill takes it."""
        ...

    def forget(self) -> None:
        """The language model answers: what was understood before is no longer what is talked about."""
        ...


class Synthesizer(Protocol):
    """A phrase to chunks of audio, at a speed from 0.25 to 1.5 or the configuration's; see `tts.stream`."""

    async def prepare(self, phrase: str, urgency: AskUrgency, speed: float | None = None) -> None:
        """Synthesize a phrase that will be spoken, or was before and may be again."""
        ...

    def speak(  # noqa: D102
        self, phrase: str, urgency: AskUrgency, speed: float | None = None
    ) -> AsyncGenerator[SpeechChunk, None]: ...


@dataclass(frozen=True)
class Hearing:
    """What a session needs to listen."""

    detector: VoiceDetector
    scorer: TurnScorer
    recognizer: Recognizer


async def _nothing() -> None: ...


@dataclass(frozen=True)
class Stages:
    """One session's stages. Without `hearing` input is typed, without `synthesizer` output is text."""

    language: LanguageModel
    hearing: Hearing | None = None
    synthesizer: Synthesizer | None = None
    skills: Skills | None = None
    close: Callable[[], Awaitable[None]] = _nothing
    """Gives back what the session holds, when the last step of its models is over."""
