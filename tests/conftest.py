import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from sizes import FULL

from assistant.models.store import ModelStore

TESTS = Path(__file__).parent
# The same examples in every `make test`, new ones in every `make test-full`. No deadlines: machines are
# shared.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None)
settings.load_profile("new" if FULL else "same")
REALTIME = TESTS / "realtime"  # the one folder in which `make test` looks for such tests
# From the one that takes longest, so that neither of two processes ends long before the other.
SLOWEST_FILES = [
    "kernels/test_interpreted.py",
    "llm/cuda/test_cuda.py",
    "llm/cpu/test_cpu_graph.py",
    "llm/eval/test_eval_engines.py",
    "llm/cuda/test_cuda_ahead.py",
    "asr/test_stream_models.py",
    "kernels/test_compiles_small_batch.py",
    "llm/decode/test_responder.py",
    "llm/decode/test_speculate.py",
    "assistant/session/test_soak.py",
    "assistant/commands/test_evaluate_llm_command.py",
    "llm/cpu/test_native.py",
    "tts/test_voice.py",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the slowest files first where pytest-xdist runs them, and refuse tests that nobody would run."""
    for item in items:
        if item.get_closest_marker("realtime") and REALTIME not in item.path.parents:
            raise pytest.UsageError(f"{item.nodeid} is marked realtime, but is not in tests/realtime")
    if hasattr(config, "workerinput"):
        order = {TESTS / name: place for place, name in enumerate(SLOWEST_FILES)}
        items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session")
def model_path() -> Callable[[str], Path]:
    """Return the path of a model by name, fetched into the per-user cache on first use and verified."""
    return functools.cache(ModelStore().path)
