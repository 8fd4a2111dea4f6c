"""The streaming encoder's graphs against torch on the whole clip, however the audio is cut."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_models import SMALL, random_model, tiny_local
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import recordings

from asr.moonshine.audio_stream import EncoderState, StreamingEncoder, stream_graphs
from asr.moonshine.config import MoonshineConfig, Window, Windows, look_ahead, windows
from asr.moonshine.graph_ops import sinusoids
from asr.moonshine.local import POSITION_DIM, LocalEncoder, positions_of

SECOND = 16000
TOLERANCE = 1e-4  # of the largest value; measured 3e-6
MIXED: Windows = (Window(5, 2), Window(3, 0), Window(8, 1))

Array = NDArray[np.float32]


def sound(samples: int) -> Array:
    """Noise whose loudness changes, so that the running statistics do."""
    noise = np.random.default_rng(9).standard_normal(samples)
    return (noise * (0.2 + 0.15 * np.sin(np.arange(samples) / 3000))).astype(np.float32)


def whole(model: LocalEncoder, audio: Array, used: Windows) -> Array:
    if len(audio) < 895:
        return np.zeros((0, model.layer_norm.weight.shape[0]), np.float32)
    found: Array = model(torch.from_numpy(audio)[None], used)[0].numpy()
    return found


def assert_near(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    if expected.size:
        assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def pushed(
    encoder: StreamingEncoder, state: EncoderState, audio: Array, sizes: Sequence[int]
) -> Iterator[Array]:
    """The final frames of each piece; the last piece is what is left."""
    at = 0
    for size in (*sizes, max(0, len(audio) - sum(sizes))):
        yield encoder.push(state, audio[at : at + size])
        at += size


def made(used: Windows, config: MoonshineConfig = SMALL) -> tuple[LocalEncoder, StreamingEncoder]:
    model = LocalEncoder(config)
    graphs = stream_graphs(random_model(model), used, config, weights="float32")
    return model, StreamingEncoder(graphs, used, config)


@pytest.fixture(scope="module")
def mixed() -> tuple[LocalEncoder, StreamingEncoder]:
    return made(MIXED)


@given(st.integers(0, 30_000), st.lists(st.integers(0, 700) | st.integers(0, 9000), max_size=10))
@example(894, [])
@example(895, [])
@example(895, [894, 1])
@example(1279, [0, 895, 0, 383])
@example(12_000, [80] * 100)
@settings(max_examples=30, deadline=None)
def test_any_cutting_gives_the_frames_of_the_whole_clip(
    mixed: tuple[LocalEncoder, StreamingEncoder], samples: int, sizes: list[int]
) -> None:
    """After every piece: what is final stays, and what a peek adds completes the clip as it is so far."""
    model, encoder = mixed
    audio, state, final, at = sound(samples), encoder.begin(), np.zeros((0, SMALL.width), np.float32), 0
    for number, frames in enumerate(pushed(encoder, state, audio, sizes)):
        final = np.concatenate([final, frames])
        at = at + sizes[number] if number < len(sizes) else max(at, len(audio))
        heard = whole(model, audio[:at], MIXED)
        assert len(final) == max(0, len(heard) - look_ahead(MIXED))
        assert_near(np.concatenate([final, encoder.peek(state)]), heard)
    assert_near(final, whole(model, audio, MIXED)[: len(final)])


@pytest.mark.parametrize(
    ("used", "config"),
    [
        (windows(4, (0, 0, 0)), SMALL),
        (windows(0, (0, 0, 0)), SMALL),
        (windows(0, (2, 0, 3)), SMALL),
        (windows(100, (9, 9, 9)), SMALL),
        ((Window(7, 3),), replace(SMALL, layers=1, heads=1)),
        (windows(6, (1, 2)), replace(SMALL, width=30, layers=2, heads=5, rotary_share=0.7)),
    ],
    ids=str,
)
def test_any_windows(used: Windows, config: MoonshineConfig) -> None:
    model, encoder = made(used, config)
    audio, state = sound(2 * SECOND), encoder.begin()
    final = np.concatenate(list(pushed(encoder, state, audio, [3000, 1, 10_000])))
    assert_near(np.concatenate([final, encoder.peek(state)]), whole(model, audio, used))


def arrays(state: EncoderState) -> dict[str, bytes]:
    named = {"audio": state.audio, **state.stem, **state.layers}
    return {name: array.tobytes() for name, array in named.items()}


def test_a_peek_changes_nothing(mixed: tuple[LocalEncoder, StreamingEncoder]) -> None:
    _, encoder = mixed
    state = encoder.begin()
    encoder.push(state, sound(9000))
    before, frames = arrays(state), state.frames
    first = encoder.peek(state)
    assert arrays(state) == before
    assert state.frames == frames
    np.testing.assert_array_equal(encoder.peek(state), first)


def test_the_state_is_as_large_after_a_minute_as_after_a_second(
    mixed: tuple[LocalEncoder, StreamingEncoder],
) -> None:
    _, encoder = mixed
    state, sizes = encoder.begin(), []
    for _ in range(60):
        encoder.push(state, sound(SECOND))
        held = arrays(state)
        assert len(held.pop("audio")) < 4 * (63 + 384)
        sizes.append(sum(map(len, held.values())))
    assert sizes[0] == sizes[-1]


def test_streams_do_not_disturb_each_other(mixed: tuple[LocalEncoder, StreamingEncoder]) -> None:
    _, encoder = mixed
    audio, state, other = sound(9000), encoder.begin(), encoder.begin()
    alone = encoder.push(encoder.begin(), audio)
    first = encoder.push(state, audio[:5000])
    encoder.push(other, -audio)
    assert_near(np.concatenate([first, encoder.push(state, audio[5000:])]), alone)


def test_nothing_and_5_ms_and_silence_give_no_frame_or_finite_ones(
    mixed: tuple[LocalEncoder, StreamingEncoder],
) -> None:
    _, encoder = mixed
    state = encoder.begin()
    for samples in (0, 80):
        assert encoder.push(state, np.zeros(samples, np.float32)).shape == (0, SMALL.width)
        assert encoder.peek(state).shape == (0, SMALL.width)
    assert np.isfinite(encoder.push(state, np.zeros(SECOND, np.float32))).all()
    assert np.isfinite(encoder.peek(state)).all()


def test_positions_are_those_of_training() -> None:
    """To a thousandth in audio of ten minutes."""
    for first in (0, 25_000):
        frames = np.arange(first, first + 50)
        expected = positions_of(torch.from_numpy(frames)).numpy()
        np.testing.assert_allclose(sinusoids(frames, POSITION_DIM), expected, atol=4e-3 if first else 1e-5)


@pytest.mark.models
def test_with_the_shipped_weights(model_path: Callable[[str], Path]) -> None:
    """In float32 as torch, to 1e-4; with 8-bit weights 2.4 % away, measured on this clip."""
    config, used = MoonshineConfig(), windows(64, (4, 4, 0, 0, 4, 4))
    model, state = tiny_local(model_path, config)
    audio = recordings()["000"].audio[: 3 * SECOND]
    expected = whole(model, audio, used)
    for weights, far in (("float32", 1e-4), ("int8", 0.05)):
        encoder = StreamingEncoder(stream_graphs(state, used, config, weights=weights), used, config)
        stream = encoder.begin()
        final = np.concatenate(list(pushed(encoder, stream, audio, [3840] * 8)))
        found = np.concatenate([final, encoder.peek(stream)])
        assert found.shape == expected.shape
        assert np.linalg.norm(found - expected) <= far * np.linalg.norm(expected)
