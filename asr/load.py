"""The recogniser out of its files: Moonshine's own, and the streaming encoder that was trained for it."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from asr.moonshine.config import Windows, parse_windows
from asr.moonshine.graph_ops import WeightType
from asr.moonshine.ort_weights import StateDict
from asr.moonshine.prepared import GraphStore
from asr.moonshine.runtime import load_decoder, load_full_encoder, load_streaming_encoder
from asr.moonshine.vocabulary import read_vocabulary
from asr.onnx import ModelFileError
from asr.recognizer import Recognizer

STREAMING_ENCODER = Path(__file__).parent / "data" / "streaming-tiny-en.safetensors"


def open_recognizer(
    encoder: Path,
    decoder: Path,
    vocabulary: Path,
    streaming: Path = STREAMING_ENCODER,
    *,
    cache: Path | None,
    audio_weights: WeightType = "int8",
    threads: int = 1,
) -> Recognizer:
    """The models in Moonshine's `.ort` files and `streaming`; their graphs are kept in the folder `cache`.

    `audio_weights` are those that many frames go through at a time: of the encoder with full attention, and
    of the decoder's keys and values. Raises ModelFileError.
    """
    store = GraphStore(cache)
    return Recognizer(
        load_streaming_encoder(
            streaming, lambda: read_streaming(streaming), read_windows(streaming), store, threads=threads
        ),
        load_full_encoder(encoder, store, weights=audio_weights, threads=threads),
        load_decoder(decoder, store, audio_weights=audio_weights, threads=threads),
        read_vocabulary(vocabulary),
    )


def read_streaming(path: Path) -> StateDict:
    """The weights of a streaming encoder as float32, named as in `asr.moonshine.local`."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path}: not a streaming encoder: {error}") from error


def read_windows(path: Path) -> Windows:
    """The windows that a streaming encoder was trained for: `windows` in its metadata, as LEFT:R,R,..."""
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {})["windows"]
        return parse_windows(text)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelFileError(f"{path}: not a streaming encoder: no windows in it ({error})") from error
