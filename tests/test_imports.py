"""Imports point one way, and the command line starts without loading a model library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "kernels": {"kernels"},
    "asr": {"kernels", "asr"},
    "llm": {"kernels", "llm"},
    "tts": {"kernels", "tts"},
    "assistant": {"kernels", "asr", "llm", "tts", "assistant"},
}


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports, wherever in it; a relative import counts as its own."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.ImportFrom():
                yield path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files, f"no package {package}"
    ours = {(str(f.relative_to(ROOT)), name) for f in files for name in imported(f) if name in MAY_IMPORT}
    assert {found for found in ours if found[1] not in MAY_IMPORT[package]} == set()


def test_nothing_imports_the_tests() -> None:
    helpers = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {"tests", "pytest", "hypothesis"}
    files = [file for package in MAY_IMPORT for file in (ROOT / package).rglob("*.py")]
    assert {(file.name, name) for file in files for name in imported(file) if name in helpers} == set()


def test_the_command_line_starts_without_a_model_library() -> None:
    """`assistant --help` must answer in under half a second; torch alone takes longer."""
    heavy = ("torch", "onnxruntime", "onnx", "transformers", "scipy", "hibari")
    code = f"import sys, assistant.cli; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
