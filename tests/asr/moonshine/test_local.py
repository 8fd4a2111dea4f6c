"""The streaming encoder in torch: what it hears of the past and the future, against definitions in loops."""

from collections.abc import Iterator

import pytest
import torch
from graph_models import random_model
from torch import Tensor, nn
from torch.nn import functional

from asr.moonshine import local
from asr.moonshine.config import MoonshineConfig, Window, Windows, look_ahead, windows
from asr.moonshine.encoder import Encoder
from asr.moonshine.load_torch import load, state_of
from asr.moonshine.local import Attend, LocalEncoder, attend_masked, positions_of, running_norm
from kernels.attention.local import blocked, local_attention

FRAME, RECEPTIVE = 384, 895  # samples: frame i is made of [384 i, 384 i + 895)
SHAPE = MoonshineConfig(width=20, layers=3, heads=2, mlp=24, vocabulary=64)  # heads of 10, padded to 16
NARROW = (Window(3, 2), Window(2, 0), Window(4, 1))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder() -> LocalEncoder:
    """With random weights, and random positions."""
    model = LocalEncoder(SHAPE)
    random_model(model)
    return model


@pytest.fixture
def not_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """The norm takes the statistics of the whole clip, as the full model's does."""
    monkeypatch.setattr(local, "running_norm", lambda norm, features: norm(features))


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The norm takes no statistics."""
    monkeypatch.setattr(local, "running_norm", lambda norm, x: x * norm.weight[:, None] + norm.bias[:, None])


def audio(samples: int, seed: int = 0, rows: int = 2) -> Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed)) * 0.3


def test_with_windows_that_see_everything_it_is_the_full_model(not_running: None) -> None:
    """The norm apart; as it is made, it has no positions of its own."""
    full, streaming = Encoder(SHAPE), LocalEncoder(SHAPE)
    random_model(full)
    load(streaming, state_of(full), partly=True)
    heard = audio(20_000)
    frames = 1 + (20_000 - RECEPTIVE) // FRAME
    expected = full.hidden_states(heard)
    found = streaming.hidden_states(heard, windows(frames - 1, (frames - 1,) * 3))
    assert [len(found), *found[0].shape] == [4, 2, frames, 20]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    narrower = streaming(heard, windows(frames - 2, (frames - 1,) * 3))
    assert (narrower - expected[-1]).abs().max() > 1e-3  # so the comparison tells a frame


@pytest.mark.parametrize("window", [Window(0, 0), Window(3, 0), Window(0, 2), Window(5, 3), Window(99, 99)])
def test_attention_sees_its_window_and_nothing_else(window: Window) -> None:
    generator = torch.Generator().manual_seed(1)
    q, k, v = torch.randn(3, 2, 3, 13, 10, generator=generator)
    expected = torch.zeros_like(q)
    for i in range(13):
        seen = range(max(0, i - window.left), min(13, i + window.right + 1))
        scores = torch.stack([(q[:, :, i] * k[:, :, j]).sum(-1) / 10**0.5 for j in seen])
        shares = scores.exp() / scores.exp().sum(0)
        expected[:, :, i] = sum(share[..., None] * v[:, :, j] for share, j in zip(shares, seen, strict=True))
    torch.testing.assert_close(attend_masked(q, k, v, window), expected)


@pytest.mark.parametrize("offset", [0.0, 0.5], ids=["around zero", "far from zero"])
def test_the_running_norm_is_that_of_each_prefix(offset: float) -> None:
    norm = nn.GroupNorm(1, 6)
    random_model(norm)
    x = torch.randn(2, 6, 40, generator=torch.Generator().manual_seed(3)) * 0.2 + offset
    x[:, :, :2] = 0  # a clip may begin with digital silence
    expected = [
        functional.group_norm(x[:, :, : t + 1], 1, norm.weight, norm.bias)[:, :, t] for t in range(40)
    ]
    torch.testing.assert_close(running_norm(norm, x), torch.stack(expected, -1), rtol=1e-4, atol=1e-4)


def test_a_frame_does_not_hear_past_its_look_ahead(encoder: LocalEncoder) -> None:
    ahead = look_ahead(NARROW)
    assert ahead == 3
    frame = 20
    end = FRAME * (frame + ahead) + RECEPTIVE  # the first sample that it must not hear
    heard = audio(FRAME * 40 + RECEPTIVE)
    before = encoder(heard, NARROW)
    other = heard.clone()
    other[:, end:] = audio(len(heard[0]) - end, seed=1)
    after = encoder(other, NARROW)
    torch.testing.assert_close(after[:, : frame + 1], before[:, : frame + 1], rtol=0, atol=1e-5)
    assert (after[:, frame + 1] - before[:, frame + 1]).abs().max() > 1e-2
    cut = encoder(heard[:, :end], NARROW)[:, : frame + 1]  # what comes later might as well not exist
    torch.testing.assert_close(cut, before[:, : frame + 1], rtol=0, atol=1e-5)
    other = heard.clone()
    other[:, end - FRAME : end] *= -1
    assert (encoder(other, NARROW)[:, frame] - before[:, frame]).abs().max() > 1e-2


def test_a_frame_does_not_hear_what_its_windows_do_not_reach(encoder: LocalEncoder, frozen: None) -> None:
    """But for the norm, which remembers all."""
    frame, reach = 25, sum(window.left for window in NARROW)
    begin = FRAME * (frame - reach)  # the first sample that it hears
    heard = audio(FRAME * 40 + RECEPTIVE)
    before = encoder(heard, NARROW)
    other = heard.clone()
    other[:, :begin] = 3 * audio(begin, seed=1)
    after = encoder(other, NARROW)
    torch.testing.assert_close(after[:, frame:], before[:, frame:], rtol=0, atol=1e-5)
    assert (after[:, frame - 1] - before[:, frame - 1]).abs().max() > 1e-4
    other[:, begin : begin + FRAME] *= -3
    assert (encoder(other, NARROW)[:, frame] - before[:, frame]).abs().max() > 1e-4


def test_the_running_norm_remembers_all(encoder: LocalEncoder) -> None:
    heard = audio(FRAME * 40 + RECEPTIVE)
    louder = heard.clone()
    louder[:, : 10 * FRAME] *= 3
    assert (encoder(louder, NARROW)[:, -1] - encoder(heard, NARROW)[:, -1]).abs().max() > 1e-2


def test_frames_know_where_they_are(encoder: LocalEncoder) -> None:
    """Frames of silence differ in nothing but their positions."""
    silence = torch.zeros(1, FRAME * 60)
    hidden = encoder(silence, windows(0, (0, 0, 0)))[0]
    apart = torch.cdist(hidden, hidden) + torch.eye(len(hidden)) * 1e3
    assert apart.min() > 1e-3
    fresh = LocalEncoder(SHAPE)
    alike = fresh(silence, windows(0, (0, 0, 0)))[0]
    torch.testing.assert_close(alike, alike[:1].expand_as(alike))


def test_positions_tell_apart_all_frames_of_a_minute() -> None:
    sinusoids = positions_of(torch.arange(2500)).double()
    assert sinusoids.shape == (2500, 64)
    torch.testing.assert_close(
        sinusoids[:, :32].square() + sinusoids[:, 32:].square(), torch.ones(2500, 32).double()
    )
    apart = torch.cdist(sinusoids, sinusoids) + torch.eye(2500) * 1e3
    assert apart.min() > 0.5
    one = positions_of(torch.tensor([2]))[0]
    assert one[0] == pytest.approx(1, abs=1e-5)  # a quarter of the shortest period, 8 frames
    assert positions_of(torch.tensor([1024]))[0, 31] == pytest.approx(1, abs=1e-3)  # and of the longest


def by_blocks(q: Tensor, k: Tensor, v: Tensor, window: Window) -> Tensor:
    return blocked(q, k, v, window.left, window.right)


def by_kernel(q: Tensor, k: Tensor, v: Tensor, window: Window) -> Tensor:
    return local_attention(q, k, v, window.left, window.right)


@pytest.mark.parametrize("attend", [by_blocks, by_kernel])
@pytest.mark.parametrize("shape", [NARROW, windows(64, (4, 4, 0)), windows(1000, (1000, 0, 0))])
def test_other_ways_to_attend_give_the_same(encoder: LocalEncoder, attend: Attend, shape: Windows) -> None:
    heard = audio(FRAME * 150 + RECEPTIVE)
    for ours, theirs in zip(
        encoder.hidden_states(heard, shape, attend), encoder.hidden_states(heard, shape), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_one_window_for_each_layer(encoder: LocalEncoder) -> None:
    with pytest.raises(ValueError, match="shorter"):
        encoder(audio(4000), NARROW[:2])
