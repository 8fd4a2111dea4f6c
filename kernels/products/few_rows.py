"""The products of a layer for few rows: packed activations in, packed activations out; and the head.

The kernel that makes a row of activations packs it for the next product (`packed.py`) and leaves it to that
one to divide by the root mean square, as RMSNorm does: so no kernel but the first reads a whole row before it
multiplies. A row's result is the same to the bit whatever rows are beside it.

On a GPU from compute capability 9 on, a kernel starts while the one before it still runs, and asks for its
weights at once. So weights, the table of pages, slots, positions and the stream that `add` adds to must not
be what the kernel just before has written; nothing else is read before that has ended.
"""

import functools

import torch
from torch import Tensor

from kernels.attention import few as few_attention
from kernels.attention.few import HEADS, MOST_SHARED
from kernels.attention.paged import check_tensor, make_scratch, reference
from kernels.formats.llama import PagedCache, Rows, Shape, Weights, empty_cache
from kernels.formats.packed import FEW, GROUP, Packed, check_packed, empty_packed
from kernels.formats.quantized import BLOCK, Quantized, quantize
from kernels.products.head import keep_best
from kernels.products.qkv import check, finish
from kernels.sampling.choose import Choice, check_choice

try:
    from kernels.attention import local_triton as local_attention_triton
    from kernels.products import few_qkv_triton, few_rows_triton
except ImportError:  # triton is optional: without it everything runs in torch
    few_rows_triton = None  # type: ignore[assignment]


_CLOSE = 2e-3
"""Relative error of what is tried: float16 makes 4e-4 of it, a column in the wrong place 0.1 and more."""


def why_not(shape: Shape, device: torch.device) -> str | None:
    """Why a model cannot run by these kernels there; None if it can. On a GPU they are tried once."""
    if shape.head_dim not in HEADS:
        return f"heads of {shape.head_dim}: must be of {', '.join(map(str, HEADS))}"
    if shape.group > MOST_SHARED:
        return f"{shape.group} query heads share a head of keys: must be {MOST_SHARED} or fewer"
    if shape.width % BLOCK or shape.hidden % BLOCK:
        return f"width {shape.width}, hidden {shape.hidden}: must be whole blocks of {BLOCK}"
    return _wrong(device) if device.type == "cuda" and _runs(device) else None


@functools.cache
def _wrong(device: torch.device) -> str | None:
    """What the kernels get wrong on a GPU, of a product and of attention; None if nothing.

    Which thread has which part of a tile is up to Triton: see `packed_triton.py`. With another version the
    kernels may be wrong, not just slow.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(device)

    w, x, stream, norm = quantize(normal(1, 64, 160), 4), normal(9, 160), normal(9, 64), normal(64)
    out = empty_packed(9, 64, device)
    right = stream + x @ w.dequantize(0).T
    given = empty_packed(9, 160, device).fill(x)
    torch.cuda.synchronize(device)  # what a kernel reads before it waits must be there
    add(given, w, 0, stream=stream, norm=norm, out=out)
    off = [
        (stream - right).norm() / right.norm(),
        (out.unpack() - right * norm).norm() / (right * norm).norm(),
    ]
    shape = Shape(1, 64, 3, 1, 64, 64, 64)
    cache = empty_cache(shape, slots=1, context=64, pages=2, device=device)
    for part in (cache.keys, cache.values):
        part.copy_(normal(*part.shape))
    cache.table.copy_(torch.tensor([[1, 0]]))
    slots, positions = (torch.tensor([n], dtype=torch.int32, device=device) for n in (0, 50))
    rows, q, attended = Rows(slots, slots, positions), normal(1, 3, 64).half(), empty_packed(1, 192, device)
    scratch = make_scratch(shape, 1, 64, device)
    torch.cuda.synchronize(device)
    few_attention.few_attention(q, cache, 0, rows, out=attended, splits=1, scratch=scratch)
    expected = reference(q, cache, 0, rows).float()
    off.append((attended.unpack() - expected).norm() / expected.norm())
    wrong = [f"{error:.2g}" for error in off if not error < _CLOSE]
    return f"wrong with this version of Triton, by {', '.join(wrong)}" if wrong else None


def prepare(weights: Weights) -> None:
    """Make what the kernels read beside a file's weights, so that no capture of a graph has to."""
    for w in (weights.qkv, weights.out, weights.gate_up, weights.down, weights.head):
        if _runs(w.codes.device):
            _ = w.pairs


