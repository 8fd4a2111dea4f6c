"""The recognizer of a Moonshine checkpoint in the hub's form, which the user brings."""

from asr.moonshine.config import Heads
from asr.moonshine.encoder_graph import full_graph
from asr.moonshine.full_encoder import FullEncoder, ReencodingStream
from asr.moonshine.hub import load_hub
from asr.moonshine.text_decoder import TextDecoder, decoder_graphs
from asr.recognizer import Recognizer


def open_checkpoint(path_or_repo: str, *, threads: int = 1) -> Recognizer:
    """A `moonshine` checkpoint in a folder or a hub repository; raises ModelFileError.

    It has no streaming encoder: partials encode their segment again. Which of its heads follow the audio is
    not known, so word times are those of all heads in the upper half of the decoder.
    """
    hub = load_hub(path_or_repo)
    upper = range(hub.decoder.layers // 2, hub.decoder.layers)
    heads: Heads = tuple((layer, head) for layer in upper for head in range(hub.decoder.heads))
    full = FullEncoder(full_graph(hub.encoder_state, hub.encoder), hub.encoder, threads=threads)
    graphs = decoder_graphs(hub.decoder_state, hub.decoder, alignment=heads)
    decoder = TextDecoder(graphs, hub.decoder, threads=threads)
    return Recognizer(ReencodingStream(full, hub.encoder.width), full, decoder, hub.vocabulary)
