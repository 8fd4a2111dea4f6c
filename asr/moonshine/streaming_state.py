"""Torch: the encoder of Moonshine Streaming on audio that comes in pieces, with a state of bounded size."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.moonshine.config import Window
from asr.moonshine.encoder import EncoderLayer
from asr.moonshine.streaming_encoder import KERNEL, STRIDE, StreamingEncoder


@dataclass(frozen=True)
class LayerState:
    """What a layer keeps: frames that wait for the right side of their window, and keys for those to come."""

    waiting: Tensor  # [1, at most right, width], the layer's input
    queries: Tensor  # [1, H, at most right, D], of the waiting frames
    keys: Tensor  # [1, H, at most left + right, D], up to the last waiting frame
    values: Tensor


@dataclass(frozen=True)
class StreamingState:
    """What has been heard of one audio. It is never changed in place, so an old one can be gone back to."""

    samples: Tensor  # [1, fewer than a frame of 5 ms]
    conv1: Tensor  # [1, width, at most 5], what the next output reads
    conv2: Tensor  # [1, 2 * width, at most 5]
    layers: tuple[LayerState, ...]
    frames: int = 0  # that are final


def begin(encoder: StreamingEncoder) -> StreamingState:
    """The state before the first sample, on the encoder's device."""
    weight = encoder.frontend.linear.weight
    layer = encoder.layers[0]
    assert isinstance(layer, EncoderLayer)
    waiting = weight.new_zeros(1, 0, weight.shape[0])
    empty = layer.self_attn.split(layer.self_attn.k_proj(waiting))
    return StreamingState(
        samples=weight.new_zeros(1, 0),
        conv1=weight.new_zeros(1, encoder.frontend.conv1.in_channels, KERNEL - 1),
        conv2=weight.new_zeros(1, encoder.frontend.conv2.in_channels, KERNEL - 1),
        layers=tuple(LayerState(waiting, empty, empty, empty) for _ in encoder.layers),
    )


def push(encoder: StreamingEncoder, state: StreamingState, audio: Tensor) -> tuple[StreamingState, Tensor]:
    """The state after `audio` [1, n], and the frames [1, T, decoder width] that it makes final.

    However the audio is cut, they are the first frames of what the encoder gives for all of it.
    """
    audio = torch.cat([state.samples, audio], dim=1)
    whole = audio.shape[1] // encoder.frontend.frame_samples * encoder.frontend.frame_samples
    features = encoder.frontend.features(audio[:, :whole])
    return _advance(encoder, replace(state, samples=audio[:, whole:].clone()), features, ending=False)


def rest(encoder: StreamingEncoder, state: StreamingState) -> Tensor:
    """The frames [1, T, decoder width] after the final ones, as if the audio ended here."""
    silent = 1 if state.samples.shape[1] else 0  # a frame of 5 ms that is not complete counts as silence
    features = state.conv1.new_zeros(1, encoder.frontend.linear.out_features, silent)
    return _advance(encoder, state, features, ending=True)[1]


def _advance(
    encoder: StreamingEncoder, state: StreamingState, features: Tensor, *, ending: bool
) -> tuple[StreamingState, Tensor]:
    conv1, x = _convolve(encoder.frontend.conv1, state.conv1, features)
    conv2, x = _convolve(encoder.frontend.conv2, state.conv2, functional.silu(x))
    x = x.transpose(1, 2)
    layers = []
    for layer, window, before in zip(encoder.layers, encoder.windows, state.layers, strict=True):
        assert isinstance(layer, EncoderLayer)
        after, x = _attend(encoder, layer, window, before, x, ending)
        layers.append(after)
    frames = encoder.adapter(encoder.layer_norm(x), state.frames)
    after_all = replace(
        state, conv1=conv1, conv2=conv2, layers=tuple(layers), frames=state.frames + x.shape[1]
    )
    return after_all, frames


def _convolve(conv: nn.Conv1d, kept: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the next output reads, and the outputs [1, channels, T] that `x` completes."""
    x = torch.cat([kept, x], dim=2)
    outputs = max(0, (x.shape[2] - KERNEL) // STRIDE + 1)
    if not outputs:
        return x, x.new_zeros(1, conv.out_channels, 0)
    return x[:, :, STRIDE * outputs :].clone(), conv(x)


def _attend(
    encoder: StreamingEncoder, layer: EncoderLayer, window: Window, state: LayerState, x: Tensor, ending: bool
) -> tuple[LayerState, Tensor]:
    """The layer's state after frames `x`, and its output for those whose window is complete."""
    q, k, v = layer.project(x, encoder.rotary, torch.zeros(x.shape[1], device=x.device))
    waiting = torch.cat([state.waiting, x], dim=1)
    q, k, v = (torch.cat(pair, dim=2) for pair in ((state.queries, q), (state.keys, k), (state.values, v)))
    ready = waiting.shape[1] if ending else max(0, waiting.shape[1] - window.right)
    first = k.shape[2] - waiting.shape[1]  # the key of the first waiting frame
    attended = q[:, :, :0]
    if ready:
        frames = torch.arange(first, first + ready, device=x.device)
        ahead = torch.arange(k.shape[2], device=x.device) - frames[:, None]  # [ready, keys]
        seen = (ahead <= window.right) & (ahead >= -window.left)
        attended = functional.scaled_dot_product_attention(q[:, :, :ready], k, v, attn_mask=seen)
    oldest = max(0, first + ready - window.left)
    kept = (waiting[:, ready:], q[:, :, ready:], k[:, :, oldest:], v[:, :, oldest:])
    # A slice would keep all that it was cut from alive.
    return LayerState(*(tensor.clone() for tensor in kept)), layer.finish(waiting[:, :ready], attended)
