"""The products with quantized weights, beside torch's in half precision: layer after layer, all cold."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from kernels.bench.models import MODELS, layers_for, matrices, sequences, unwritten, weights, with_layers
from kernels.bench.results import OURS, Bench, Result, relative_error
from kernels.bench.timing import in_turn
from kernels.formats.fragments import SMALL_BATCH, Fragments
from kernels.formats.llama import Shape
from kernels.formats.quantized import Quantized
from kernels.llama.reference import rotate
from kernels.llama.supported import unsupported_reason
from kernels.products import head, linear, qkv, small_batch

TORCH = "torch float16"

LIMIT = 2e-3
"""Relative error; rounding the input and the result to half precision makes about 3e-4 each."""

VERIFIED = 8


@dataclass(frozen=True)
class Product:
    """One kernel, run with a layer; all that it gives for the first, what that should be, and torch's way."""

    name: str
    weights: Quantized
    ours: Callable[[int], Tensor]
    given: Callable[[], Tensor]
    right: Callable[[], Tensor]
    rival: Callable[[Tensor], Tensor]  # of the layer's matrix in half precision
    bytes: int


def section(bench: Bench) -> Iterator[Result]:
    """Each product of a layer, for every number of rows, by the kernel that a pass of so many runs."""
    for model in bench.models:
        for m in sorted({*bench.rows, VERIFIED, *bench.prompts}):
            makes = [_qkv, _out, _gate_up, _down, *([_head] if m <= SMALL_BATCH else [])]
            for make in makes:
                yield _measure(model, m, make(MODELS[model], m, bench.device), bench.device)
                if bench.device.type == "cuda":
                    torch.cuda.empty_cache()


def _measure(model: str, m: int, product: Product, device: torch.device) -> Result:
    w = product.weights
    case: dict[str, int | str] = {"kernel": product.name, "model": model, "M": m}
    result = Result(case | {"K": w.columns, "N": w.rows}, LIMIT, product.bytes)

    def ours() -> tuple[float, float]:
        error = relative_error(product.given(), product.right())
        return error, in_turn([functools.partial(product.ours, i) for i in range(w.layers)], device)

    def rival() -> tuple[float, float]:
        layers = min(w.layers, layers_for(2 * w.rows * w.columns, device))
        plain = [w.dequantize(i).half() for i in range(layers)]
        error = relative_error(product.rival(plain[0]), product.right())
        return error, in_turn([functools.partial(product.rival, matrix) for matrix in plain], device)

    result.attempt(OURS, ours, device)
    result.attempt(TORCH, rival, device)
    return result


def _qkv(shape: Shape, m: int, device: torch.device) -> Product:
    """The norm, the product, the rotation, and keys and values put into the cache."""
    per_layer = matrices(1, shape.qkv_rows, shape.width, 4, device).layer_bytes
    shape = with_layers(shape, layers_for(per_layer, device))
    w = weights(shape, device, context=m + 1, only_qkv=True)
    there = sequences(shape, "f16", slots=1, context=0, new=m, device=device, room=0)
    x = torch.randn(m, shape.width, device=device)
    q = torch.full((m, shape.heads, shape.head_dim), torch.nan, dtype=torch.float16, device=device)
    cos, sin = w.cos[:m], w.sin[:m]
    fragments = _fragments(shape, x * w.attn_norm[0], x)

    def ours(layer: int) -> Tensor:
        if fragments is not None:
            return small_batch.qkv(fragments, w, layer, there.cache, there.rows, q=q)
        return qkv.qkv(x, w, layer, there.cache, there.rows, q=q)

    def given() -> Tensor:
        queries = ours(0).float()
        keys, values = (part.transpose(0, 1) for part in there.cache.gather(0, 0, m))
        return torch.cat([queries, keys, values], dim=1)

    def rotated(flat: Tensor) -> Tensor:
        heads = flat.float().view(m, -1, shape.head_dim)
        turned, values = heads.tensor_split([shape.heads + shape.kv_heads], dim=1)
        return torch.cat([rotate(turned, cos, sin), values], dim=1)

    def right() -> Tensor:
        return rotated(_normed(x, w.attn_norm[0], shape) @ w.qkv.dequantize(0).T)

    def rival(matrix: Tensor) -> Tensor:
        return rotated(F.linear(_normed(x, w.attn_norm[0], shape).half(), matrix))

    return Product("qkv", w.qkv, ours, given, right, rival, qkv.bytes_moved(w, there.cache, m))


def _out(shape: Shape, m: int, device: torch.device) -> Product:
    return _added("out", shape, shape.heads * shape.head_dim, m, device)


def _down(shape: Shape, m: int, device: torch.device) -> Product:
    return _added("down", shape, shape.hidden, m, device)


