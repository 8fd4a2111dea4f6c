"""False transcripts: what a reader writes down where nothing is said."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class FalseTranscripts:
    """How many of `clips` gave a text, and how many still would with the voice detector in front."""

    clips: int
    texts: dict[str, str]  # by the sound's name
    behind_vad: tuple[str, ...]  # which of those sounds the detector takes for a voice

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "clips": self.clips,
            "false": len(self.texts),
            "false_behind_vad": len(self.behind_vad),
            "texts": self.texts,
            "behind_vad": list(self.behind_vad),
        }


def false_transcripts(
    sounds: Mapping[str, Audio], read: Callable[[Audio], str], has_voice: Callable[[Audio], bool]
) -> FalseTranscripts:
    """Read each sound as an utterance of its own. A text of nothing but punctuation is none."""
    texts = {name: read(audio) for name, audio in sounds.items()}
    texts = {name: text for name, text in texts.items() if any(char.isalnum() for char in text)}
    return FalseTranscripts(len(sounds), texts, tuple(name for name in texts if has_voice(sounds[name])))
