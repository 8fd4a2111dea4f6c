"""Phases of a layer in the persistent llama kernel: q, k and v; gate and up; down.

Each program has some rows of each product, whose weights are on their way while it waits for the input.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, its constants capitals)

import triton
import triton.language as tl

from kernels.persistent_dot_triton import dot, pack
from kernels.persistent_phase_triton import (
    hidden_zero,
    load_norm,
    load_share,
    of_layer,
    pack_normed,
    receive_down,
    receive_vector,
    send_rows,
)
from kernels.words_triton import receive_sum


@triton.jit
def qkv(x, weights, layer, words, epoch, S: tl.constexpr):
    """Receive the last layer's down product, send rows of q, k and v. Gives the stream x [width_padded]."""
    P: tl.constexpr = S.qkv
    share = load_share(weights.qkv, layer * (P.rows * P.row_blocks), tl.program_id(0), P, S)
    norm = load_norm(weights.attn_norm + layer * S.shape.width, S)
    if layer > 0:
        x += receive_down(words, layer - 1, epoch - 1, S)
    packed, rms = pack_normed(x, norm, S)
    result = dot(share.weights, packed, P) * rms
    if weights.qkv_bias is not None:
        result += tl.load(weights.qkv_bias + layer * P.rows + share.rows, mask=share.own, other=0.0)
    send_rows(of_layer(words.first, layer, S), share.rows, share.own, result, epoch, P, S)
    return x


@triton.jit
def gate_up(x, weights, layer, words, epoch, S: tl.constexpr):
    """Receive the out product, send rows of silu(gate) * up. Gives the stream x [width_padded]."""
    P: tl.constexpr = S.gate_up
    first = layer * (2 * P.rows * P.row_blocks)
    gate_share = load_share(weights.gate_up, first, tl.program_id(0), P, S)
    up_share = load_share(weights.gate_up, first + P.rows * P.row_blocks, tl.program_id(0), P, S)
    norm = load_norm(weights.ffn_norm + layer * S.shape.width, S)
    x += _receive_out(words, layer, epoch, S)
    packed, rms = pack_normed(x, norm, S)
    gate = dot(gate_share.weights, packed, P) * rms
    up = dot(up_share.weights, packed, P) * rms
    to = of_layer(words.first, layer, S) + S.hidden_words
    send_rows(to, gate_share.rows, gate_share.own, _silu(gate) * up, epoch, P, S)
    return x


@triton.jit
def down(weights, layer, words, epoch, S: tl.constexpr):
    """Receive silu(gate) * up, send rows of the down product."""
    P: tl.constexpr = S.down
    # One turn or none. With `if` the compiler keeps more addresses in registers from layer to layer.
    for part in range(tl.program_id(0), tl.cdiv(P.rows, P.share), S.programs):
        share = load_share(weights.down, layer * (P.rows * P.row_blocks), part, P, S)
        hidden = of_layer(words.copy, layer, S) + S.hidden_words
        hidden = receive_vector(hidden, epoch, S.shape.hidden, S.hidden_padded)
        packed = pack(_as_loaded(hidden, weights.output_norm, S))
        result = dot(share.weights, packed, P)
        send_rows(of_layer(words.first, layer, S) + S.down_words, share.rows, share.own, result, epoch, P, S)


@triton.jit
def _receive_out(words, layer, epoch, S: tl.constexpr):
    """What attention adds to the residual stream: the sum over all groups of heads."""
    at = tl.arange(0, S.width_padded // 4) * 4
    out = of_layer(words.copy, layer, S) + S.out_words
    parts = receive_sum(out, at, epoch, at < S.shape.width, S.shape.width, S.shape.kv_heads)
    return tl.reshape(parts, [S.width_padded])


@triton.jit
def _silu(x):
    return x / (1.0 + tl.exp(-x))


@triton.jit
def _as_loaded(x, anywhere, S: tl.constexpr):
    """x, plus a load of nothing: what follows takes a load's layout, four neighbours a thread."""
    at = tl.arange(0, x.shape[0])
    return x + tl.load(anywhere + at, mask=at < hidden_zero(S), other=0.0)
