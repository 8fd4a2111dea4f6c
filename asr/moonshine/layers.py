"""Torch: what Moonshine's encoder and decoder share: rotary embedding, and attention between heads."""

import torch
from torch import Tensor, nn

from asr.moonshine.config import MoonshineConfig


class Rotary(nn.Module):
    """Rotary position embedding (Su et al. 2021) on the first channels of each head, in interleaved pairs."""

    frequencies: Tensor  # [rotary dim / 2]

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        exponents = torch.arange(0, config.rotary_dim, 2) / config.rotary_dim
        self.register_buffer("frequencies", config.rotary_base**-exponents, persistent=False)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Turn `x` [B, H, T, D] by `positions` [T]."""
        angles = positions[:, None].float() * self.frequencies  # [T, rotary dim / 2]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        turned, rest = x[..., : 2 * len(self.frequencies)], x[..., 2 * len(self.frequencies) :]
        even, odd = turned[..., 0::2], turned[..., 1::2]
        pairs = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1)
        return torch.cat([pairs.flatten(-2), rest], dim=-1)


class Attention(nn.Module):
    """The four projections of one attention; what attends to what is for the caller to say."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.heads, inner = config.heads, config.heads * config.head_dim
        self.q_proj = nn.Linear(config.width, inner, bias=False)
        self.k_proj = nn.Linear(config.width, inner, bias=False)
        self.v_proj = nn.Linear(config.width, inner, bias=False)
        self.o_proj = nn.Linear(inner, config.width, bias=False)

    def split(self, x: Tensor) -> Tensor:
        """[B, T, heads * D] to [B, heads, T, D]."""
        return x.reshape(*x.shape[:-1], self.heads, x.shape[-1] // self.heads).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        """[B, heads, T, D] through the output projection to [B, T, width]."""
        merged: Tensor = self.o_proj(x.transpose(1, 2).flatten(-2))
        return merged


def norm(config: MoonshineConfig) -> nn.LayerNorm:
    """Layer norm over the width, without a bias."""
    return nn.LayerNorm(config.width, bias=False)
