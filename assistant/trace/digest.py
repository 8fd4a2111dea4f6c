"""What a model was given, in sixteen characters: equal digests are equal inputs."""

import json
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import AudioSpan

_BYTES = 8


def pcm(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """`audio` [n] in the 16 bits in which a trace keeps it: digests are of these, so that they survive it."""
    scaled: NDArray[np.float32] = np.rint(np.nan_to_num(audio) * np.float32(32768.0))
    samples: NDArray[np.int16] = scaled.clip(-32768, 32767).astype(np.int16)
    return samples


def audio_digest(audio: NDArray[np.float32]) -> str:
    """The digest of `audio` [n] in 16 bits."""
    return pcm_digest(pcm(audio))


def pcm_digest(samples: NDArray[np.int16]) -> str:
    """The digest of `samples` [n]."""
    return blake2b(samples.tobytes(), digest_size=_BYTES).hexdigest()


def digest(*parts: Any) -> str:  # noqa: ANN401  # whatever JSON can say
    """The digest of what JSON can say."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=_BYTES).hexdigest()


class UtteranceDigest:
    """All that a recognizer was given of one utterance, however it was cut into spans."""

    def __init__(self, start_sample: int) -> None:
        self._next = self.start_sample = start_sample
        self._hash = blake2b(digest_size=_BYTES)
        self.samples = 0

    def push(self, span: AudioSpan) -> int:
        """Take what is new in `span`; how many samples that is."""
        lost = max(0, span.start_sample - self._next)
        new = span.audio[max(0, self._next - span.start_sample) :]
        if lost:
            self._hash.update(f"lost {lost}".encode())
        self._hash.update(pcm(new).tobytes())
        self._next = max(self._next, span.end_sample)
        self.samples += lost + len(new)
        return len(new)

    @property
    def hexdigest(self) -> str:
        """The digest of the utterance up to now."""
        return self._hash.hexdigest()
