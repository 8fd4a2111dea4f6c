"""Torch: the encoder of Moonshine Streaming: causal convolutions, sliding windows, positions at its end.

The windows are those of `transformers` 5.23, which counts a frame itself into both sides of its window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.moonshine.config import MoonshineConfig, StreamingShape
from asr.moonshine.encoder import EncoderLayer
from asr.moonshine.layers import Rotary, norm
from asr.moonshine.local import Attend, attend_masked

KERNEL, STRIDE = 5, 2  # of both convolutions
_EPSILON = 1e-6  # of the variance of a frame's samples


class StreamingFrontend(nn.Module):
    """16 kHz audio to frames of 5 ms, each normalised by itself, to 50 frames a second."""

    def __init__(self, config: MoonshineConfig, shape: StreamingShape) -> None:
        super().__init__()
        width, self.frame_samples = config.width, shape.frame_samples
        self.log_gain = nn.Parameter(torch.zeros(()))
        self.linear = nn.Linear(shape.frame_samples, width, bias=False)
        self.conv1 = nn.Conv1d(width, 2 * width, KERNEL, stride=STRIDE)
        self.conv2 = nn.Conv1d(2 * width, width, KERNEL, stride=STRIDE)

    def forward(self, audio: Tensor) -> Tensor:
        """Frames [B, T, width] of `audio` [B, n], one for every 20 ms begun.

        A frame of 5 ms that is not complete counts as silence, as in the hub's preprocessor.
        """
        whole = audio.shape[1] // self.frame_samples * self.frame_samples
        x = self.features(audio[:, :whole])
        if whole < audio.shape[1] or whole == 0:
            x = functional.pad(x, (0, 1))
        x = functional.silu(self.conv1(functional.pad(x, (KERNEL - 1, 0))))
        frames: Tensor = self.conv2(functional.pad(x, (KERNEL - 1, 0))).transpose(1, 2)
        return frames

    def features(self, audio: Tensor) -> Tensor:
        """[B, width, 200 a second] of whole frames of 5 ms, freed of loudness and with peaks bent down."""
        x = audio.reshape(audio.shape[0], -1, self.frame_samples)
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + _EPSILON).sqrt()
        return functional.silu(self.linear(torch.asinh(self.log_gain.exp() * x))).transpose(1, 2)


class Adapter(nn.Module):
    """What the decoder reads: a learned position is added to each frame, and the width is the decoder's."""

    def __init__(self, config: MoonshineConfig, shape: StreamingShape) -> None:
        super().__init__()
        self.positions = nn.Embedding(shape.positions, config.width)
        same = config.width == shape.decoder_width
        self.proj = nn.Identity() if same else nn.Linear(config.width, shape.decoder_width, bias=False)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """[B, T, decoder width] of `x` [B, T, width], which begins with frame `first` of the audio.

        Raises ValueError past the last position that the checkpoint has.
        """
        end, limit = first + x.shape[1], self.positions.num_embeddings
        if end > limit:
            raise ValueError(f"audio of {end} encoder frames: this checkpoint reads at most {limit}")
        adapted: Tensor = self.proj(x + self.positions.weight[first:end])
        return adapted


class StreamingEncoder(nn.Module):
    """Reads a whole clip at once; `asr.moonshine.streaming_state` reads one that still grows.

    Its layers know no positions, so `config.rotary_share` is 0.
    """

    def __init__(self, config: MoonshineConfig, shape: StreamingShape) -> None:
        super().__init__()
        self.windows = shape.windows
        self.frontend = StreamingFrontend(config, shape)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = norm(config)
        self.rotary = Rotary(config)
        self.adapter = Adapter(config, shape)

    def forward(self, audio: Tensor, attend: Attend = attend_masked) -> Tensor:
        """What the decoder reads of `audio` [B, n]: [B, T, decoder width]."""
        adapted: Tensor = self.adapter(self.hidden_states(audio, attend)[-1])
        return adapted

    def hidden_states(self, audio: Tensor, attend: Attend = attend_masked) -> list[Tensor]:
        """The output of every layer and of the last norm, each [B, T, width]."""
        x = self.frontend(audio)
        nowhere = torch.zeros(x.shape[1], device=x.device)
        states = []
        for layer, window in zip(self.layers, self.windows, strict=True):
            assert isinstance(layer, EncoderLayer)
            q, k, v = layer.project(x, self.rotary, nowhere)
            x = layer.finish(x, attend(q, k, v, window))
            states.append(x)
        return [*states, self.layer_norm(x)]
