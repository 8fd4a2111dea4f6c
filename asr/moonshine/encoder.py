"""Torch: Moonshine's encoder with full attention, the model that the streaming encoder learns from."""

from torch import Tensor, arange, autocast, nn
from torch.nn import functional

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.layers import Attention, Rotary, norm


class Frontend(nn.Module):
    """Three strided convolutions: 16 kHz audio to 41.67 frames a second."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        width = config.width
        self.conv1 = nn.Conv1d(1, width, kernel_size=127, stride=64, bias=False)
        self.groupnorm = nn.GroupNorm(1, width)
        self.conv2 = nn.Conv1d(width, 2 * width, kernel_size=7, stride=3)
        self.conv3 = nn.Conv1d(2 * width, width, kernel_size=3, stride=2)

    def forward(self, audio: Tensor) -> Tensor:
        """Frames [B, T, width] of `audio` [B, n]; n is at least RECEPTIVE_SAMPLES."""
        return self.frames(self.groupnorm(self.features(audio)))

    def features(self, audio: Tensor) -> Tensor:
        """The first convolution, [B, width, 250 a second]."""
        with autocast(audio.device.type, enabled=False):  # bfloat16 would bury quiet speech in rounding
            features: Tensor = self.conv1(audio[:, None].float()).tanh()
        return features

    def frames(self, features: Tensor) -> Tensor:
        """The other two, on normalised features: [B, T, width]."""
        x = functional.gelu(self.conv2(features))
        return functional.gelu(self.conv3(x)).transpose(1, 2)


class Mlp(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] to the same."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class EncoderLayer(nn.Module):
    """Self-attention and MLP, each behind a layer norm and beside a residual."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.input_layernorm = norm(config)
        self.post_attention_layernorm = norm(config)

    def project(self, x: Tensor, rotary: Rotary, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, H, T, D] of `x` [B, T, width], turned by `positions` [T]."""
        attention, x = self.self_attn, self.input_layernorm(x)
        q = rotary(attention.split(attention.q_proj(x)), positions)
        k = rotary(attention.split(attention.k_proj(x)), positions)
        return q, k, attention.split(attention.v_proj(x))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's output for `x` [B, T, width], with what its attention gave, [B, H, T, D]."""
        x = x + self.self_attn.merge(attended)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Encoder(nn.Module):
    """Every frame attends to all frames of the utterance."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.frontend = Frontend(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = norm(config)
        self.rotary = Rotary(config)

    def forward(self, audio: Tensor) -> Tensor:
        """Hidden states [B, T, width] of `audio` [B, n]."""
        return self.hidden_states(audio)[-1]

    def hidden_states(self, audio: Tensor) -> list[Tensor]:
        """The output of every layer and of the last norm, each [B, T, width]."""
        x = self.frontend(audio)
        positions = arange(x.shape[1], device=x.device)
        states = []
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            q, k, v = layer.project(x, self.rotary, positions)
            x = layer.finish(x, functional.scaled_dot_product_attention(q, k, v))
            states.append(x)
        return [*states, self.layer_norm(x)]