def bytes_moved(w: Quantized, rows: int, *, gated: bool = False) -> int:
    """The fewest bytes it can move: the matrix, records in and out; of `add`, the stream there and back."""
    read, squares = 2 * w.columns, 4 * w.columns // GROUP
    made = w.rows // 2 * 2 + squares if gated else w.rows * (8 + 2) + 4 * w.rows // GROUP
    return w.layer_bytes + rows * (read + made)


def qkv(x: Packed, weights: Weights, layer: int, cache: PagedCache, rows: Rows, *, q: Tensor) -> Tensor:
    """As `qkv.qkv`, of a stream packed with this layer's attn_norm; into `q`, which it gives.

    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and torch elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    device = _check(x, weights.qkv, layer)
    check(x.rows, device, weights, layer, cache, rows, q)
    if _runs(device):
        few_qkv_triton.launch(q, x, weights, layer, cache, rows)
        return q
    return q.copy_(
        finish(_normed(x, weights.qkv, layer, weights.shape.norm_eps), weights, layer, cache, rows)
    )


def add(x: Packed, w: Quantized, layer: int, *, stream: Tensor, norm: Tensor, out: Packed) -> Packed:
    """stream += x W^T, float32 [M, N], and stream * norm, float32 [N], packed into `out`; gives `out`.

    Runs and raises as `qkv`.
    """
    device = _check(x, w, layer, squares=False)
    check_tensor("stream", stream, torch.float32, (x.rows, w.rows), device)
    check_tensor("norm", norm, torch.float32, (w.rows,), device)
    check_packed("out", out, x.rows, w.rows, device, squares=True)
    if _runs(device):
        few_rows_triton.launch_add(stream, out, x, norm, w, layer)
        return out
    stream += x.unpack() @ w.dequantize(layer).T
    return out.fill(stream * norm, stream)


def gate_up(x: Packed, w: Quantized, layer: int, eps: float, *, out: Packed) -> Packed:
    """silu(gate) * up of a stream packed with its norm, packed into `out` [M, N / 2]; gives `out`.

    `w` has the rows of gate, then of up. Runs and raises as `qkv`.
    """
    device = _check(x, w, layer)
    if w.rows % (2 * BLOCK):
        raise ValueError(f"{w.rows} rows: must be whole blocks of {BLOCK} of gate and as many of up")
    check_packed("out", out, x.rows, w.rows // 2, device)
    if _runs(device):
        few_rows_triton.launch_gate_up(out, x, w, layer, eps)
        return out
    gate, up = _normed(x, w, layer, eps).chunk(2, 1)
    hidden = torch.nn.functional.silu(gate) * up
    return out.fill(hidden)


def head(
    x: Packed,
    w: Quantized,
    eps: float,
    *,
    out: Tensor,
    wanted: Tensor | None = None,
    choice: Choice | None = None,
) -> Tensor:
    """As `head.head`, of a stream packed with the output norm; into `out`, which it gives.

    Runs and raises as `qkv`.
    """
    device = _check(x, w, 0)
    n = x.rows if wanted is None else len(wanted)
    if wanted is not None:
        check_tensor("wanted", wanted, torch.int32, (n,), device)
    check_tensor("out", out, torch.float32, (n, w.rows), device)
    if choice is not None:
        check_choice(choice, out)
    if _runs(device):
        few_rows_triton.launch_head(out, x, w, eps, wanted, choice)
        return out
    logits = _normed(x, w, 0, eps)
    out.copy_(logits if wanted is None else logits[wanted.long()])
    if choice is not None:
        keep_best(out, choice)
    return out


def _normed(x: Packed, w: Quantized, layer: int, eps: float) -> Tensor:
    """The product, and what RMSNorm divides by."""
    return x.unpack() @ w.dequantize(layer).T * (x.mean_square() + eps).rsqrt()[:, None]


def _runs(device: torch.device) -> bool:
    return few_rows_triton is not None and local_attention_triton.why_not(device, torch.float16) is None


def _check(x: Packed, w: Quantized, layer: int, *, squares: bool = True) -> torch.device:
    device = w.codes.device
    if not 1 <= x.rows <= FEW:
        raise ValueError(f"{x.rows} rows: must be 1 to {FEW}")
    if not 0 <= layer < w.layers:
        raise ValueError(f"layer {layer}: there are {w.layers}")
    check_packed("x", x, x.rows, w.columns, device, squares=squares)
    return device
