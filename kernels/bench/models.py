"""Models of the bench: shapes of real ones, random weights of them, and caches as they lie in use."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kernels.formats.fragments import Fragments, empty_fragments
from kernels.formats.llama import PAGE, PagedCache, Rows, Shape, Weights, empty_cache
from kernels.formats.quantized import BLOCK, Quantized

MODELS = {
    "tiny": Shape(2, 64, 4, 2, 32, 96, 160),  # for machines without a GPU, and tests
    "135m": Shape(30, 576, 9, 3, 64, 1536, 49152),  # SmolLM2-135M
    "1.7b": Shape(24, 2048, 32, 32, 64, 8192, 49152),  # SmolLM2-1.7B
    "8b": Shape(32, 4096, 32, 8, 128, 14336, 128256),  # Llama 3.1 8B
}

BASE = 10000.0
"""Base of the rotary angles; for the time it is all the same."""

COLD_BYTES = 128 << 20
"""More than an H100's 50 MB of cache holds: what is read once in so many bytes comes from memory."""

MOST_LAYERS = 512


KEYS_REACH, VALUES_REACH = 5.3, 4.6
"""How many standard deviations int8 reaches: what `llm.serve.calibrate` makes of 324 tokens, as many as
its text has, of normal numbers: 1.5 times the longest pair of a key's channels and the largest of a
value's."""


@dataclass(frozen=True)
class Sequences:
    """A cache whose first `context` tokens are there, in `slots` sequences, and the rows that follow them."""

    cache: PagedCache
    rows: Rows


def layers_for(layer_bytes: int, device: torch.device) -> int:
    """How many different layers to go through so that each is cold in the cache of the GPU again."""
    if device.type != "cuda":
        return 2
    return max(2, min(-(-COLD_BYTES // layer_bytes), MOST_LAYERS))


def matrices(layers: int, rows: int, columns: int, bits: int, device: torch.device) -> Quantized:
    """Random ones, with weights of about columns ** -0.5: a product is about as large as its input."""
    size = (layers, rows, columns // BLOCK)
    spread = 0.5 + torch.rand(size, device=device)  # of one block among the others
    if bits == 8:
        codes = torch.randint(-127, 128, (layers, rows, columns), dtype=torch.int8, device=device)
        return Quantized(codes, (spread * columns**-0.5 / 73).half())
    codes = torch.randint(0, 256, (layers, rows, columns // 2), dtype=torch.uint8, device=device)
    scales = (spread * columns**-0.5 / 4.6).half()
    return Quantized(codes, scales, (-7.5 * scales).half())


def weights(shape: Shape, device: torch.device, *, context: int, only_qkv: bool = False) -> Weights:
    """Layers in 4 bits with minima, as in Q4_1, and a head in 8, which is the embedding too.

    With `only_qkv` the other matrices are of one layer of one block, to save memory.
    """
    torch.manual_seed(0)
    layers, width, hidden, heads = shape.layers, shape.width, shape.hidden, shape.heads * shape.head_dim
    block = (1, 1, BLOCK) if only_qkv else None
    head = matrices(1, 1 if only_qkv else shape.vocabulary, width, 8, device)
    frequencies = BASE ** (-torch.arange(0, shape.head_dim, 2, device=device) / shape.head_dim)
    angles = torch.arange(context, device=device)[:, None] * frequencies
    return Weights(
        shape=shape,
        embedding=head,
        attn_norm=_norm(layers, width, device=device),
        qkv=matrices(layers, shape.qkv_rows, width, 4, device),
        out=matrices(*(block or (layers, width, heads)), 4, device),
        ffn_norm=_norm(layers, width, device=device),
        gate_up=matrices(*(block or (layers, 2 * hidden, width)), 4, device),
        down=matrices(*(block or (layers, width, hidden)), 4, device),
        output_norm=_norm(width, device=device),
        head=head,
        cos=angles.cos(),
        sin=angles.sin(),
    )


def sequences(
    shape: Shape, kind: str, *, slots: int, context: int, new: int, device: torch.device, room: int = 64
) -> Sequences:
    """`slots` sequences of `context` random keys and values, and `new` rows behind each, f16 or int8.

    The pages of a sequence lie anywhere, as after long use.
    """
    torch.manual_seed(context + slots)
    pages = -(-(context + new + room) // PAGE)
    reach = torch.tensor([KEYS_REACH, VALUES_REACH], device=device)  # in 127 steps
    spread = 0.9 + 0.2 * torch.rand(shape.layers, 2, shape.kv_heads, shape.head_dim, device=device)
    scales = spread * reach[:, None, None] / 127
    cache = empty_cache(
        shape,
        slots=slots,
        context=pages * PAGE,
        pages=pages * slots,
        device=device,
        scales=scales if kind == "int8" else None,
    )
    for part, steps in ((cache.keys, 127 / KEYS_REACH), (cache.values, 127 / VALUES_REACH)):
        for layer in part:  # one after the other: in float32 all of them would fill the memory
            random = torch.randn(layer.shape, device=device)
            layer.copy_((random * steps).round().clamp(-127, 127) if kind == "int8" else random)
    cache.table.copy_(torch.randperm(pages * slots, device=device).view(slots, pages))
    slot = torch.arange(slots, dtype=torch.int32, device=device).repeat_interleave(new)
    positions = torch.arange(context, context + new, dtype=torch.int32, device=device).repeat(slots)
    tokens = torch.randint(shape.vocabulary, (slots * new,), dtype=torch.int32, device=device)
    return Sequences(cache, Rows(tokens, slot, positions))


def unwritten(rows: int, columns: int, device: torch.device) -> Fragments:
    """Room for rows in fragment layout, NaN until they are written."""
    return empty_fragments(rows, columns, device).fill(torch.full((rows, columns), torch.nan, device=device))


def with_layers(shape: Shape, layers: int) -> Shape:
    """The same model, with more or fewer layers."""
    return replace(shape, layers=layers)


def _norm(*size: int, device: torch.device) -> Tensor:
    return 1 + 0.1 * torch.randn(size, device=device)
