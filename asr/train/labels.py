"""What a model reads in a batch of clips of equal length: free-running greedy decoding."""

import torch
from torch import Tensor

from asr.moonshine.config import BOS, EOS, RATE
from asr.moonshine.decoder import Decoder

TOKENS_PER_SECOND = 6.5  # the authors' bound on how much can be said


def token_limit(samples: int) -> int:
    """The most tokens that are read of a clip."""
    return int(samples / RATE * TOKENS_PER_SECOND) + 4


@torch.no_grad()
def read(decoder: Decoder, hidden: Tensor, limit: int) -> Tensor:
    """Tokens [B, limit] of hidden states [B, T, width], without the first token; EOS from the end on."""
    state = decoder.begin(hidden)
    token = torch.full((len(hidden), 1), BOS, device=hidden.device)
    ended = torch.zeros_like(token, dtype=torch.bool)
    read: list[Tensor] = []
    for _ in range(limit):
        token = decoder(token, state)[:, -1:].argmax(-1).masked_fill(ended, EOS)
        ended = ended | (token == EOS)
        read.append(token)
        if len(read) % 8 == 0 and bool(ended.all()):  # asking stops the device's queue
            break
    tokens = torch.cat(read, dim=1)
    return torch.nn.functional.pad(tokens, (0, limit - tokens.shape[1]), value=EOS)


def unended(tokens: Tensor) -> Tensor:
    """Which rows of tokens [B, limit] never came to an end: they repeat themselves, [B]."""
    return tokens[:, -1] != EOS
