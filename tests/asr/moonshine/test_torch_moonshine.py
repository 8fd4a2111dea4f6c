"""Moonshine in torch against `transformers`, on random weights that went through a folder."""

from pathlib import Path

import hub_folders
import pytest
import torch
from torch import Tensor

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


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest, as a share of the largest value; 1 for other shapes."""
    if ours.shape != theirs.shape:
        return 1.0
    return float((ours - theirs).abs().max() / theirs.abs().max())


def audio(samples: int) -> Tensor:
    return torch.randn(2, samples, generator=torch.Generator().manual_seed(samples)) * 0.3


@pytest.mark.parametrize("changes", MOONSHINE.values(), ids=MOONSHINE)
@torch.no_grad()
def test_moonshine_computes_what_transformers_does(changes: dict[str, object], tmp_path: Path) -> None:
    model = hub_folders.moonshine(**changes)
    encoder, decoder = hub_folders.modules_of(hub_folders.save(model, tmp_path))
    for samples in (895, 1279, 4000, 33333):
        mask = torch.ones(2, samples, dtype=torch.long)
        theirs = model.get_encoder()(audio(samples), attention_mask=mask, output_hidden_states=True)
        ours = encoder.hidden_states(audio(samples))
        # Theirs begin with the first layer's input, and the last norm replaces the last layer's output.
        for ours_there, theirs_there in zip([*ours[:-2], ours[-1]], theirs.hidden_states[1:], strict=True):
            assert difference(ours_there, theirs_there) < TOLERANCE
        logits = model(audio(samples), attention_mask=mask, decoder_input_ids=TOKENS).logits
        assert difference(decoder.logits(TOKENS, encoder(audio(samples))), logits) < TOLERANCE


@torch.no_grad()
def test_tokens_one_by_one_have_the_logits_of_one_pass(tmp_path: Path) -> None:
    encoder, decoder = hub_folders.modules_of(hub_folders.save(hub_folders.moonshine(), tmp_path))
    hidden = encoder(audio(4000))
    state = decoder.begin(hidden)
    single = torch.cat([decoder(TOKENS[:, i : i + 1], state) for i in range(TOKENS.shape[1])], dim=1)
    assert difference(single, decoder.logits(TOKENS, hidden)) < TOLERANCE
