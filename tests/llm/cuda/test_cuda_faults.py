"""Memory that really runs out on a GPU, and a kernel that really faults; each in a process of its own.

Elsewhere tests raise these errors in place of the GPU. Without a GPU there is nothing to see here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from llama_files import SMALL
from quantized_files import quantized_weights, write_quantized

from llm.cuda.model import CudaConfig, CudaModel
from llm.decode.engine import CudaBroken, EngineOutOfMemory, MultiStepEngine
from llm.decode.sample import Sampling
from llm.gguf.file import open_gguf
from llm.gguf.quants import GgmlType
from llm.serve.sessions import SlotEngine

CONFIG = replace(SMALL, head_dim=32, width=64, hidden=64)
PROMPT = [1, 2, 3, 4] * 12
GREEDY = Sampling()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("what", ["memory", "fault"])
def test_a_real_error_of_the_device(tmp_path: Path, what: str) -> None:
    path = write_quantized(tmp_path / "m.gguf", CONFIG, quantized_weights(CONFIG, {"": GgmlType.Q8_0}))
    command = [sys.executable, __file__, what, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # as pytest has it
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == (what == "fault"), done.stderr  # who cannot serve does not end well
    assert "terminate called" not in done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    if what == "memory":
        failed = {"choose": "EngineOutOfMemory", "shift": "EngineOutOfMemory"}
        assert found == failed | {"ready": True, "the same again": True}
    else:
        assert found == dict.fromkeys(("choose", "again", "extend", "open"), "CudaBroken") | {"ready": False}


def raised(call: Callable[[], Any]) -> str | None:
    """The name of what is raised, of what an engine says it raises."""
    try:
        call()
    except (EngineOutOfMemory, CudaBroken) as error:
        return type(error).__name__
    return None


def opened(model: CudaModel) -> SlotEngine:
    engine = model.open()
    engine.extend(PROMPT)
    return engine


def choose(engine: SlotEngine) -> list[int]:
    assert isinstance(engine, MultiStepEngine)
    return engine.decode_steps(1, 8, seen=[1], sampling=GREEDY, lookahead=8)


def memory(model: CudaModel) -> dict[str, Any]:
    engine, other = opened(model), opened(model)
    expected = choose(other)
    torch.cuda.set_per_process_memory_fraction(0.0)
    hog = []
    for size in (2**20, 2**16, 2**9):
        try:
            while True:
                hog.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            continue
    found: dict[str, Any] = {"choose": raised(lambda: choose(engine))}
    found["shift"] = raised(lambda: engine.shift(8, 16))
    hog.clear()
    torch.cuda.set_per_process_memory_fraction(1.0)
    engine.truncate(0)
    engine.extend(PROMPT)
    return found | {"ready": model.ready, "the same again": choose(engine) == expected}


def fault(model: CudaModel) -> dict[str, Any]:
    engine, other = opened(model), opened(model)
    choose(engine)
    model.store._table[:] = 10**8  # pages that nobody has
    model.store._stale = True
    found: dict[str, Any] = {"choose": raised(lambda: choose(other))}
    found["again"] = raised(lambda: choose(engine))
    found["extend"] = raised(lambda: other.extend([1]))
    found["open"] = raised(model.open)
    return found | {"ready": model.ready}


if __name__ == "__main__":
    loaded = CudaModel(open_gguf(Path(sys.argv[2])), CudaConfig(context=128, sessions=3, prefix_bytes=0))
    print(json.dumps({"memory": memory, "fault": fault}[sys.argv[1]](loaded)), flush=True)
