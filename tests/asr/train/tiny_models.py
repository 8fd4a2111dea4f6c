"""Models so small that a step of training takes milliseconds, with random weights that do not vanish."""

import torch
from torch import Tensor, nn

from asr.moonshine.config import EOS, MoonshineConfig, windows
from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.load_torch import load, state_of
from asr.moonshine.local import LocalEncoder

TINY = MoonshineConfig(width=16, layers=2, heads=2, mlp=32, vocabulary=64)
NARROW = windows(6, (2, 0))
FULL = windows(10_000, (10_000, 10_000))


def randomize(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.startswith("position"):
            continue  # it begins without positions
        scale = 1.0 if parameter.dim() == 1 else 1.5 * parameter[0].numel() ** -0.5
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale


def encoder(config: MoonshineConfig = TINY) -> Encoder:
    model = Encoder(config)
    randomize(model, 1)
    return model.requires_grad_(False)


def decoder(config: MoonshineConfig = TINY, seed: int = 2) -> Decoder:
    """It comes to an end after some tokens in most clips, and not at all in others."""
    model = Decoder(config)
    randomize(model, seed)
    model.embed_tokens.weight.data[EOS] *= 4
    return model.requires_grad_(False)


def student(of: Encoder, config: MoonshineConfig = TINY) -> LocalEncoder:
    """A streaming encoder that begins with the weights `of` the full one."""
    model = LocalEncoder(config)
    load(model, state_of(of), partly=True)
    return model


def audio(clips: int, samples: int, seed: int = 0) -> Tensor:
    """Tones that come and go in noise, [clips, samples]."""
    generator = torch.Generator().manual_seed(seed)
    seconds = torch.arange(samples) / 16000
    hertz = 100 + 900 * torch.rand(clips, 1, generator=generator)
    swell = (2 * torch.pi * 2.7 * seconds + hertz).sin().square()
    noise = torch.randn(clips, samples, generator=generator)
    return 0.2 * swell * (2 * torch.pi * hertz * seconds).sin() + 0.05 * noise
