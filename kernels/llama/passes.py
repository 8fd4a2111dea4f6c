"""One pass of a model over rows of tokens, launch by launch; no size and no pointer depends on the rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.attention.paged import paged_attention
from kernels.attention.small_batch import Scratch, make_scratch, small_batch_attention, split_count
from kernels.formats.fragments import SMALL_BATCH, Fragments, empty_fragments
from kernels.formats.llama import PAGE, PagedCache, Rows, Weights
from kernels.llama.supported import prepare, unsupported_reason
from kernels.products import small_batch
from kernels.products.embed import embed
from kernels.products.head import head
from kernels.products.linear import HIDDEN_SCALE, linear, norm_gate_up
from kernels.products.qkv import qkv
from kernels.sampling.state import SamplingState


@dataclass(frozen=True)
class Inputs:
    """What a pass reads, on its device: all of them views of one buffer, filled by one copy."""

    rows: Rows
    wanted: Tensor  # int32 [n]: rows whose logits are wanted
    prompt: tuple[Tensor, ...]  # int32 [1] each: slot, first position, tokens; of a prompt only


@dataclass(frozen=True)
class Buffers:
    """What kernels leave for the next, of `rows` rows at most."""

    x: Tensor  # float32 [rows, width]: the residual stream
    normed: Tensor  # float16 [rows, width]
    q: Tensor  # float16 [rows, heads, head_dim]
    attended: Tensor  # float16 [rows, heads * head_dim]
    hidden: Tensor  # float16 [rows, hidden]
    logits: Tensor  # float32 [wanted, vocabulary]
    context: int  # positions that a sequence may have
    small: "SmallBatch | None"  # None: the model's layout is not one for small batches


@dataclass(frozen=True)
class SmallBatch:
    """What the kernels of a small batch leave for one another."""

    stream: Fragments  # [rows, width], with squares: only a stream is divided by its size
    attended: Fragments  # [rows, heads * head_dim]
    hidden: Fragments  # [rows, hidden]
    splits: int  # of the keys of a row that has more than `single_split_keys`
    scratch: Scratch


def make_buffers(
    weights: Weights, cache: PagedCache, *, rows: int, decoded: int, wanted: int, device: torch.device
) -> Buffers:
    """Buffers for prompts of up to `rows` rows and up to `decoded` rows of any sequences."""
    s = weights.shape
    context = min(cache.table.shape[1] * PAGE, len(weights.cos))

    def halves(*size: int) -> Tensor:
        return torch.empty(size, dtype=torch.float16, device=device)

    def floats(*size: int) -> Tensor:
        return torch.empty(size, device=device)

    return Buffers(
        x=floats(rows, s.width),
        normed=halves(rows, s.width),
        q=halves(rows, s.heads, s.head_dim),
        attended=halves(rows, s.heads * s.head_dim),
        hidden=halves(rows, s.hidden),
        logits=floats(wanted, s.vocabulary),
        context=context,
        small=_make_small(weights, min(decoded, SMALL_BATCH), context, device),
    )


def _make_small(weights: Weights, rows: int, context: int, device: torch.device) -> SmallBatch | None:
    s = weights.shape
    if unsupported_reason(s, device) is not None:
        return None
    prepare(weights)
    splits = split_count(s.head_dim, context)
    return SmallBatch(
        stream=empty_fragments(rows, s.width, device),
        attended=empty_fragments(rows, s.heads * s.head_dim, device, squares=False),
        hidden=empty_fragments(rows, s.hidden, device, squares=False),
        splits=splits,
        scratch=make_scratch(s, rows, splits, device),
    )


def run_pass(
    weights: Weights,
    cache: PagedCache,
    inputs: Inputs,
    b: Buffers,
    *,
    prompt: bool,
    every: bool,
    single_split: bool = False,
    sampling: SamplingState | None = None,
) -> None:
    """Read the rows into the cache, and leave the logits of the wanted ones in b.logits[:n].

    A `prompt`'s rows are of one sequence and follow each other. With `every`, row i is wanted row i;
    `single_split` says that no row has more than `single_split_keys` keys. Of a small batch, `sampling` gets
    the largest logits of each tile.
    """
    rows, m, n = inputs.rows, len(inputs.rows.tokens), len(inputs.wanted)
    if b.small is not None and m <= SMALL_BATCH and not prompt:
        splits = 1 if single_split else b.small.splits
        _run_small(weights, cache, inputs, b, b.small, splits, sampling, every=every)
        return
    x, q, attended, hidden = b.x[:m], b.q[:m], b.attended[:m], b.hidden[:m]
    slots, starts, count = inputs.prompt if prompt else (rows.slots, rows.positions, None)
    embed(rows.tokens, weights.embedding, out=x)
    for layer in range(weights.shape.layers):
        qkv(x, weights, layer, cache, rows, q=q)
        paged_attention(q, cache, layer, slots, starts, out=attended, count=count)
        linear(attended, weights.out, layer, residual=x)
        norm = weights.ffn_norm[layer]
        norm_gate_up(
            x, norm, weights.gate_up, layer, weights.shape.norm_eps, out=hidden, scratch=b.normed[:m]
        )
        linear(hidden, weights.down, layer, residual=x, scale=1 / HIDDEN_SCALE)
    if n:
        wanted = None if every else inputs.wanted
        eps, normed = weights.shape.norm_eps, b.normed[:m]
        head(x, weights.output_norm, weights.head, eps, out=b.logits[:n], wanted=wanted, scratch=normed)


def _run_small(
    weights: Weights,
    cache: PagedCache,
    inputs: Inputs,
    b: Buffers,
    small: SmallBatch,
    splits: int,
    sampling: SamplingState | None,
    *,
    every: bool,
) -> None:
    """The same for a small batch, whose activations each kernel leaves in the next one's fragment layout."""
    s, rows, m, n = weights.shape, inputs.rows, len(inputs.rows.tokens), len(inputs.wanted)
    stream, attended, hidden = (x.first(m) for x in (small.stream, small.attended, small.hidden))
    x, q, scratch = b.x[:m], b.q[:m], small.scratch
    norms = [*weights.attn_norm.unbind(), weights.output_norm]
    embed(rows.tokens, weights.embedding, out=x, norm=norms[0], fragments=stream)
    for layer in range(s.layers):
        small_batch.qkv(stream, weights, layer, cache, rows, q=q)
        small_batch_attention(q, cache, layer, rows, out=attended, splits=splits, scratch=scratch)
        small_batch.add(attended, weights.out, layer, stream=x, norm=weights.ffn_norm[layer], out=stream)
        small_batch.gate_up(stream, weights.gate_up, layer, s.norm_eps, out=hidden)
        small_batch.add(hidden, weights.down, layer, stream=x, norm=norms[layer + 1], out=stream)
    if n:
        wanted = None if every else inputs.wanted
        small_batch.head(stream, weights.head, s.norm_eps, out=b.logits[:n], wanted=wanted, sampling=sampling)
