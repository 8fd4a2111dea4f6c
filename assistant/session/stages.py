"""The models as the session sees them, so that a faster one, or a scripted one, takes their place."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.stabilize import Partial
from asr.words import Hypothesis, Stretch
from assistant.runtime.worker import Worker
from llm.decode.generate import Generated, Prefilled
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk

Audio = NDArray[np.float32]


class VoiceDetector(Protocol):
    """Probability that a window is voiced; see `asr.vad`."""

    def probability(self, window: Audio) -> float: ...  # noqa: D102
    def reset(self) -> None: ...  # noqa: D102


class TurnScorer(Protocol):
    """Probability that a turn sounds complete; see `asr.turn_end`."""

    def probability(self, turn: Audio) -> float: ...  # noqa: D102


class UtteranceReader(Protocol):
    """Partials and the final transcript of one utterance; see `asr.stream`."""

    def begin(self, start_sample: int = 0) -> None: ...  # noqa: D102
    def partial(self, stretch: Stretch) -> Partial: ...  # noqa: D102
    def final(self, stretch: Stretch) -> Hypothesis: ...  # noqa: D102


class ReplyWriter(Protocol):
    """History and transcript to a reply, token by token; see `llm.decode.responder`."""

    def read_ahead(self, history: Sequence[Message], words: str) -> None: ...  # noqa: D102
    def prompt(self, history: Sequence[Message], transcript: str) -> Prompt: ...  # noqa: D102
    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]: ...  # noqa: D102
    def completeness(self, prefilled: Prefilled) -> float: ...  # noqa: D102


class PhraseSpeaker(Protocol):
    """A phrase to chunks of audio; see `tts.stream`."""

    def speak(self, phrase: str, *, should_stop: Callable[[], bool]) -> Iterator[SpeechChunk]: ...  # noqa: D102


@dataclass(frozen=True)
class Stages:
    """The five models and the threads that they run on. One session uses them at a time.

    The end-of-turn score shares a thread with the transcript, which goes first: the language model waits
    for the transcript, and then has a core to itself. Side by side, both were late.
    """

    vad: VoiceDetector
    turn_end: TurnScorer
    reader: UtteranceReader
    writer: ReplyWriter
    speaker: PhraseSpeaker
    vad_worker: Worker = field(default_factory=lambda: Worker("vad"))
    asr_worker: Worker = field(default_factory=lambda: Worker("asr"))
    llm_worker: Worker = field(default_factory=lambda: Worker("llm"))
    tts_worker: Worker = field(default_factory=lambda: Worker("tts"))

    def workers(self) -> tuple[Worker, ...]:
        """All threads."""
        return (
            self.vad_worker,
            self.asr_worker,
            self.llm_worker,
            self.tts_worker,
        )

    def close(self) -> None:
        """End the threads, after the jobs they have."""
        for worker in self.workers():
            worker.close()
