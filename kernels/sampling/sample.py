"""The next token of each row from its logits, on the device: settings, a reference, the checked launcher.

As `llm/decode/sample.py` means it: a repetition penalty on the tokens seen, then the likeliest token or, at a
temperature, a draw from those at least `min_p` times as likely as the likeliest. The draw is a race (the
Gumbel-max trick): the token with the least exponential draw over probability wins. The draws are a function
of seed, step and token (Philox4x32-10, Salmon et al. 2011), so a sampling can be repeated. Nucleus sampling
(top_p) is not done here.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.sampling.state import TILE, SamplingState, check_sampling, lanes_of

if TRITON:
    from kernels.sampling import sample_triton

_MASK = 0xFFFFFFFF


def bytes_moved(logits: Tensor, *, drawn: bool) -> int:
    """The fewest bytes it can move: the tiles' largest, and, to draw, the logits and what was seen."""
    n, vocabulary = logits.shape
    return n * (8 * -(-vocabulary // TILE) + drawn * 5 * vocabulary + 4)


def penalize(logits: Tensor, sampling: SamplingState) -> Tensor:
    """Logits [n, V] after each row's penalty; NaN becomes infinity, which no sampling survives."""
    penalty = sampling.penalties[: len(logits), None]
    worse = torch.where(logits > 0, logits / penalty, logits * penalty)
    marked = sampling.seen[sampling.slots[: len(logits)].long()] != 0
    return torch.where(marked, worse, logits).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def reference(logits: Tensor, sampling: SamplingState) -> Tensor:
    """What is meant, with the kernel's draws: int32 [n]."""
    n, vocabulary = logits.shape
    x = penalize(logits.float(), sampling)
    peak = x.amax(1, keepdim=True)
    temperature, min_p = sampling.temperatures[:n, None], sampling.min_ps[:n, None]
    below = (x - peak) / torch.where(temperature == 0, 1, temperature)
    raced = below.double() - exponential(sampling.seeds[:n], sampling.steps[:n], vocabulary).log()
    raced = torch.where(below >= min_p.log(), raced, -torch.inf)
    score = torch.where(temperature == 0, x.double(), raced)
    token = (score == score.amax(1, keepdim=True)).int().argmax(1)  # the first
    return torch.where(peak[:, 0].isfinite(), token, -1).int()


def exponential(seeds: Tensor, steps: Tensor, vocabulary: int) -> Tensor:
    """The draws of each token, from the exponential distribution of rate 1: float64 [n, V]."""
    token = torch.arange(vocabulary, device=seeds.device)
    lanes = lanes_of(vocabulary)
    counter = token // (4 * lanes) * lanes + token % lanes
    c = [
        counter.expand(len(seeds), -1),
        steps.long()[:, None] & _MASK,
        *[torch.zeros_like(seeds)[:, None]] * 2,
    ]
    key = [seeds[:, None] & _MASK, seeds[:, None] >> 32 & _MASK]
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]  # wraps at 64 bits, whose halves are what is wanted
        c = [
            (high >> 32 & _MASK) ^ c[1] ^ key[0],
            high & _MASK,
            (low >> 32 & _MASK) ^ c[3] ^ key[1],
            low & _MASK,
        ]
        key = [key[0] + 0x9E3779B9 & _MASK, key[1] + 0xBB67AE85 & _MASK]
    which = (token // lanes % 4).expand(len(seeds), 1, -1)
    bits = torch.stack([x.expand(len(seeds), -1) for x in c], 1).gather(1, which)[:, 0]
    return -torch.log1p(-(bits.double() + 0.5) / 2**32)


def sample(logits: Tensor, sampling: SamplingState, *, out: Tensor, advance: bool = False) -> Tensor:
    """A token for each row of logits, float32 [n, V], into `out`, int32 [n]; gives `out`.

    `sampling.best` is what `head` wrote with those logits. A row whose largest is NaN or infinite gets -1
    (`llm.decode.sample.BrokenLogits`). With `advance`, tokens are marked as seen and steps counted up, for
    the next pass: rows must have slots of their own then. Runs the Triton kernel on CUDA (nothing is
    allocated, nothing waits) and the reference elsewhere. Raises ValueError for what does not fit together.
    """
    check_sampling(sampling, logits)
    check_tensor("out", out, torch.int32, (len(logits),), logits.device)
    if runs_on(logits.device):
        sample_triton.launch(out, logits, sampling, lanes_of(logits.shape[1]), advance)
        return out
    out.copy_(reference(logits, sampling))
    if advance:
        chosen = out >= 0
        sampling.seen[sampling.slots[: len(out)][chosen].long(), out[chosen].long()] = 1
        sampling.steps[: len(out)] += 1
    return out