def _added(name: str, shape: Shape, columns: int, m: int, device: torch.device) -> Product:
    """A product added to the stream; of a small batch, with the stream's fragments for the next product."""
    w = _cold(shape.width, columns, device)
    x = torch.randn(m, columns, device=device).half()
    start = torch.randn(m, shape.width, device=device)
    residual, norm = start.clone(), 1 + 0.1 * torch.randn(shape.width, device=device)
    fragments = _fragments(shape, x.float(), x.float())
    out = None if fragments is None else unwritten(m, shape.width, device)

    def ours(layer: int) -> Tensor:
        if fragments is not None and out is not None:
            small_batch.add(fragments, w, layer, stream=residual, norm=norm, out=out)
        else:
            linear.linear(x, w, layer, residual=residual)
        return residual

    def given() -> Tensor:
        found = ours(0).clone()
        return found if out is None else (found + out.unpack() / norm) / 2  # both must be right

    def right() -> Tensor:
        return start + x.float() @ w.dequantize(0).T

    def rival(matrix: Tensor) -> Tensor:
        return start + F.linear(x, matrix)

    moved = linear.bytes_moved(w, m) if fragments is None else small_batch.bytes_moved(w, m)
    return Product(name, w, ours, given, right, rival, moved)


def _gate_up(shape: Shape, m: int, device: torch.device) -> Product:
    """The norm, both products, and the gate."""
    w = _cold(2 * shape.hidden, shape.width, device)
    x = torch.randn(m, shape.width, device=device)
    norm = 1 + 0.1 * torch.randn(shape.width, device=device)
    out = torch.full((m, shape.hidden), torch.nan, dtype=torch.float16, device=device)
    scratch = torch.empty(m, shape.width, dtype=torch.float16, device=device)
    fragments = _fragments(shape, x * norm, x)
    hidden = None if fragments is None else unwritten(m, shape.hidden, device)

    def ours(layer: int) -> Tensor:
        if fragments is not None and hidden is not None:
            small_batch.gate_up(fragments, w, layer, shape.norm_eps, out=hidden)
            return out
        return linear.norm_gate_up(x, norm, w, layer, shape.norm_eps, out=out, scratch=scratch)

    def given() -> Tensor:
        found = ours(0)
        return found if hidden is None else hidden.unpack() * linear.HIDDEN_SCALE

    def gated(both: Tensor) -> Tensor:
        gate, up = both.chunk(2, dim=1)
        return F.silu(gate) * up * linear.HIDDEN_SCALE

    def right() -> Tensor:
        return gated(_normed(x, norm, shape) @ w.dequantize(0).T)

    def rival(matrix: Tensor) -> Tensor:
        return gated(F.linear(_normed(x, norm, shape).half(), matrix))

    moved = (linear if fragments is None else small_batch).bytes_moved(w, m, gated=True)
    return Product("gate_up", w, ours, given, right, rival, moved)


def _head(shape: Shape, m: int, device: torch.device) -> Product:
    """The norm and the product with the vocabulary."""
    w = _cold(shape.vocabulary, shape.width, device, bits=8)
    each = [Quantized(w.codes[i : i + 1], w.scales[i : i + 1]) for i in range(w.layers)]
    x = torch.randn(m, shape.width, device=device)
    norm = 1 + 0.1 * torch.randn(shape.width, device=device)
    out = torch.full((m, shape.vocabulary), torch.nan, device=device)
    scratch = torch.empty(m, shape.width, dtype=torch.float16, device=device)
    fragments = _fragments(shape, x * norm, x)
    if fragments is not None:
        _ = [one.pairs for one in each]  # made now, as no capture can

    def ours(layer: int) -> Tensor:
        if fragments is not None:
            return small_batch.head(fragments, each[layer], shape.norm_eps, out=out)
        return head.head(x, norm, each[layer], shape.norm_eps, out=out, scratch=scratch)

    def right() -> Tensor:
        return _normed(x, norm, shape) @ w.dequantize(0).T

    def rival(matrix: Tensor) -> Tensor:
        return F.linear(_normed(x, norm, shape).half(), matrix)

    return Product("head", w, ours, lambda: ours(0), right, rival, head.bytes_moved(each[0], m))


def _fragments(shape: Shape, x: Tensor, stream: Tensor) -> Fragments | None:
    """Rows as a small batch is given to a product; None where a pass has them otherwise."""
    if len(x) > SMALL_BATCH or unsupported_reason(shape, x.device) is not None:
        return None
    return unwritten(len(x), x.shape[1], x.device).fill(x, stream)


def _cold(rows: int, columns: int, device: torch.device, *, bits: int = 4) -> Quantized:
    one = matrices(1, rows, columns, bits, device)
    return matrices(layers_for(one.layer_bytes, device), rows, columns, bits, device)


def _normed(x: Tensor, norm: Tensor, shape: Shape) -> Tensor:
    return F.rms_norm(x, norm.shape, norm, shape.norm_eps)
