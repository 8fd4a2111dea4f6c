"""One pass of a model over rows of tokens, launch by launch; no size and no pointer depends on the rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.attention import few as few_attention
from kernels.attention.paged import Scratch, make_scratch, paged_attention, split_count
from kernels.attention.prompt import prompt_attention
from kernels.formats.llama import PAGE, PagedCache, Rows, Weights
from kernels.formats.packed import FEW, Packed, empty_packed
from kernels.products import few_rows
from kernels.products.embed import embed
from kernels.products.head import head
from kernels.products.linear import HIDDEN_SCALE, linear, norm_gate_up
from kernels.products.qkv import qkv
from kernels.sampling.choose import Choice


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
    scratch: Scratch
    context: int  # positions that a sequence may have
    packed: (
        tuple[Packed, Packed, Packed] | None
    )  # stream, attended and hidden of few rows; None: see few_rows


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

    columns = (s.width, s.heads * s.head_dim, s.hidden)
    # Only a stream is divided by its size.
    stream, attended, hidden = (
        empty_packed(min(rows, FEW), n, device, squares=i == 0) for i, n in enumerate(columns)
    )
    packs = few_rows.why_not(s, device) is None
    if packs:
        few_rows.prepare(weights)
    return Buffers(
        x=floats(rows, s.width),
        normed=halves(rows, s.width),
        q=halves(rows, s.heads, s.head_dim),
        attended=halves(rows, s.heads * s.head_dim),
        hidden=halves(rows, s.hidden),
        logits=floats(wanted, s.vocabulary),
        scratch=make_scratch(
            s,
            decoded,
            context,
            device,
            few=(min(decoded, FEW), few_attention.split_count(s.head_dim, context)),
        ),
        context=context,
        packed=(stream, attended, hidden) if packs else None,
    )


def run_pass(
    weights: Weights,
    cache: PagedCache,
    inputs: Inputs,
    b: Buffers,
    *,
    prompt: bool,
    every: bool,
    near: bool = False,
    choice: Choice | None = None,
) -> None:
    """Read the rows into the cache, and leave the logits of the wanted ones in b.logits[:n].

    A `prompt`'s rows are of one sequence and follow each other. With `every`, row i is wanted row i; `near`
    says that no row has more than `few_attention.near` keys. Of few rows, a `choice` gets the largest logits
    of each tile.
    """
    rows, m, n = inputs.rows, len(inputs.rows.tokens), len(inputs.wanted)
    if b.packed is not None and m <= FEW and not prompt:
        _run_few(weights, cache, inputs, b, b.packed, choice, every=every, near=near)
        return
    x, q, attended, hidden = b.x[:m], b.q[:m], b.attended[:m], b.hidden[:m]
    splits = split_count(m, weights.shape.kv_heads, b.context)
    embed(rows.tokens, weights.embedding, out=x)
    for layer in range(weights.shape.layers):
        qkv(x, weights, layer, cache, rows, q=q)
        if prompt:
            slot, start, count = inputs.prompt
            prompt_attention(q, cache, layer, slot, start, out=attended, count=count)
        else:
            paged_attention(q, cache, layer, rows, out=attended, splits=splits, scratch=b.scratch)
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


def _run_few(
    weights: Weights,
    cache: PagedCache,
    inputs: Inputs,
    b: Buffers,
    packed: tuple[Packed, Packed, Packed],
    choice: Choice | None,
    *,
    every: bool,
    near: bool,
) -> None:
    """The same for few rows, whose activations are packed by the kernel that makes them."""
    s, rows, m, n = weights.shape, inputs.rows, len(inputs.rows.tokens), len(inputs.wanted)
    stream, attended, hidden = (x.first(m) for x in packed)
    x, q = b.x[:m], b.q[:m]
    splits = 1 if near else few_attention.split_count(s.head_dim, b.context)
    norms = [*weights.attn_norm.unbind(), weights.output_norm]
    embed(rows.tokens, weights.embedding, out=x, norm=norms[0], packed=stream)
    for layer in range(s.layers):
        few_rows.qkv(stream, weights, layer, cache, rows, q=q)
        few_attention.few_attention(q, cache, layer, rows, out=attended, splits=splits, scratch=b.scratch)
        few_rows.add(attended, weights.out, layer, stream=x, norm=weights.ffn_norm[layer], out=stream)
        few_rows.gate_up(stream, weights.gate_up, layer, s.norm_eps, out=hidden)
        few_rows.add(hidden, weights.down, layer, stream=x, norm=norms[layer + 1], out=stream)
    if n:
        wanted = None if every else inputs.wanted
        few_rows.head(stream, weights.head, s.norm_eps, out=b.logits[:n], wanted=wanted, choice=choice)
