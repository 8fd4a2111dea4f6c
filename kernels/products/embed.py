"""Tokens to rows of a quantized embedding: bytes moved, a reference, the checked launcher."""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.fragments import Fragments, check_fragments
from kernels.formats.quantized import Quantized

if TRITON:
    from kernels.products import embed_triton


def bytes_moved(tokens: Tensor, embedding: Quantized) -> int:
    """The fewest bytes it can move: the tokens, their rows, and the result in float32."""
    row = embedding.layer_bytes // embedding.rows + 4 * embedding.columns
    return tokens.nbytes + len(tokens) * row


def reference(tokens: Tensor, embedding: Quantized) -> Tensor:
    """What is meant: float32 [M, width]; zeros for what is no token of the vocabulary."""
    known = (tokens >= 0) & (tokens < embedding.rows)
    return embedding.rows_of(0, torch.where(known, tokens, 0).long()) * known[:, None]


def embed(
    tokens: Tensor,
    embedding: Quantized,
    *,
    out: Tensor,
    norm: Tensor | None = None,
    fragments: Fragments | None = None,
) -> Tensor:
    """Rows of `embedding` [1, vocabulary, width] into `out`, float32 [M, width]; gives `out`.

    `tokens` is int32 [M], read on the device; a number that is no token, as padding may be, gives zeros. With
    `fragments` the rows times `norm`, float32 [width], go there as well, for the first product. Runs the
    Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises ValueError
    for shapes, strides, types and devices that do not fit together.
    """
    if embedding.layers != 1:
        raise ValueError(f"the embedding has {embedding.layers} matrices: must be 1")
    if tokens.dim() != 1 or not len(tokens):
        raise ValueError(f"tokens are {tuple(tokens.shape)}: must be [rows], 1 or more")
    device = embedding.codes.device
    check_tensor("tokens", tokens, torch.int32, (len(tokens),), device)
    check_tensor("out", out, torch.float32, (len(tokens), embedding.columns), device)
    if fragments is not None and norm is not None:
        check_tensor("norm", norm, torch.float32, (embedding.columns,), device)
        check_fragments("fragments", fragments, len(tokens), embedding.columns, device, squares=True)
    elif fragments is not None or norm is not None:
        raise ValueError("one of norm and fragments is missing: give both or none")
    if not runs_on(device):
        out.copy_(reference(tokens, embedding))
        if fragments is not None and norm is not None:
            fragments.fill(out * norm, out)
        return out
    embed_triton.launch(out, tokens, embedding, norm, fragments)
    return out
