"""`assistant eval llm`: what quantized weights, keys and values cost in quality, and the speed they give."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console
from rich.table import Table

from assistant.commands.preflight import check_file
from assistant.config import LlmConfig
from assistant.load import locate_llm
from assistant.machine import machine
from assistant.models import ModelStore
from assistant.report import ReportError, write_json
from llm.cpu import CpuConfig, CpuModel
from llm.cpu_graph import WeightType
from llm.eval import EvalError
from llm.gguf import GgufFile, open_gguf
from llm.quality import Quality, Task, measure, read_task
from llm.sessions import SlotEngine

Kv = Literal["f32", "int8"]


def run_evaluate_llm(model: str, kv: Sequence[Kv], tokens: int | None, json: Path | None) -> None:
    """Measure `model`, a name of the store or a .gguf file, with each type of `kv`; print a table.

    Of the text the first `tokens` are read, by default all. The reference is the same file dequantized to
    float32, with a cache of float32. Raises ReportError before anything is loaded, then ModelStoreError,
    GgufError, TokenizerError, ChatTemplateError, ContextFull and EvalError.
    """
    check_file(json, ReportError)
    path = locate_llm(LlmConfig(model=model), ModelStore())
    gguf = open_gguf(path)
    task = read_task(gguf, tokens)
    results = _measure_each(gguf, task, kv)
    if json:
        rows = [{"kv": kind, **result.to_dict()} for kind, result in results.items()]
        text = {"text_tokens": len(task.text), "prompts": len(task.prompts)}
        write_json(json, {"machine": machine(), "model": _digest(path), **text, "rows": rows})
    _print(results, task)


def _measure_each(gguf: GgufFile, task: Task, kv: Sequence[Kv]) -> dict[Kv, Quality]:
    results = {}
    try:
        with _load(gguf, "f32", weights="f32") as reference:
            for kind in kv:
                with _busy(kind), _load(gguf, kind) as engine:
                    results[kind] = measure(engine, reference, task)
    except EvalError as error:
        raise EvalError(f"{gguf.path}: {error}") from None
    return results


def _load(gguf: GgufFile, kv: Kv, weights: WeightType = "quantized") -> SlotEngine:
    """Without a prefix store, from which a prompt that is to be timed could be copied."""
    return CpuModel(gguf, CpuConfig(kv=kv, weights=weights, prefix_bytes=0)).open()


@contextmanager
def _busy(kv: Kv) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(f"measuring with keys and values in {kv}"):
        yield


def _digest(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"name": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _print(results: Mapping[Kv, Quality], task: Task) -> None:
    first = next(iter(results.values()))
    quality = ("perplexity", "ratio", "decode\nratio", "KL", "same\nargmax", "same\nreplies")
    times = (*(f"ms at\n{point.context}" for point in first.speed.decode), "prefill\ntok/s")
    table = Table("KV", *quality, *times, box=None, pad_edge=False, collapse_padding=True)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("reference", f"{first.prefill.reference_perplexity:.3f}")
    for kind, result in results.items():
        table.add_row(kind, *_cells(result))
    Console().print(table)
    typer.echo(f"{len(task.text)} tokens of text; reference: the same file in float32; KL in nats a token")
    for kind, result in results.items():
        replies = result.replies
        typer.echo(
            f"{kind}: {replies.agreement:.1%} of the replies' tokens come before the first other one; "
            f"{replies.ties()} of {len(replies.replies) - replies.identical} part at a tie"
        )


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
