"""Whichever package a program imports first, telemetry is off before ONNX Runtime is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VARIABLES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")


def environment_after(code: str, **given: str) -> list[str]:
    """The variables as a fresh process has them after this code, "-" for one that is not set."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    code += f"; import os; print(*[os.environ.get(name, '-') for name in {VARIABLES}])"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | given, capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize("package", ["asr", "assistant", "kernels", "llm", "tts"])
def test_every_package_switches_telemetry_off(package: str) -> None:
    assert environment_after(f"import {package}") == ["1", "1"]


def test_what_the_user_has_set_stays() -> None:
    assert environment_after("import llm", ORT_DISABLE_TELEMETRY="0") == ["0", "1"]
    assert environment_after("import asr", HF_HUB_DISABLE_TELEMETRY="0") == ["1", "0"]


def test_the_hub_client_understands_its_variable() -> None:
    code = "import asr; from huggingface_hub import constants; assert constants.HF_HUB_DISABLE_TELEMETRY"
    assert environment_after(code) == ["1", "1"]


def test_nothing_is_set_without_us() -> None:
    """The control: it is our packages that set the variables, not this machine."""
    assert environment_after("pass") == ["-", "-"]
