"""The recognizer out of its files: Moonshine's own, and the streaming encoder that was trained for it.

The graphs of each model are built from its weights, quickly where they have been prepared before.
"""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from asr.moonshine.audio_stream import StreamGraphs, StreamingEncoder, stream_graphs
from asr.moonshine.config import ALIGNMENT_HEADS, MoonshineConfig, Windows, parse_windows
from asr.moonshine.encoder_graph import full_graph
from asr.moonshine.full_encoder import FullEncoder
from asr.moonshine.graph_ops import WeightType
from asr.moonshine.ort_weights import StateDict, read_decoder, read_encoder
from asr.moonshine.prepared import GraphStore
from asr.moonshine.text_decoder import DecoderGraphs, TextDecoder, decoder_graphs
from asr.moonshine.vocabulary import read_vocabulary
from asr.onnx import ModelFileError
from asr.recognizer import Recognizer

STREAMING_ENCODER = Path(__file__).parent / "data" / "streaming-tiny-en.safetensors"
TINY = MoonshineConfig()


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
        load_streaming_encoder(streaming, store, threads=threads),
        load_full_encoder(encoder, store, weights=audio_weights, threads=threads),
        load_decoder(decoder, store, audio_weights=audio_weights, threads=threads),
        read_vocabulary(vocabulary),
    )


def load_decoder(
    path: Path, store: GraphStore, *, audio_weights: WeightType = "int8", threads: int = 1
) -> TextDecoder:
    """The decoder of a shipped `.ort` file; raises ModelFileError.

    Tokens are read with 8-bit weights: few rows take the time that it takes to read the weights. Of the audio
    there are many rows, and without VNNI float32 takes two thirds of the time.
    """
    graphs = store.get(
        path,
        f"decoder {TINY} {ALIGNMENT_HEADS} {audio_weights}",
        lambda: decoder_graphs(read_decoder(path), TINY, audio_weights=audio_weights),
    )
    return TextDecoder(DecoderGraphs(*graphs), TINY, threads=threads)


def load_full_encoder(
    path: Path, store: GraphStore, *, weights: WeightType = "int8", threads: int = 1
) -> FullEncoder:
    """The encoder of a shipped `.ort` file, with full attention; raises ModelFileError.

    With 8-bit weights in blocks: as fast as the shipped graph, and half as far from float32. Without VNNI
    float32 takes two thirds of the time.
    """
    (graph,) = store.get(
        path, f"full {TINY} {weights}", lambda: [full_graph(read_encoder(path), TINY, weights)]
    )
    return FullEncoder(graph, TINY, threads=threads)


def load_streaming_encoder(path: Path, store: GraphStore, *, threads: int = 1) -> StreamingEncoder:
    """The streaming encoder that was trained here; raises ModelFileError.

    In float32 any chunking gives the same frames, to 1e-5. With 8 bits a push and a peek take a quarter less
    time, and rounding makes the frames differ by 2 %, from one chunking to another too.
    """
    windows = read_windows(path)
    graphs = store.get(
        path, f"streaming {TINY} {windows}", lambda: stream_graphs(_read_streaming(path), windows, TINY)
    )
    return StreamingEncoder(StreamGraphs(*graphs), windows, TINY, threads=threads)


def _read_streaming(path: Path) -> StateDict:
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
