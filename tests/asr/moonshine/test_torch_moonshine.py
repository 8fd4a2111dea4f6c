"""Both architectures in torch against `transformers`, on random weights that went through a folder."""

from pathlib import Path

import hub_folders
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from asr.moonshine.config import Window
from asr.moonshine.hub import HubCheckpoint, load_hub
from asr.moonshine.hub_torch import modules_of
from asr.moonshine.streaming_encoder import StreamingEncoder

TOLERANCE = 1e-5  # of the largest value; measured at most 8e-7
TOKENS = torch.tensor([[1, 5, 290, 9, 17, 3, 44], [1, 8, 8, 200, 101, 0, 2]])

MOONSHINE = {
    "as tiny": {},
    "an old configuration's rotary": {"rope_theta": 500.0, "partial_rotary_factor": 0.4},
    "one head, many layers": {
        "encoder_num_attention_heads": 1,
        "decoder_num_attention_heads": 1,
        "encoder_num_hidden_layers": 5,
        "partial_rotary_factor": 1.0,
        "pad_head_dim_to_multiple_of": 16,
    },
    "odd sizes": {
        "hidden_size": 35,
        "intermediate_size": 51,
        "encoder_num_attention_heads": 5,
        "decoder_num_attention_heads": 5,
        "vocab_size": 1001,
        "partial_rotary_factor": 0.6,
    },
    "an output head of its own": {"tie_word_embeddings": False},
}
STREAMING = {
    "as small": ({}, {}),
    "grouped-query attention": ({"num_key_value_heads": 2}, {}),
    "multi-query attention": ({"num_key_value_heads": 1}, {}),
    "as tiny, one width": (
        {
            "hidden_size": 24,
            "head_dim": None,
            "num_hidden_layers": 6,
            "sliding_windows": ((16, 4), (16, 4), (16, 0), (16, 0), (16, 4), (16, 4)),
        },
        {},
    ),
    "odd sizes": (
        {
            "hidden_size": 33,
            "intermediate_size": 21,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "head_dim": 7,
            "num_hidden_layers": 2,
            "sliding_windows": ((1, 1), (3, 9)),
            "frame_ms": 2.5,
        },
        {
            "hidden_size": 21,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "head_dim": 5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 77.0, "partial_rotary_factor": 0.4},
        },
    ),
    "a tied output head": ({}, {"tie_word_embeddings": True}),
}


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> HubCheckpoint:
    folder = tmp_path_factory.mktemp("streaming")
    return load_hub(str(hub_folders.save(hub_folders.streaming({}), folder)))


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest, as a share of the largest value; 1 for other shapes."""
    if ours.shape != theirs.shape:
        return 1.0
    return float((ours - theirs).abs().max() / theirs.abs().max())


def audio(samples: int) -> Tensor:
    return torch.randn(2, samples, generator=torch.Generator().manual_seed(samples)) * 0.3


@torch.no_grad()
def compare(model: PreTrainedModel, folder: Path, lengths: tuple[int, ...], pad_to: int = 1) -> None:
    encoder, decoder = modules_of(load_hub(str(hub_folders.save(model, folder))))
    for samples in lengths:
        padding = -samples % pad_to
        padded = functional.pad(audio(samples), (0, padding))
        mask = functional.pad(torch.ones(2, samples, dtype=torch.long), (0, padding))
        theirs = model.get_encoder()(padded, attention_mask=mask, output_hidden_states=True).hidden_states
        ours = encoder.hidden_states(audio(samples))
        # Theirs begin with the first layer's input, and the last norm replaces the last layer's output.
        for ours_there, theirs_there in zip([*ours[:-2], ours[-1]], theirs[1:], strict=True):
            assert difference(ours_there, theirs_there) < TOLERANCE
        logits = model(padded, attention_mask=mask, decoder_input_ids=TOKENS).logits
        assert difference(decoder.logits(TOKENS, encoder(audio(samples))), logits) < TOLERANCE


@pytest.mark.parametrize("changes", MOONSHINE.values(), ids=MOONSHINE)
def test_moonshine_computes_what_transformers_does(changes: dict[str, object], tmp_path: Path) -> None:
    compare(hub_folders.moonshine(**changes), tmp_path, (895, 1279, 4000, 33333))


@pytest.mark.parametrize(("encoder", "changes"), STREAMING.values(), ids=STREAMING)
def test_moonshine_streaming_computes_what_transformers_does(
    encoder: dict[str, object], changes: dict[str, object], tmp_path: Path
) -> None:
    """Without a mask `transformers` would leave out the windows, so it gets one, and whole frames."""
    model = hub_folders.streaming(encoder, **changes)
    pad_to = model.get_encoder().embedder.frame_len
    compare(model, tmp_path, (80, 81, 399, 4000, 33333), pad_to)


@torch.no_grad()
def test_one_frame_more_or_less_in_any_window_shows(streaming: HubCheckpoint) -> None:
    """So the comparison above tells the windows."""
    encoder, _ = modules_of(streaming)
    assert isinstance(encoder, StreamingEncoder)
    right = encoder(audio(4000))
    for layer, window in enumerate(encoder.windows):
        for changed in (Window(window.left - 1, window.right), Window(window.left, window.right + 1)):
            windows = list(encoder.windows)
            windows[layer] = changed
            other, _ = modules_of(streaming)
            other.windows = tuple(windows)
            assert difference(other(audio(4000)), right) > 100 * TOLERANCE


@torch.no_grad()
def test_tokens_one_by_one_have_the_logits_of_one_pass(streaming: HubCheckpoint) -> None:
    encoder, decoder = modules_of(streaming)
    hidden = encoder(audio(4000))
    state = decoder.begin(hidden)
    single = torch.cat([decoder(TOKENS[:, i : i + 1], state) for i in range(TOKENS.shape[1])], dim=1)
    assert difference(single, decoder.logits(TOKENS, hidden)) < TOLERANCE


@torch.no_grad()
def test_audio_past_the_last_position_is_refused(streaming: HubCheckpoint) -> None:
    encoder, _ = modules_of(streaming)
    assert encoder(audio(300 * 320)).shape == (2, 300, 24)
    with pytest.raises(ValueError, match="301 encoder frames: this checkpoint reads at most 300"):
        encoder(audio(300 * 320 + 1))


def test_audio_shorter_than_a_frame_is_one_frame(streaming: HubCheckpoint) -> None:
    encoder, _ = modules_of(streaming)
    for samples in (0, 1, 79):
        assert encoder(audio(samples)).isfinite().all()
        assert encoder(audio(samples)).shape == (2, 1, 24)
