"""Wake words by microWakeWord, through the optional package pymicro-wakeword (extra `wake`).

The models come in the package: streaming convolutions by Kevin Ahrendt and the Open Home Foundation under
the Apache License 2.0. A second of audio takes 2 ms of one core, so they run where the frames are.
"""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from assistant.config import WakeName
from assistant.microphone.devices.errors import NoWakeWord
from assistant.microphone.wake import Array, Phrase

_PHRASES: Mapping[WakeName, Phrase] = {
    "hey-jarvis": Phrase("hey jarvis", -300, 100),
    "hey-mycroft": Phrase("hey mycroft", -100, 400),  # it is sure before the last consonants
    "okay-nabu": Phrase("okay nabu", -300, 100),
}
"""With the times of their ends, chosen on synthetic voices with a sentence 0 to 300 ms behind the phrase."""
MISSING = "the wake word is not installed: pip install -e '.[wake]'"


class _Features(Protocol):
    def process_streaming(self, audio_bytes: bytes) -> Iterable[Any]: ...
    def reset(self) -> None: ...


class _Model(Protocol):
    def process_streaming(self, features: Any) -> bool | None: ...  # noqa: ANN401  # the package's own
    def reset(self) -> None: ...


class MicroWakeWord:
    """One phrase; see `WakeWord`."""

    def __init__(self, phrase: Phrase, features: _Features, model: _Model) -> None:
        self.phrase = phrase
        self._features, self._model = features, model

    def push(self, audio: Array) -> bool:
        """See `WakeWord`."""
        pcm = np.rint(audio.clip(-1, 1) * 32767).astype("<i2").tobytes()
        found = [self._model.process_streaming(row) for row in self._features.process_streaming(pcm)]
        return any(found)

    def reset(self) -> None:
        """See `WakeWord`."""
        self._features.reset()
        self._model.reset()


def unsupported_reason() -> str | None:
    """Why there are no wake words here, with the remedy; None if there are."""
    try:
        importlib.import_module("pymicro_wakeword")
    except ImportError as error:
        return MISSING if isinstance(error, ModuleNotFoundError) else f"pymicro-wakeword: {error}"
    return None


def open_wake_word(name: WakeName) -> MicroWakeWord:
    """The detector of the phrase `name`; raises NoWakeWord."""
    reason = unsupported_reason()
    if reason:
        raise NoWakeWord(reason)
    package = importlib.import_module("pymicro_wakeword")
    try:
        model = package.MicroWakeWord.from_builtin(package.Model(name.replace("-", "_")))
    except OSError as error:  # its library is for another system
        raise NoWakeWord(f"pymicro-wakeword: {error}") from error
    return MicroWakeWord(_PHRASES[name], package.MicroWakeWordFeatures(), model)
