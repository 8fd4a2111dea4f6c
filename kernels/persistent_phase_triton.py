"""What the phases of the persistent llama kernel share: rows of a product, and the words they hand on.

Here and in the other files S is `persistent_arguments.Sizes`, and P the `Product` at hand, one of them. In
Triton 3.6 a part of S can be handed on only as a `tl.constexpr` with a name.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, N803  (a kernel's arguments are Triton's, and its constants are capitals)

from typing import Any, NamedTuple

import triton
import triton.language as tl

from kernels.persistent_dot_triton import load, pack
from kernels.words_triton import receive, send


class Words(NamedTuple):
    """Pointers to words, of which there are several copies."""

    first: Any  # the first copy; others follow at equal distances, and all are written
    copy: Any  # the one that this program reads


class Share(NamedTuple):
    """A program's rows of a product."""

    rows: Any  # [R]
    own: Any  # [R]: false where a tile goes beyond the program's rows or the matrix
    weights: Any  # `persistent_dot_triton.QuantizedRows`


@triton.jit
def hidden_zero(S: tl.constexpr):
    """0, which the compiler does not know."""
    return tl.program_id(0) // S.programs


@triton.jit
def share_rows(part, start, P: tl.constexpr):
    """The rows of a tile of the share `part`, from its row `start` on, and which of them are its own: [R]."""
    slot = start + tl.arange(0, P.tile)
    rows = part * P.share + slot
    return rows, (slot < P.share) & (rows < P.rows)


@triton.jit
def load_share(matrix, first, part, P: tl.constexpr, S: tl.constexpr, start=0):
    """`share_rows` and their weights, of a matrix that begins at block `first`."""
    rows, own = share_rows(part, start, P)
    live = own[:, None] & (tl.arange(0, P.lanes) < P.blocks)[None, :]
    return Share(rows, own, load(matrix, first, rows, live, hidden_zero(S), P))


@triton.jit
def send_rows(words, rows, own, values, epoch, P: tl.constexpr, S: tl.constexpr):
    """`send` values [R] to words[rows], a copy from each of the threads that hold a row's blocks."""
    lane = tl.arange(0, P.lanes)[None, :]
    at = (rows ^ hidden_zero(S))[:, None] + lane * S.copy_words  # as in `load`
    send(words, at, tl.broadcast_to(values[:, None], at.shape), epoch, own[:, None] & (lane < S.copies))


@triton.jit
def of_layer(words, layer, S: tl.constexpr):
    """A layer's words. Two sets take turns: no program gets two layers ahead of another, as each needs some
    of gate and up from each.
    """
    return words + (layer % 2) * S.layer_words


@triton.jit
def receive_vector(words, epoch, LENGTH: tl.constexpr, PADDED: tl.constexpr):
    """LENGTH values from `words` on, and zeros behind them: float32 [PADDED]."""
    at = tl.arange(0, PADDED // 4) * 4
    return tl.reshape(receive(words, at, epoch, at < LENGTH), [PADDED])


@triton.jit
def receive_down(words, layer, epoch, S: tl.constexpr):
    """What a layer's down product adds to the residual stream."""
    down = of_layer(words.copy, layer, S) + S.down_words
    return receive_vector(down, epoch, S.shape.width, S.width_padded)


@triton.jit
def load_norm(norm, S: tl.constexpr):
    """The weights of RMSNorm, [width_padded]."""
    channel = tl.arange(0, S.width_padded)
    return tl.load(norm + channel, mask=channel < S.shape.width, other=0.0)


@triton.jit
def pack_normed(x, norm, S: tl.constexpr):
    """`Packed` x * norm, and 1 / RMS of x, which the products are multiplied with instead of all of x."""
    packed = pack(x * norm)
    return packed, tl.rsqrt(tl.sum(x * x, 0) / S.shape.width + S.shape.norm_eps)
