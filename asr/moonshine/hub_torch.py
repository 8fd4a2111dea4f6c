"""Torch modules of a checkpoint from the hub."""

from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.hub import HubCheckpoint
from asr.moonshine.load_torch import load
from asr.moonshine.streaming_encoder import StreamingEncoder


def modules_of(checkpoint: HubCheckpoint) -> tuple[Encoder | StreamingEncoder, Decoder]:
    """The encoder, of audio [B, n] to hidden states, and the decoder of a checkpoint from the hub."""
    shape = checkpoint.streaming
    encoder = StreamingEncoder(checkpoint.encoder, shape) if shape else Encoder(checkpoint.encoder)
    decoder = Decoder(checkpoint.decoder)
    load(encoder, checkpoint.encoder_state)
    load(decoder, checkpoint.decoder_state)
    return encoder, decoder
