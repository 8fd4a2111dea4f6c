"""Hibari cut in two, so that audio comes in chunks before the sentence is finished.

The acoustic half (text encoder, durations, pitch) needs the whole phrase. The decoder behind it is nine
convolutions of 7 frames: a frame depends on 27 neighbours on each side and no more, so it is run on windows
of frames with that context, and the vocoder joins them. The joined chunks equal Hibari's whole sentence up to
the scales of the decoder's int8 activations, which are per call: the difference is 27 dB or more below the
signal and 0.3 dB in the spectrum, as much as another seed of the noise makes (tests/tts/test_voice.py).
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hibari.g2p import G2P
from hibari.tts import ASSETS, MAX_PHONEMES
from hibari.voices import VOICES
from numpy.typing import NDArray

from tts.errors import TtsError
from tts.vocoder import BINS, SAMPLE_RATE, Vocoder
from tts.voices import DEFAULT, is_british

_CONTEXT = 27  # frames on each side: nine convolutions of kernel 7
# What a window costs: n frames take a decoder run over n + 54 of them, 0.04 ms each on one core, and 0.03 ms
# each in the vocoder. 28 frames (0.35 s) cost 5 ms; doubling from there adds a quarter to the decoder's work.
_FIRST_WINDOW = 28
_LARGEST_WINDOW = 224  # 16 ms: how long a stop can take to be noticed
_DECODER_INPUT_NODE = "/dec_in/Conv"
_SPECTRA = ["lh", "theta", "ln", "lr", "phi"]
_KEPT_NOISE_FRAMES = 2000  # 25 s, 10 MB
_PAD = "\0"
_NOT_LETTERS = re.compile(r"[^A-Za-z' ]+")


def never() -> bool:
    """The answer of a caller that never stops."""
    return False


@dataclass(frozen=True)
class Utterance:
    """What the acoustic half makes of a phrase: F frames of 12.5 ms."""

    symbols: str  # the phonemes, spaces between words, a NUL for each pad
    durations: NDArray[np.int64]  # [len(symbols)] frames; they add up to F
    features: NDArray[np.float32]  # [1, 130, F], the decoder's input
    pitch: NDArray[np.float32]  # [F] Hz


class Voice:
    """A voice of Hibari's, from `model` or else from its package. For one thread at a time.

    Raises TtsError where the model cannot be read.
    """

    sample_rate: int = SAMPLE_RATE

    def __init__(self, name: str = DEFAULT, *, threads: int = 1, model: Path | None = None) -> None:
        path = model or Path(ASSETS) / VOICES[name]["file"]
        acoustic, decoder, self._decoder_input = _halves(path)
        self._acoustic = _session(acoustic, threads)
        self._decoder = _session(decoder, threads)
        self._ids: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_text(encoding="utf-8"))
        self._g2p = G2P(british=is_british(name))
        self._g2p("Xylquor")  # an unknown word: loads what Hibari would load in the middle of a reply
        self._noise = _draw(_KEPT_NOISE_FRAMES // 2)

    def prepare(self, phrase: str) -> Utterance | None:
        """Run the acoustic half; None if the phrase has nothing to say."""
        phonemes = self._phonemes(phrase)
        if not any(map(str.isalpha, phonemes)):
            return None
        parts = [self._encode(part) for part in _parts(phonemes)]
        if len(parts) == 1:
            return parts[0]
        return Utterance(
            symbols="".join(part.symbols for part in parts),
            durations=np.concatenate([part.durations for part in parts]),
            features=np.concatenate([part.features for part in parts], axis=2),
            pitch=np.concatenate([part.pitch for part in parts]),
        )

    def render(
        self, utterance: Utterance, *, start: int = 0, should_stop: Callable[[], bool] = never
    ) -> Iterator[NDArray[np.float32]]:
        """Run the decoder and the vocoder, window by window, from frame `start`.

        The samples begin 300 * (start + 1) into the phrase, or with it if `start` is 0. Ends early, between
        two windows, once `should_stop()`.
        """
        total = len(utterance.pitch)
        vocoder = Vocoder(utterance.pitch, self._draw_noise(total), start)
        for begin, end in _windows(start, total):
            if should_stop():
                return
            left, right = max(0, begin - _CONTEXT), min(total, end + _CONTEXT)
            window = np.ascontiguousarray(utterance.features[:, :, left:right])
            spectra = self._decoder.run(_SPECTRA, {self._decoder_input: window})
            yield vocoder.push(tuple(part[0][:, begin - left : end - left] for part in spectra))

    def _phonemes(self, phrase: str) -> str:
        try:  # the phrase is in words already: its own normalizer would read some of them once more
            read = self._g2p(phrase, normalize_text=False)
        except (LookupError, ValueError):  # Hibari's number reader, given digits it has no name for
            read = self._g2p(_NOT_LETTERS.sub(" ", phrase), normalize_text=False)
        return "".join(char for char in read if char in self._ids)

    def _encode(self, phonemes: str) -> Utterance:
        ids = np.array([[0, *(self._ids[char] for char in phonemes), 0]], np.int64)
        # Its own speeds round each phoneme to 25 ms: at 1.5 every sixth word was not understood any more.
        natural = np.ones(1, np.float32)
        features, pitch, durations = self._acoustic.run(None, {"ids": ids, "speed": natural})
        frames = pitch.shape[1] // int(durations.sum())  # the durations count pairs of frames
        return Utterance(_PAD + phonemes + _PAD, durations.reshape(-1) * frames, features, pitch[0])

    def _draw_noise(self, frames: int) -> NDArray[np.complex64]:
        """Gaussian noise [601, frames] as Hibari draws it; kept, for drawing 10 s of it takes 10 ms."""
        if frames > _KEPT_NOISE_FRAMES:
            return _draw(frames).reshape(BINS, -1).view(np.complex64)
        values = 2 * BINS * frames
        if values > len(self._noise):
            self._noise = _draw(_KEPT_NOISE_FRAMES)
        return self._noise[:values].reshape(BINS, -1).view(np.complex64)


def _draw(frames: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(2 * BINS * frames, dtype=np.float32)


def _parts(phonemes: str) -> list[str]:
    """Runs of at most MAX_PHONEMES, the longest the model has learned, cut at spaces if there are any."""
    parts: list[str] = []
    while phonemes := phonemes.strip():
        cut = len(phonemes)
        if cut > MAX_PHONEMES:
            cut = phonemes.rfind(" ", 1, MAX_PHONEMES + 1)
            cut = cut if cut > 0 else MAX_PHONEMES
        parts.append(phonemes[:cut])
        phonemes = phonemes[cut:]
    return parts


def _windows(start: int, total: int) -> Iterator[tuple[int, int]]:
    """Runs of frames from `start` to `total`, small ones first; a short rest joins the run before it."""
    size = _FIRST_WINDOW
    while start < total:
        end = total if total - start < 1.5 * size else start + size
        yield start, end
        start, size = end, min(2 * size, _LARGEST_WINDOW)


def _halves(path: Path) -> tuple[onnx.ModelProto, onnx.ModelProto, str]:
    """The model cut at the decoder's input, whose name comes third. Raises TtsError."""
    try:
        model = onnx.load(path)
    except FileNotFoundError as error:
        raise TtsError(path, "no such file; reinstall hibari-tts") from error
    except (OSError, DecodeError) as error:
        raise TtsError(path, f"not a readable ONNX file ({error})") from error
    nodes = model.graph.node
    decoder_inputs = [node.input[0] for node in nodes if node.name == _DECODER_INPUT_NODE]
    durations = [node.input[0] for node in nodes if node.op_type == "CumSum"]
    outputs = {output.name for output in model.graph.output}
    if len(decoder_inputs) != 1 or len(durations) != 1 or not outputs.issuperset([*_SPECTRA, "f0"]):
        parts = ", ".join((_DECODER_INPUT_NODE, "CumSum", *_SPECTRA))
        raise TtsError(path, f"not a Hibari voice: no single {parts}")
    extractor = onnx.utils.Extractor(model)
    halves = ["ids", "speed"], [decoder_inputs[0], "f0", durations[0]]
    acoustic = extractor.extract_model(*halves)
    decoder = extractor.extract_model([decoder_inputs[0]], _SPECTRA)
    return acoustic, decoder, decoder_inputs[0]


def _session(model: onnx.ModelProto, threads: int) -> Any:  # noqa: ANN401
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
