"""Moonshine's parts on ONNX Runtime from their files, quickly where the graphs have been prepared before."""

from collections.abc import Callable
from pathlib import Path

from asr.moonshine.audio_stream import StreamGraphs, StreamingEncoder, stream_graphs
from asr.moonshine.config import ALIGNMENT_HEADS, Heads, MoonshineConfig, Windows
from asr.moonshine.encoder_graph import full_graph
from asr.moonshine.full_encoder import FullEncoder
from asr.moonshine.graph_ops import WeightType
from asr.moonshine.ort_weights import StateDict, read_decoder, read_encoder
from asr.moonshine.prepared import GraphStore
from asr.moonshine.text_decoder import DecoderGraphs, TextDecoder, decoder_graphs

TINY = MoonshineConfig()


def load_decoder(
    path: Path,
    store: GraphStore,
    config: MoonshineConfig = TINY,
    *,
    alignment: Heads = ALIGNMENT_HEADS,
    audio_weights: WeightType = "int8",
    threads: int = 1,
) -> TextDecoder:
    """The decoder of a shipped `.ort` file; raises ModelFileError.

    Tokens are read with 8-bit weights: few rows take the time that it takes to read the weights. Of the audio
    there are many rows, and without VNNI float32 takes two thirds of the time.
    """
    graphs = store.get(
        path,
        f"decoder {config} {alignment} {audio_weights}",
        lambda: decoder_graphs(read_decoder(path), config, alignment=alignment, audio_weights=audio_weights),
    )
    return TextDecoder(DecoderGraphs(*graphs), config, threads=threads)


def load_full_encoder(
    path: Path,
    store: GraphStore,
    config: MoonshineConfig = TINY,
    *,
    weights: WeightType = "int8",
    threads: int = 1,
) -> FullEncoder:
    """The encoder of a shipped `.ort` file, with full attention; raises ModelFileError.

    With 8-bit weights in blocks: as fast as the shipped graph, and half as far from float32. Without VNNI
    float32 takes two thirds of the time.
    """
    (graph,) = store.get(
        path, f"full {config} {weights}", lambda: [full_graph(read_encoder(path), config, weights)]
    )
    return FullEncoder(graph, config, threads=threads)


def load_streaming_encoder(
    path: Path,
    read: Callable[[], StateDict],
    windows: Windows,
    store: GraphStore,
    config: MoonshineConfig = TINY,
    *,
    weights: WeightType = "float32",
    threads: int = 1,
) -> StreamingEncoder:
    """The streaming encoder of the file `path`, whose weights `read` gives if they are wanted.

    In float32 any chunking gives the same frames, to 1e-5. With 8 bits a push and a peek take a quarter less
    time, and rounding makes the frames differ by 2 %, from one chunking to another too.
    """
    graphs = store.get(
        path,
        f"streaming {config} {windows} {weights}",
        lambda: stream_graphs(read(), windows, config, weights=weights),
    )
    return StreamingEncoder(StreamGraphs(*graphs), windows, config, threads=threads)
