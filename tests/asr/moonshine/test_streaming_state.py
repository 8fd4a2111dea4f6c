"""Moonshine Streaming in pieces against itself on the whole audio, which is proven against `transformers`."""

from collections.abc import Iterator

import hub_folders
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr.moonshine.hub import load_hub
from asr.moonshine.hub_torch import modules_of
from asr.moonshine.streaming_encoder import StreamingEncoder
from asr.moonshine.streaming_state import StreamingState, begin, push, rest

TOLERANCE = 1e-5  # of the largest value


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> StreamingEncoder:
    folder = hub_folders.save(hub_folders.streaming({}), tmp_path_factory.mktemp("streaming"))
    made, _ = modules_of(load_hub(str(folder)))
    assert isinstance(made, StreamingEncoder)
    return made.requires_grad_(False)


def audio(samples: int) -> Tensor:
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(samples)) * 0.3


def tensors(state: StreamingState) -> Iterator[Tensor]:
    yield from (state.samples, state.conv1, state.conv2)
    for layer in state.layers:
        yield from (layer.waiting, layer.queries, layer.keys, layer.values)


def same(one: Tensor, other: Tensor) -> bool:
    scale = float(other.abs().max()) if other.numel() else 0.0
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=TOLERANCE * scale)


@given(st.lists(st.integers(0, 2500) | st.integers(0, 90), min_size=1, max_size=12))
@example([80] * 40)
@example([0, 1, 0, 79, 0])
@example([5000])
@settings(max_examples=50, deadline=None)
def test_any_cutting_gives_the_frames_of_the_whole(encoder: StreamingEncoder, sizes: list[int]) -> None:
    """Final frames stay as they are, and after every piece the rest completes what has been heard so far."""
    heard, state, final = audio(max(1, sum(sizes))), begin(encoder), []
    at = 0
    for size in [*sizes[:-1], max(sizes[-1], heard.shape[1] - sum(sizes[:-1]))]:
        state, frames = push(encoder, state, heard[:, at : at + size])
        final.append(frames)
        at += size
        if at:
            found = torch.cat([*final, rest(encoder, state)], dim=1)
            assert same(found, encoder(heard[:, :at]))
    assert same(torch.cat(final, dim=1), encoder(heard)[:, : state.frames])


def test_a_frame_is_final_once_the_look_ahead_is_heard(encoder: StreamingEncoder) -> None:
    """The windows look 2, 0 and 1 frames ahead; the first frame needs one frame of 5 ms, each other four."""
    state, counts = begin(encoder), []
    for _ in range(20):
        state, frames = push(encoder, state, audio(80))
        counts.append(frames.shape[1])
    assert counts == [0] * 12 + [1, 0, 0, 0] * 2
    assert rest(encoder, state).shape[1] == 3


def test_the_state_does_not_grow(encoder: StreamingEncoder) -> None:
    """A layer keeps its window without the frame itself, also after a long piece."""
    state = begin(encoder)
    for size in (50_000, 1, 1000, 500, 40_000, 30):
        state, _ = push(encoder, state, audio(size))
        assert [layer.keys.shape[2] for layer in state.layers] == [4 + 2, 3 + 0, 5 + 1]
        assert [layer.waiting.shape[1] for layer in state.layers] == [2, 0, 1]
        assert all(tensor.untyped_storage().nbytes() == 4 * tensor.numel() for tensor in tensors(state))


def test_nothing_heard_is_nothing_to_read(encoder: StreamingEncoder) -> None:
    assert rest(encoder, begin(encoder)).shape == (1, 0, 24)


def test_the_rest_changes_nothing(encoder: StreamingEncoder) -> None:
    state, _ = push(encoder, begin(encoder), audio(3000))
    before = [tensor.clone() for tensor in tensors(state)]
    assert same(rest(encoder, state), rest(encoder, state))
    assert all(torch.equal(*pair) for pair in zip(before, tensors(state), strict=True))
