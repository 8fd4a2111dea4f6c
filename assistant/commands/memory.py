"""`assistant memory`: what a language model takes of this machine's memory, and whether it is fast enough."""

import json
from dataclasses import asdict
from typing import get_args

import psutil
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.commands.memory_speed import Suitability, measure_suitability, suitability_lines
from assistant.config import LlmConfig
from assistant.models.load import locate_llm
from assistant.models.store import ModelStore
from llm.cpu import Memory, PlannedKv, fits
from llm.cpu.memory import memory
from llm.gguf import LlamaConfig, open_gguf, read_config
from llm.serve import Kernel, KvType

_ENGINE_KV = get_args(KvType)


def run_memory(
    model: str, context: int | None, sessions: int, kv: PlannedKv, as_json: bool, *, speed: bool = False
) -> None:
    """Print the parts of the memory that `model` takes, and whether they fit into what is available.

    With `speed` the model is loaded then, if it fits, and timed (`assistant.commands.memory_speed`).

    `model` is a name of the model store or the path of a .gguf file. A context beyond the model's own is cut
    to it, as when it runs; None is the default of the configuration. Raises ModelStoreError, GgufError and
    SizeError, and with `speed` what `measure_suitability` does.
    """
    config = LlmConfig(model=model)
    gguf = open_gguf(locate_llm(config, ModelStore()))
    shape = read_config(gguf)
    tokens = min(config.context if context is None else context, shape.context)
    kernel: Kernel = "compiled" if fits(shape) else "onnxruntime"
    needs = memory(gguf, tokens, sessions, kv, psutil.virtual_memory().available, kernel)
    found = measure_suitability(gguf, config) if speed and needs.fits else None
    if as_json:
        counts = {"model": model, "context": tokens, "sessions": sessions, "kv": kv, "engine_kv": _ENGINE_KV}
        sizes = {f"{name}_bytes": size for name, size in (asdict(needs) | {"total": needs.total}).items()}
        measured = {"speed": found and _as_json(found)} if speed else {}
        typer.echo(json.dumps({**counts, **sizes, "fits": needs.fits, **measured}, indent=1))
        return
    _print(needs, shape, tokens, sessions, kv)
    if context is not None and tokens < context:
        typer.echo(f"the model's own context is {tokens} tokens, so that {context} are never kept")
    if speed:
        typer.echo("\n".join(suitability_lines(found) if found else ["not timed, since it does not fit"]))


def _as_json(found: Suitability) -> dict[str, object]:
    derived = {"first_phrase_s": found.first_phrase_s, "ratio": found.ratio, "verdict": found.verdict}
    return asdict(found) | derived


def _print(needs: Memory, shape: LlamaConfig, tokens: int, sessions: int, kv: PlannedKv) -> None:
    layers = f"{shape.layers} layers x 2 x {shape.kv_heads} KV heads x {shape.head_dim}"
    copies = needs.weights.scale_copies
    rows = [
        ("weights", needs.weights.prepared, f"{_readable(needs.weights.stored)} in the file"),
        *([("copies of scales", copies, "made by ONNX Runtime")] if copies else []),
        (f"{kv} KV cache", needs.kv_cache, f"{layers} x {tokens} tokens x {sessions}"),
        *([(f"{kv} scales", needs.kv_scales, "once for all sessions")] if needs.kv_scales else []),
        ("workspace", needs.workspace, "activations of one pass, at most"),
        ("total", needs.total, "without Python and ONNX Runtime themselves"),
        ("available", needs.available, "on this machine, now"),
    ]
    table = Table("", "", "", box=None, show_header=False)
    table.columns[1].justify = "right"
    for name, size, note in rows:
        table.add_row(Text(name), Text(_readable(size)), Text(note))
    Console().print(table)
    spare = needs.available - needs.total
    typer.echo("it fits" if needs.fits else f"it does not fit: {_readable(-spare)} are missing")
    typer.echo(f"this engine keeps keys and values in {' or '.join(_ENGINE_KV)}")


def _readable(size: int) -> str:
    unit, scale = next(((u, s) for u, s in (("GB", 1e9), ("MB", 1e6)) if size >= s), ("kB", 1e3))
    return f"{size / scale:.1f} {unit}"
