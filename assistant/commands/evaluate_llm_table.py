"""What `assistant eval llm` prints: a row a type of keys and values, and a few lines on each below."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from llm.decode import Served, Unsupported, by_kernel
from llm.eval import REFERENCES, TIE, Judged, Kv, Place, Quality, Task


@dataclass(frozen=True)
class Measured:
    """An engine's quality, which kernels served it meanwhile, and which could have and did not."""

    quality: Quality
    served: Sequence[Served]
    unsupported: tuple[Unsupported, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            **self.quality.to_dict(),
            "served": [served.to_dict() for served in self.served],
            "unsupported": [asdict(kernel) for kernel in self.unsupported],
        }


def print_measured(results: Mapping[Kv, Measured], task: Task, place: Place) -> None:
    """Print the table of all types, and the lines of each."""
    first = next(iter(results.values())).quality
    quality = ("perplexity", "ratio", "decode\nratio", "KL", "same\nargmax", "same\nreplies")
    times = (*(f"ms at\n{point.context}" for point in first.speed.decode), "prefill\ntok/s")
    table = Table("KV", *quality, *times, box=None, pad_edge=False, collapse_padding=True)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("reference", f"{first.prefill.reference_perplexity:.3f}")
    for kind, measured in results.items():
        table.add_row(kind, *_cells(measured.quality))
    Console().print(table)
    typer.echo(f"{len(task.text)} tokens of text; reference: {REFERENCES[place]}; KL in nats a token")
    for kind, measured in results.items():
        for line in _lines(measured):
            typer.echo(f"{kind}: {line}")


def _cells(result: Quality) -> list[str]:
    return [
        f"{result.prefill.perplexity:.3f}",
        f"{result.prefill.ratio:.4f}",
        f"{result.decode.ratio:.4f}",
        f"{result.prefill.kl:.5f}",
        f"{result.prefill.same_argmax:.2%}",
        f"{result.replies.identical}/{len(result.replies.replies)}",
        *(f"{point.ms:.2f}" for point in result.speed.decode),
        f"{result.speed.prefill_tokens_per_s:.0f}",
    ]


def _lines(measured: Measured) -> Iterator[str]:
    replies = measured.quality.replies
    yield (
        f"{replies.agreement:.1%} of the replies' tokens come before the first other one; "
        f"{replies.ties()} of {len(replies.replies) - replies.identical} part at a tie"
    )
    for name, found in (("token by token", measured.quality.decode), ("in prompts", measured.quality.prompt)):
        yield (
            f"{found.tokens} tokens read {name}: ratio {found.ratio:.5f}, KL {found.kl:.5f}, "
            f"same argmax {found.same_argmax:.2%}"
        )
    for judged in measured.quality.greedy:
        yield _agreement(judged)
    yield f"served by {by_kernel(served.operation for served in measured.served)}"
    for kernel in measured.unsupported:
        yield f"not used: {kernel.kernel}: {kernel.reason}"


def _agreement(judged: Judged) -> str:
    return (
        f"of {judged.tokens} greedy tokens, {judged.form}, {judged.equal} are the reference's own after the "
        f"same text, {judged.ties()} within {TIE} logits of it, {judged.beyond()} further off; "
        f"the largest gap is {judged.largest:.3f}"
    )
