"""Checkpoints in the hub's form, made by `transformers` and `tokenizers`: small, and with random weights."""

from pathlib import Path
from typing import TypeVar

import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import (
    MoonshineConfig,
    MoonshineForConditionalGeneration,
    PreTrainedModel,
)

from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.hub import load_hub
from asr.moonshine.load_torch import load

VOCABULARY = 300
Model = TypeVar("Model", bound=PreTrainedModel)
SPECIAL = ("<unk>", "<s>", "</s>")


def moonshine(**changes: object) -> MoonshineForConditionalGeneration:
    """Width 24 in 4 heads of 6, 4 of their channels turned."""
    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 24,
        "intermediate_size": 40,
        "encoder_num_hidden_layers": 2,
        "decoder_num_hidden_layers": 3,
        "encoder_num_attention_heads": 4,
        "decoder_num_attention_heads": 4,
        "partial_rotary_factor": 0.8,
    }
    return randomized(MoonshineForConditionalGeneration(MoonshineConfig(**{**settings, **changes})))


def randomized(model: Model) -> Model:
    """Every weight is drawn, so that one that goes nowhere, or to the wrong place, shows."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            drawn = torch.randn(parameter.shape, generator=generator) * fan_in**-0.5
            parameter.copy_(drawn + 1 if name.endswith("norm.weight") else drawn)
    return model.eval()


def save(model: PreTrainedModel, folder: Path, **options: object) -> Path:
    """The folder with the model and its tokenizer."""
    model.save_pretrained(folder, **options)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tokenizer() -> Tokenizer:
    """Three special tokens, 256 bytes, some pieces, and one token that was added."""
    pieces = ["▁", "a", "b", "▁a", "ab", "▁ab", "é", "▁€", "字", "<0x1>"]
    vocabulary = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    made = Tokenizer(
        BPE({piece: index for index, piece in enumerate(vocabulary)}, [("a", "b")], byte_fallback=True)
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(list(SPECIAL))
    made.add_tokens(["(noise)"])
    return made


def modules_of(folder: Path) -> tuple[Encoder, Decoder]:
    """The torch modules of the checkpoint in `folder`."""
    checkpoint = load_hub(str(folder))
    encoder, decoder = Encoder(checkpoint.encoder), Decoder(checkpoint.decoder)
    load(encoder, checkpoint.encoder_state)
    load(decoder, checkpoint.decoder_state)
    return encoder, decoder
