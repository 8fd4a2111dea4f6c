"""The recognizer out of its files: Moonshine's own, and the streaming encoder that was trained for it."""

from pathlib import Path

from asr.moonshine.graph_ops import WeightType
from asr.moonshine.prepared import GraphStore
from asr.moonshine.runtime import load_decoder, load_full_encoder, load_streaming_encoder
from asr.moonshine.vocabulary import read_vocabulary
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
        load_streaming_encoder(streaming, store, threads=threads),
        load_full_encoder(encoder, store, weights=audio_weights, threads=threads),
        load_decoder(decoder, store, audio_weights=audio_weights, threads=threads),
        read_vocabulary(vocabulary),
    )
