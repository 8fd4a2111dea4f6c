"""The Triton kernel of `paged.py`: a program per tile of queries, head of keys and sequence."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import math

import triton
import triton.language as tl
from torch import Tensor

from kernels.attention.online_softmax_triton import average, nothing_seen, see
from kernels.device import on_device, processors
from kernels.formats.llama import PAGE, PagedCache


@triton.jit(do_not_specialize=["tokens", "table_width"])
def _attend(
    out,
    q,
    keys,
    values,
    scales,
    table,
    slot,
    start,
    count,
    tokens,
    table_width,
    log2_scale,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    D_PADDED: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """BLOCK_M queries of the GROUP heads that share keys: token by token, the heads of one side by side.

    So any group fills its tiles, and a tile reads its keys once for all of its heads. Each sequence has
    `tokens` rows of q, a slot and a start of its own; one that starts at -1, with one token, is padding.
    """
    head, sequence = tl.program_id(1), tl.program_id(2)
    # The last tokens see the most keys: they start first, so that the short ones fill the gaps at the end.
    first = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK_M
    lanes, dims, columns = tl.arange(0, BLOCK_M), tl.arange(0, D_PADDED), tl.arange(0, BLOCK_N)
    token = (first + lanes) // GROUP
    real = tokens if count is None else tl.minimum(tl.load(count), tokens)
    begin = tl.load(start + sequence)
    last_seen = tl.where(token < real, begin + token, -1)  # by each query; padding sees nothing
    end = begin + tl.minimum((first + BLOCK_M - 1) // GROUP + 1, real)
    end = tl.where(first // GROUP < real, end, 0)

    row = sequence * tokens + token
    own = (row * (KV_HEADS * GROUP) + head * GROUP + (first + lanes) % GROUP)[:, None] * D + dims[None, :]
    inside = (token < tokens)[:, None] & (dims < D)[None, :]
    queries = tl.load(q + own, mask=inside, other=0.0)
    if scales is not None:
        key_scales = tl.load(scales + head * D + dims, mask=dims < D, other=0.0)
        queries = (queries.to(tl.float32) * key_scales[None, :]).to(tl.float16)

    pages = table + tl.load(slot + sequence).to(tl.int64) * table_width
    peak, total, sums = nothing_seen(BLOCK_M, D_PADDED)
    for step in range(0, tl.cdiv(end, BLOCK_N)):
        key = step * BLOCK_N + columns
        page = tl.load(pages + key // PAGE, mask=key < end, other=0).to(tl.int64)
        at = (((page * KV_HEADS + head) * PAGE + key % PAGE) * D)[:, None] + dims[None, :]
        known = (key < end)[:, None] & (dims < D)[None, :]
        k = tl.load(keys + at, mask=known, other=0).to(tl.float16)
        v = tl.load(values + at, mask=known, other=0).to(tl.float16)
        seen = key[None, :] <= last_seen[:, None]
        scores = tl.where(seen, tl.dot(queries, k.T) * log2_scale, float("-inf"))
        peak, total, sums = see(peak, total, sums, scores, v)

    result = average(total, sums)
    if scales is not None:
        value_scales = tl.load(scales + (KV_HEADS + head) * D + dims, mask=dims < D, other=0.0)
        result = result * value_scales[None, :]
    tl.store(out + own, result.to(tl.float16), mask=inside)


def launch(
    out: Tensor,
    q: Tensor,
    cache: PagedCache,
    layer: int,
    slots: Tensor,
    starts: Tensor,
    count: Tensor | None,
    tile: tuple[int, int, int, int] | None = None,
) -> None:
    """Write the attention of `q` into `out`; all are as `paged_attention` has checked them.

    `tile` is queries a program, keys a step, warps and pipeline stages; by default what `choose_tile` says.
    """
    _, heads, d = q.shape
    sequences, kv_heads = len(slots), cache.keys.shape[2]
    tokens, group = len(q) // sequences, heads // kv_heads
    block_m, block_n, warps, stages = tile or choose_tile(tokens, heads, group, d, processors(q.device))
    with on_device(q):
        _attend[triton.cdiv(tokens * group, block_m), kv_heads, sequences](
            out,
            q,
            cache.keys[layer],
            cache.values[layer],
            None if cache.scales is None else cache.scales[layer],
            cache.table,
            slots,
            starts,
            count,
            tokens,
            cache.table.shape[1],
            d**-0.5 * math.log2(math.e),
            KV_HEADS=kv_heads,
            GROUP=group,
            D=d,
            D_PADDED=max(16, triton.next_power_of_2(d)),
            PAGE=PAGE,
            BLOCK_M=block_m,
            BLOCK_N=block_n,
            num_warps=warps,
            num_stages=stages,
        )


def choose_tile(tokens: int, heads: int, group: int, d: int, processors: int) -> tuple[int, int, int, int]:
    """128 queries a program where that leaves two for each processor, else 64: what `wgmma` multiplies.

    Of a single token as many as share keys. Five stages: two tiles of keys ahead, and their pages two
    further. With 4 warps a head of 256 spills.
    """
    if tokens == 1:
        block_m = max(16, triton.next_power_of_2(group))
        return (block_m, 32, 8, 5) if d > 128 else (block_m, 64, 4, 5)
    if d > 128:
        return 64, 32, 8, 5
    return (128, 64, 8, 5) if tokens * heads >= 2 * 128 * processors else (64, 64, 4, 5)
