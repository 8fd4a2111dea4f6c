"""The head in the persistent llama kernel: logits of a program's tokens, and the choice of all programs."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, its constants capitals)

import triton
import triton.language as tl

from kernels.persistent_dot_triton import dot
from kernels.persistent_phase_triton import load_norm, load_share, pack_normed, receive_down, share_rows
from kernels.words_triton import fence, receive, send


@triton.jit
def head(x, weights, words, epoch, logits, seen, penalty, S: tl.constexpr):
    """Receive the last layer's down product. Gives the largest logit of this program's tokens, and the token.

    Infinity where a logit is not a number. All are written to `logits`, if that is not None.
    """
    P: tl.constexpr = S.head
    pid = tl.program_id(0)
    norm = load_norm(weights.output_norm, S)
    x += receive_down(words, S.shape.layers - 1, epoch - 1, S)
    packed, rms = pack_normed(x, norm, S)
    best = tl.full([P.tile], float("-inf"), tl.float32)
    best_row = tl.full([P.tile], 0, tl.int32)
    tile = load_share(weights.head, 0, pid, P, S).weights
    for start in range(0, P.share, P.tile):
        # The next rows are on their way while these are multiplied.
        next_tile = load_share(weights.head, 0, pid, P, S, start + P.tile).weights
        rows, own = share_rows(pid, start, P)
        logit = dot(tile, packed, P) * rms
        tile = next_tile
        if logits is not None:
            tl.store(logits + rows, logit, mask=own)
        if seen is not None:
            logit = _penalized(logit, tl.load(seen + rows, mask=own, other=0) != 0, tl.load(penalty))
        logit = tl.where(logit == logit, logit, float("inf"))
        better = own & (logit > best)
        best = tl.where(better, logit, best)
        best_row = tl.where(better, rows, best_row)
    return _smallest_of_largest(best, best_row, S)


@triton.jit
def choose(top, row, words, epoch, S: tl.constexpr):
    """Send what `head` gives, receive it from all programs. Gives the largest of all, and the token.

    What a program wrote before, every program sees behind it: the keys and values of this step.
    """
    fence(epoch)
    four = tl.arange(0, 4)
    sent = tl.where(four == 0, top, row.to(tl.float32))
    copy = tl.arange(0, S.copies)[:, None] * S.copy_words
    to = copy + tl.program_id(0) * 4 + four[None, :]
    send(words.first + S.choice_words, to, tl.broadcast_to(sent[None, :], [S.copies, 4]), epoch, copy >= 0)
    program = tl.arange(0, S.programs_padded)
    choices = receive(words.copy + S.choice_words, program * 4, epoch, program < S.programs)
    first = (four == 0)[None, :]
    tops = tl.where(program < S.programs, tl.sum(tl.where(first, choices, 0.0), 1), float("-inf"))
    rows = tl.max(tl.where(first, 0.0, choices), 1)
    top, row = _smallest_of_largest(tops, rows, S)
    fence(epoch)
    return top, row.to(tl.int32)


@triton.jit
def _penalized(logit, seen, penalty):
    """As `llm.sample` does it."""
    return tl.where(seen, tl.where(logit > 0, logit / penalty, logit * penalty), logit)


@triton.jit
def _smallest_of_largest(values, rows, S: tl.constexpr):
    """The largest of values [N], and the smallest of `rows` [N] that have it."""
    top = tl.max(values, 0)
    return top, tl.min(tl.where(values == top, rows, S.shape.vocabulary), 0)
