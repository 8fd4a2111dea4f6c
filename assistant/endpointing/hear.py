"""The silences at which a session would speculate, and what its models make of the turn up to there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE, AudioSpan
from asr.speech_level import SpeechLevel
from asr.turn_end import TurnEnd
from asr.vad import WINDOW, Vad
from assistant.config import Config
from assistant.models.language import LocalModel, load_language
from assistant.models.load import locate_adapter, locate_llm
from assistant.models.speech import ASR, TURN_END, VAD, fetch, load_transcriber, pick_asr
from assistant.models.store import ModelStore
from assistant.session.completeness import complete_phrases, features, logit
from assistant.session.turn import Listening, NothingSaid, Pausing, Speaking, State, Window
from assistant.session.turn_table import step
from llm.text.message import Message

_NEVER_MS = 10**9

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Silence:
    """A silence behind words; samples at RATE."""

    voice_end: int
    resumed: int | None
    """Where voice begins again, if it does."""
    features: tuple[float, ...]
    """Those of `completeness.features`, in its order."""
    sound: float
    """Smart Turn's log-odds that the turn is over."""
    reading: float
    """The language model's that a sentence closes there."""


class Hearing:
    """The models of a session with `config`, fetched if they are missing; raises ModelStoreError."""

    def __init__(self, config: Config) -> None:
        store = ModelStore()
        found = fetch(store, [VAD, TURN_END, *ASR])
        self._vad, self._turn_end = Vad(found[VAD]), TurnEnd(found[TURN_END])
        self._transcriber = load_transcriber(pick_asr(found), config.asr)
        self._asr = config.asr
        self._commands = complete_phrases(config.asr.phrases)
        self._turn = replace(config.turn, detection="silence", silence_ms=_NEVER_MS)
        model = load_language(config.llm, locate_llm(config.llm, store), locate_adapter(config.llm, store))
        assert isinstance(model, LocalModel), "the weights are for a model in this process"
        self._responder = model.responder()
        self._before = [Message("system", config.llm.system_prompt)]

    def silences(self, audio: Audio) -> list[Silence]:
        """Those in `audio` [n] at RATE, by the turn machine, if no silence ended a turn."""
        state: State = Listening()
        found: list[Silence] = []
        begun = partial_end = 0
        for window in self._windows(audio):
            end = window.end_sample
            before, (state, _) = state, step(state, window, self._turn)
            match before, state:
                case Listening(), Speaking():
                    partial_end = state.start_sample
                    begun = max(0, partial_end - self._asr.pre_roll_ms * RATE // 1000)
                    self._transcriber.begin(begun)
                case Speaking(), Pausing():
                    silence = self._understood(AudioSpan(audio[begun:end], begun), state.voice_end)
                    if silence is None:
                        state, _ = step(state, NothingSaid(state.number), self._turn)
                    else:
                        found.append(silence)
                case Pausing(), Speaking():
                    resumed = end - WINDOW if before.voice_start is None else before.voice_start
                    found[-1] = replace(found[-1], resumed=resumed)
            due = end - partial_end >= self._asr.partial_ms * RATE // 1000
            if due and isinstance(state, Speaking) and state.voice_end == end:
                self._transcriber.partial(AudioSpan(audio[begun:end], begun))
                partial_end = end
        return found

    def _windows(self, audio: Audio) -> Iterator[Window]:
        self._vad.reset()
        level = SpeechLevel()
        for end in range(WINDOW, len(audio) + 1, WINDOW):
            window = audio[end - WINDOW : end]
            voice = self._vad.probability(window)
            yield Window(end, voice, level.fades(window, voice))

    def _understood(self, span: AudioSpan, voice_end: int) -> Silence | None:
        """The silence at the end of `span`; None where nothing was said."""
        final = self._transcriber.final(span)
        if not any(map(str.isalnum, final.text)):
            return None
        words = features(final.text, final.ending, self._commands)
        sound = logit(self._turn_end.probability(span.audio))
        return Silence(voice_end, None, tuple(words.values()), sound, self._reading(final.text))

    def _reading(self, text: str) -> float:
        closes = self._responder.closes(self._before, text)
        assert closes is not None, "it fits"
        return closes
