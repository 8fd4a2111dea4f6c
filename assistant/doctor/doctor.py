"""`assistant doctor`: what of this machine would keep the assistant from working, and what fixes it."""

import importlib.util
import platform
import sys
import warnings
from collections.abc import Sequence

import psutil
import typer

from assistant.doctor.checks import (
    Check,
    check_audio,
    check_cpu,
    check_cpu_kernel,
    check_disk,
    check_llm,
    check_memory,
    check_model,
    check_onnxruntime,
    check_pip,
    check_python,
    check_threads,
    check_torch,
)
from assistant.models.store import ModelState, ModelStore
from assistant.runtime.machine import cpu_features, cpu_model, usable_threads
from kernels.cpu import compiled, instructions
from llm.cuda import has_driver


def doctor(store: ModelStore | None = None) -> None:
    """Print every check and the line that fixes what is wrong; exit 1 if one failed."""
    checks = check(store or ModelStore())
    print_checks(checks)
    if any(one.state == "fail" for one in checks):
        raise typer.Exit(1)


def check(store: ModelStore) -> list[Check]:
    """Look at everything. Takes seconds: torch is imported, every model file read, one model run."""
    models = store.verify(store.default_names())
    fetching = any(state.state != "ok" for state in models)
    memory = psutil.virtual_memory()
    onnxruntime = check_onnxruntime()
    return [
        check_python(sys.version_info[:3]),
        check_pip(importlib.util.find_spec("pip") is not None, fetching=fetching),
        check_cpu(cpu_model(), platform.machine(), cpu_features()),
        check_threads(usable_threads()),
        check_memory(memory.total, memory.available),
        onnxruntime,
        check_cpu_kernel(compiled=compiled(), instructions=instructions()),
        *check_torch(),
        *(_check_llm(models) if onnxruntime.state == "ok" else []),
        check_audio(),
        *map(check_model, models),
        check_disk(store.root, fetching=fetching),
    ]


def _check_llm(models: Sequence[ModelState]) -> list[Check]:
    """Run the default language model, if it is there, as the assistant would."""
    # Here, since they import ONNX Runtime, which may be what is missing.
    from assistant.config import LlmConfig  # noqa: PLC0415
    from assistant.models.engine import load_model, warm_up  # noqa: PLC0415
    from llm.gguf import open_gguf  # noqa: PLC0415

    path = next((one.path for one in models if one.name == LlmConfig().model and one.state == "ok"), None)
    if path is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the GPU, if it cannot be used: it is told here
        loaded = load_model(LlmConfig(), open_gguf(path))
    engine = loaded.model.open()
    warm_up(engine)
    operations = [served.operation for served in engine.take_served()]
    return check_llm(loaded.device, operations, loaded.unsupported, driver=has_driver())


def print_checks(checks: Sequence[Check]) -> None:
    """Print a table of them, and below it a line for each remedy."""
    # Here and not at the top: it takes 100 ms, which whoever imports `check` would pay too.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("", "check", "found", box=None)
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for one in checks:
        # As Text, because of "[mic]" and the like: rich takes brackets for markup.
        table.add_row(Text(one.state, styles[one.state]), Text(one.name), Text(one.found))
    Console().print(table)
    for one in checks:
        if one.remedy:
            typer.echo(f"{one.name}: {one.remedy}")  # not in the table, which would break the line
