"""Whether a GPU can be used: what is said of machines that lack one thing each."""

import importlib.machinery
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from llm.cuda import device


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One on which nothing is missing."""
    device.unsupported_reason.cache_clear()
    monkeypatch.setattr(device, "has_driver", lambda: True)
    monkeypatch.setenv("CC", "cc")
    gpu(monkeypatch, available=True, capability=(9, 0))
    yield
    device.unsupported_reason.cache_clear()


def gpu(monkeypatch: pytest.MonkeyPatch, *, available: bool, capability: tuple[int, int] = (9, 0)) -> None:
    cuda = SimpleNamespace(is_available=lambda: available, get_device_capability=lambda: capability)
    torch = SimpleNamespace(cuda=cuda, __spec__=importlib.machinery.ModuleSpec("torch", None))
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_nothing_is_in_the_way() -> None:
    assert device.unsupported_reason() is None


@pytest.mark.parametrize("missing", ["torch", "triton"])
def test_libraries_that_are_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> object:
        return None if name == missing else object()

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    assert device.unsupported_reason() == f"{missing} is not installed: pip install -e '.[gpu]'"


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_driver", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # not looked at
    assert device.unsupported_reason() == "there is no NVIDIA driver"


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    assert "install gcc, or set CC" in (device.unsupported_reason() or "")


def test_a_torch_that_cannot_be_imported_or_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, available=False)
    assert "torch sees no GPU" in (device.unsupported_reason() or "")
    device.unsupported_reason.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "torch", None)
    reason = device.unsupported_reason() or ""
    assert reason.startswith("torch cannot be imported: ") and "\n" not in reason


@pytest.mark.parametrize(("capability", "runs"), [((7, 5), False), ((8, 0), True), ((12, 0), True)])
def test_the_gpu_may_be_too_old(
    capability: tuple[int, int], runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, available=True, capability=capability)
    assert (device.unsupported_reason() is None) is runs


def test_a_machine_without_a_driver_imports_no_torch() -> None:
    code = (
        "import sys\nfrom llm.cuda import device\ndevice.has_driver = lambda: False\n"
        "import assistant.models.language\nassert device.unsupported_reason()\n"
        "print(sorted({'torch', 'triton'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
