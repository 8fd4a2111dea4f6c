"""Torch: the streaming encoder: Moonshine's weights with local attention and running statistics.

Three things differ from `asr.moonshine.encoder`: a frame attends to a window of frames, the normalisation
of the convolutions uses the statistics of the audio so far, and the position of a frame, which
full attention learns from the beginning of the utterance, is given to it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.moonshine.config import MoonshineConfig, Window, Windows
from asr.moonshine.encoder import EncoderLayer, Frontend
from asr.moonshine.layers import Rotary, norm

POSITION_DIM = 64
_SHORTEST_PERIOD, _LONGEST_PERIOD = 8.0, 4096.0  # frames: 0.2 and 98 s

Attend = Callable[[Tensor, Tensor, Tensor, Window], Tensor]
"""Queries, keys and values [B, H, T, D] of consecutive frames and a window to [B, H, T, D]."""


def attend_masked(q: Tensor, k: Tensor, v: Tensor, window: Window) -> Tensor:
    """Torch's own attention with a mask of all pairs of frames: fast for turns of some seconds."""
    frames = torch.arange(q.shape[2], device=q.device)
    ahead = frames - frames[:, None]  # [T, T]: how far the key is ahead of the query
    seen = (ahead <= window.right) & (ahead >= -window.left)
    # The kernels want head dimensions of 8s, and whoever pads must keep the scale.
    pad = -q.shape[-1] % 8
    width, scale = q.shape[-1], q.shape[-1] ** -0.5
    q, k, v = (functional.pad(x, (0, pad)) for x in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)[..., :width]


def running_norm(norm: nn.GroupNorm, features: Tensor) -> Tensor:
    """GroupNorm of `features` [B, C, T] with mean and variance over all channels of the frames so far."""
    x = features.float()
    count = torch.arange(1, x.shape[2] + 1, device=x.device) * x.shape[1]
    mean = x.sum(1).cumsum(1) / count  # [B, T]
    variance = (x.square().sum(1).cumsum(1) / count - mean.square()).clamp(min=0)
    normed = (x - mean[:, None]) * torch.rsqrt(variance + norm.eps)[:, None]
    return (normed * norm.weight[:, None] + norm.bias[:, None]).to(features.dtype)


def positions_of(frames: Tensor) -> Tensor:
    """Sinusoids [T, POSITION_DIM] of frame numbers [T]; periods in geometric progression."""
    steps = torch.linspace(0, 1, POSITION_DIM // 2, device=frames.device)
    periods = _SHORTEST_PERIOD * (_LONGEST_PERIOD / _SHORTEST_PERIOD) ** steps
    angles = 2 * torch.pi * frames[:, None].float() / periods
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class LocalEncoder(nn.Module):
    """Reads a whole clip at once, as training does; `asr.moonshine.audio_stream` runs it on a stream."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.frontend = Frontend(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = norm(config)
        self.rotary = Rotary(config)
        self.position_in = nn.Linear(POSITION_DIM, config.width)
        self.position_out = nn.Linear(POSITION_DIM, config.width)
        for projection in (self.position_in, self.position_out):  # it begins as the full model
            nn.init.zeros_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, audio: Tensor, windows: Windows, attend: Attend = attend_masked) -> Tensor:
        """Hidden states [B, T, width] of `audio` [B, n]."""
        return self.hidden_states(audio, windows, attend)[-1]

    def hidden_states(self, audio: Tensor, windows: Windows, attend: Attend = attend_masked) -> list[Tensor]:
        """The output of every layer and of the last norm, each [B, T, width]."""
        features = self.frontend.features(audio)
        x = self.frontend.frames(running_norm(self.frontend.groupnorm, features))
        frames = torch.arange(x.shape[1], device=x.device)
        sinusoids = positions_of(frames)
        x = x + self.position_in(sinusoids)
        states = []
        for layer, window in zip(self.layers, windows, strict=True):
            assert isinstance(layer, EncoderLayer)
            q, k, v = layer.project(x, self.rotary, frames)
            x = layer.finish(x, attend(q, k, v, window))
            states.append(x)
        return [*states, self.layer_norm(x) + self.position_out(sinusoids)]
