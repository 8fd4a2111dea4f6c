"""`assistant eval llm`: what quantized weights, keys and values cost in quality, and the speed they give."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import typer
from rich.console import Console

from assistant.commands.evaluate_llm_table import Measured, print_measured
from assistant.commands.preflight import check_file
from assistant.config import LlmConfig
from assistant.models.load import locate_llm
from assistant.models.store import ModelStore
from assistant.runtime.machine import machine
from assistant.trace.summary import ReportError, write_json
from llm.cuda import Device
from llm.decode import Engine
from llm.eval import (
    KINDS,
    EvalError,
    Kv,
    Place,
    Task,
    gpu_name,
    measure,
    place_of,
    read_task,
    reference,
    subject,
)
from llm.gguf import GgufFile, open_gguf

# A judged reply is 128 tokens and a pass over them in float32: a second or so of a CPU.
_PROMPTS: Mapping[Place, int] = MappingProxyType({"cpu": 10, "cuda": 50})


def run_evaluate_llm(
    model: str,
    kv: Sequence[Kv] | None,
    tokens: int | None,
    json: Path | None,
    *,
    device: Device = "auto",
    prompts: int | None = None,
) -> None:
    """Measure `model`, a name of the store or a .gguf file, with each type of `kv`; print a table.

    None is all types that the engine of the device has. Of the text the first `tokens` are read, by default
    all. The reference is float32 on the same device (`llm.eval.engines`), with a cache of float32. After
    `prompts` prompts the greedy tokens are judged by it. Whatever comes out, nothing is raised for it.

    Raises before anything is loaded ReportError, typer.BadParameter for a type that the engine has not and
    EvalError for a GPU that cannot be used, then ModelStoreError, GgufError, TokenizerError,
    ChatTemplateError, ContextFull, EvalError, BrokenLogits, EngineOutOfMemory and CudaBroken.
    """
    check_file(json, ReportError)
    place = place_of(device)
    kinds = _kinds(place, kv)
    path = locate_llm(LlmConfig(model=model), ModelStore())
    gguf = open_gguf(path)
    task = read_task(gguf, tokens, _PROMPTS[place] if prompts is None else prompts)
    results = _measure_each(gguf, place, task, kinds)
    if json:
        rows = [{"kv": kind, **measured.to_dict()} for kind, measured in results.items()]
        where = {"device": place, "gpu": gpu_name() if place == "cuda" else None}
        text = {"text_tokens": len(task.text), "prompts": len(task.prompts)}
        write_json(json, {"machine": machine(), **where, "model": _digest(path), **text, "rows": rows})
    print_measured(results, task, place)


def _kinds(place: Place, kv: Sequence[Kv] | None) -> Sequence[Kv]:
    for kind in kv or ():
        if kind not in KINDS[place]:
            there = " and ".join(KINDS[place])
            raise typer.BadParameter(
                f"on {place} keys and values are {there}, not {kind}", param_hint="'--kv'"
            )
    return KINDS[place] if kv is None else kv


def _measure_each(gguf: GgufFile, place: Place, task: Task, kinds: Sequence[Kv]) -> dict[Kv, Measured]:
    results = {}
    with reference(gguf, place) as judge:
        for kind in kinds:
            with _busy(kind):
                results[kind] = _measure(gguf, place, kind, judge, task)
    return results


def _measure(gguf: GgufFile, place: Place, kind: Kv, judge: Engine, task: Task) -> Measured:
    with subject(gguf, place, kind) as opened:
        try:
            quality = measure(opened.engine, judge, task)
        except EvalError as error:
            raise EvalError(f"{gguf.path}: {error}") from None
        return Measured(quality, opened.engine.take_served(), opened.unsupported)


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
