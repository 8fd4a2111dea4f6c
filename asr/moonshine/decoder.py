"""Torch: Moonshine's decoder: the hidden states of the audio and the tokens so far to the next token."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.layers import Attention, Rotary, norm

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one attention, each [B, H, T, D]."""


class GatedMlp(nn.Module):
    """Two layers; the second half of the first one's output, through SiLU, gates the other half."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, 2 * config.mlp)
        self.fc2 = nn.Linear(config.mlp, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] to the same."""
        value, gate = self.fc1(x).chunk(2, dim=-1)
        out: Tensor = self.fc2(functional.silu(gate) * value)
        return out


@dataclass
class DecoderState:
    """What the decoder has read: `cross` of the audio, `own` of the tokens, one pair a layer."""

    cross: list[KeysValues]
    own: list[KeysValues | None] = field(default_factory=list)
    tokens: int = 0


class DecoderLayer(nn.Module):
    """Attention to the tokens before, attention to the audio, gated MLP."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.encoder_attn = Attention(config)
        self.mlp = GatedMlp(config)
        self.input_layernorm = norm(config)
        self.post_attention_layernorm = norm(config)
        self.final_layernorm = norm(config)

    def cross(self, hidden: Tensor) -> KeysValues:
        """Keys and values of the audio, each [B, H, frames, D], of `hidden` [B, frames, width]."""
        attention = self.encoder_attn
        return attention.split(attention.k_proj(hidden)), attention.split(attention.v_proj(hidden))

    def forward(
        self, x: Tensor, own: KeysValues | None, cross: KeysValues, rotary: Rotary, positions: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """The layer's output, and its keys and values with the new ones."""
        attention, normed = self.self_attn, self.input_layernorm(x)
        q = rotary(attention.split(attention.q_proj(normed)), positions)
        k = rotary(attention.split(attention.k_proj(normed)), positions)
        v = attention.split(attention.v_proj(normed))
        if own is not None:
            k, v = torch.cat([own[0], k], dim=2), torch.cat([own[1], v], dim=2)
        seen = positions[:, None] >= torch.arange(k.shape[2], device=x.device)  # [T, positions]
        x = x + attention.merge(functional.scaled_dot_product_attention(q, k, v, attn_mask=seen))
        attention = self.encoder_attn
        q = attention.split(attention.q_proj(self.post_attention_layernorm(x)))
        x = x + attention.merge(functional.scaled_dot_product_attention(q, *cross))
        return x + self.mlp(self.final_layernorm(x)), (k, v)


class Decoder(nn.Module):
    """Logits come from the embedding or, where that is not tied, from an output head."""

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = norm(config)
        self.rotary = Rotary(config)
        self.proj_out = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)

    def begin(self, hidden: Tensor) -> DecoderState:
        """The state before the first token, of the audio's hidden states [B, frames, width]."""
        cross = [layer.cross(hidden) for layer in self.layers if isinstance(layer, DecoderLayer)]
        return DecoderState(cross, [None] * len(cross))

    def forward(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Append `tokens` [B, T] to `state`; the logits after each, [B, T, vocabulary]."""
        return self.head(self.features(tokens, state))

    def features(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Append `tokens` [B, T] to `state`; what the head reads after each, [B, T, width]."""
        x: Tensor = self.embed_tokens(tokens)
        positions = torch.arange(state.tokens, state.tokens + tokens.shape[1], device=tokens.device)
        for index, layer in enumerate(self.layers):
            x, state.own[index] = layer(x, state.own[index], state.cross[index], self.rotary, positions)
        state.tokens += tokens.shape[1]
        normed: Tensor = self.norm(x)
        return normed

    def head(self, features: Tensor) -> Tensor:
        """Logits [..., vocabulary] of `features` [..., width]."""
        weight = (self.embed_tokens if self.proj_out is None else self.proj_out).weight
        return functional.linear(features, weight)

    def logits(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """The logits after each of `tokens` [B, T], read in one pass: [B, T, vocabulary]."""
        logits: Tensor = self(tokens, self.begin(hidden))
        return logits
