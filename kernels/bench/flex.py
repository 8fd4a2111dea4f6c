"""FlexAttention, torch's attention by a rule, as a rival: compiled for one shape on a GPU, eager on a CPU."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""q [B, heads, T, D], keys and values [B, kv heads, S, D] to [B, heads, T, D]."""

Sees = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Whether, in a sequence and a head, a query sees a key, of which it gets the places."""


def flex(
    sees: Sees | None, queries: int, keys: int, device: torch.device, *, scale: float | None = None
) -> Attend:
    """Attention of so many queries over so many keys, of heads in groups; without `sees` all of them."""
    from torch.nn.attention.flex_attention import flex_attention  # noqa: PLC0415  (it loads the compiler)

    attend: Callable[..., Tensor] = flex_attention
    if device.type == "cuda":
        torch._dynamo.reset()  # or after a few shapes it would no longer compile for one alone
        attend = torch.compile(flex_attention, dynamic=False)
    mask = None if sees is None else block_mask(sees, queries, keys, device)
    return functools.partial(attend, block_mask=mask, scale=scale, enable_gqa=True)


def block_mask(sees: Sees, queries: int, keys: int, device: torch.device) -> "BlockMask":
    """Which blocks of keys blocks of queries see, the same in all sequences and heads."""
    from torch.nn.attention.flex_attention import create_block_mask  # noqa: PLC0415  (as above)

    return create_block_mask(sees, None, None, queries, keys, device=str(device))


def pad_groups(q: Tensor, kv_heads: int) -> Tensor:
    """Heads of zeros behind each group of q [B, heads, T, D], up to a power of two of them.

    Only of such groups FlexAttention splits the keys of few queries over many programs.
    """
    b, heads, t, d = q.shape
    groups = q.reshape(b, kv_heads, heads // kv_heads, t, d)
    wanted = 1 << (groups.shape[2] - 1).bit_length()
    return functional.pad(groups, (0, 0, 0, 0, 0, wanted - groups.shape[2])).flatten(1, 2)


def cut_groups(out: Tensor, kv_heads: int, group: int) -> Tensor:
    """The first `group` heads of each group of [B, padded heads, T, D]."""
    b, heads, t, d = out.shape
    return out.reshape(b, kv_heads, heads // kv_heads, t, d)[:, :, :group].flatten(1, 2)
