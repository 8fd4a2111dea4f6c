"""Whole decoding steps of a llama in one kernel whose programs all stay resident; see `llama_persistent.py`.

A layer is four phases: q, k and v; attention with the out product; gate and up; down. In each a program
waits for words of all others (`words_triton.py`), computes some rows, and sends them on. It keeps the whole
residual stream in its registers. Weights are asked for before a phase waits, and brought to the L2 cache a
layer before.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, its constants capitals)

import triton
import triton.language as tl

from kernels.persistent_ahead_triton import fetch_ahead
from kernels.persistent_attention_triton import attention, find_place, first_keys
from kernels.persistent_head_triton import choose, head
from kernels.persistent_phase_triton import Words
from kernels.persistent_products_triton import down, gate_up, qkv
from kernels.words_triton import LAST_TAG


@triton.jit(do_not_specialize=["steps"])
def decode(weights, cache, state, words, tokens, logits, seen, penalty, steps, S: tl.constexpr):
    """Decode `steps` tokens of one sequence, greedily; see `PersistentDecoder.run`.

    `state` holds the next token, its position, the tag of the next layer's words, and the slot.
    """
    pid = tl.program_id(0)
    words = Words(words, words + (pid % S.copies) * S.copy_words)
    token = tl.load(state)
    position = tl.load(state + 1)
    base = tl.load(state + 2)
    table = cache.table + tl.load(state + 3) * S.slot_pages

    for step in range(steps):
        first_epoch = base + step * (S.shape.layers + 1)
        x = _embed(weights.embedding, tl.maximum(token, 0), S)
        place = find_place(position, table, weights, S)
        for layer in range(S.shape.layers):
            epoch = first_epoch + layer
            # Keys and values are on their way while q, k and v are worked out.
            keys, values = first_keys(cache, place, layer, pid % S.shape.kv_heads, S)
            x = qkv(x, weights, layer, words, epoch, S)
            fetch_ahead(weights, cache, place, layer, S)
            attention(keys, values, weights, cache, place, layer, words, epoch, S)
            x = gate_up(x, weights, layer, words, epoch, S)
            down(weights, layer, words, epoch, S)
        epoch = first_epoch + S.shape.layers
        to = logits + step * S.shape.vocabulary if logits is not None else None
        top, choice = head(x, weights, words, epoch, to, seen, penalty, S)
        top, choice = choose(top, choice, words, epoch, S)
        token = tl.where((top < float("inf")) & (token >= 0), choice, -1)
        position += 1
        if seen is not None:
            _mark(seen, token, S)
        if pid == 0:
            tl.store(tokens + step, token)
    if pid == 0:
        tl.store(state, token)
        tl.store(state + 1, position)
        tl.store(state + 2, (base + steps * (S.shape.layers + 1)) & LAST_TAG)


@triton.jit
def _mark(seen, token, S: tl.constexpr):
    """Mark a token as seen. The program that works out its logit does, and so sees it in the next step."""
    first = tl.program_id(0) * S.head.share
    if (token >= first) & (token < first + S.head.share):
        tl.store(seen + token, 1)
        tl.debug_barrier()


@triton.jit
def _embed(matrix, token, S: tl.constexpr):
    """A row of the embedding, float32 [width_padded]."""
    BITS: tl.constexpr = S.embedding_bits
    channel = tl.arange(0, S.width_padded)
    live = channel < S.shape.width
    block = token.to(tl.int64) * (S.shape.width // 32) + channel // 32
    scale = tl.load(matrix.scales + block, mask=live, other=0.0).to(tl.float32)
    if BITS == 8:
        word = tl.load(matrix.codes + block * 8 + channel % 32 // 4, mask=live, other=0)
        return ((((word >> (channel % 4 * 8)) & 255) ^ 128) - 128).to(tl.float32) * scale
    word = tl.load(matrix.codes + block * 4 + channel % 16 // 4, mask=live, other=0)
    code = (word >> (channel % 4 * 8 + channel % 32 // 16 * 4)) & 15
    if matrix.minima is None:
        least = scale * -8.0
    else:
        least = tl.load(matrix.minima + block, mask=live, other=0.0).to(tl.float32)
    return code.to(tl.float32) * scale + least
