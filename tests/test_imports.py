"""Imports point one way, between packages and between their rooms, and `--help` loads no model library."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
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

FLOORS = {
    "assistant": (
        {"spelling", "text_file"},
        {"runtime", "audio"},
        {"session"},
        {"home"},
        {"skills"},
        {"config"},
        {"models"},
        {"trace", "doctor", "requests"},
        {"server", "mqtt", "microphone", "endpointing"},
        {"client", "wyoming", "cluster"},
        {"commands"},
        {"errors"},
        {"cli"},
    ),
    "kernels": (
        {"checks", "device", "cpu", "no_telemetry", "prepared"},
        {"formats"},
        {"sampling"},
        {"attention", "products"},
        {"llama"},
        {"bench"},
    ),
    "llm": (
        {"gguf"},
        {"lora"},
        {"text"},
        {"decode"},
        {"serve"},
        {"cpu", "cuda", "remote"},
        {"eval"},
        {"bench", "train"},
    ),
}
"""Rooms (folders, or files at a package's root), lowest first; each imports only from floors below it."""


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


def imported_rooms(path: Path, package: str) -> Iterator[str]:
    """The rooms of `package` that a file imports from, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == package:
                yield from parts[1:2] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            dotted = [alias.name.split(".") for alias in node.names]
            yield from (parts[1] for parts in dotted if parts[0] == package and len(parts) > 1)


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_import_only_from_the_floors_below(package: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms}
    upward = set()
    for file in (ROOT / package).rglob("*.py"):
        room = file.relative_to(ROOT / package).with_suffix("").parts[0]
        if room == "__init__":
            continue
        assert room in floor, f"{file}: a room without a floor"
        for other in imported_rooms(file, package):
            if other != room and floor[other] >= floor[room]:
                upward.add((str(file.relative_to(ROOT)), other))
    assert upward == set()


def imported_modules(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """The modules of `modules` that a file imports, wherever in it, for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & modules.keys()
            found |= inside or {node.module}
    return found & modules.keys()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_module_imports_itself_in_a_circle(package: str) -> None:
    files = [file.relative_to(ROOT) for file in (ROOT / package).rglob("*.py")]
    modules = {".".join(file.with_suffix("").parts).removesuffix(".__init__"): ROOT / file for file in files}
    graph = {name: imported_modules(path, modules) - {name} for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("room", ["runtime", "audio"])
def test_a_room_with_a_face_is_imported_through_it(room: str) -> None:
    """The others have none that costs nothing: what loads a model's library is imported by its module."""
    face = f"assistant.{room}"
    apart = {"assistant.runtime.machine"}  # it is about the machine, and few need it
    around = set()
    for file in (ROOT / "assistant").rglob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file)))
        modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        if not file.is_relative_to(ROOT / "assistant" / room):
            around |= {(file.name, name) for name in modules - apart if name.startswith(f"{face}.")}
    assert around == set()


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


def test_no_two_files_of_tests_have_the_same_name() -> None:
    """Pytest imports them by it, and collects one of two. Those of kernels/triton run by themselves."""
    apart = ROOT / "tests" / "kernels" / "triton"
    files = [file for file in (ROOT / "tests").rglob("*.py") if apart not in file.parents]
    special = ("conftest.py", "__init__.py", "__main__.py")
    names = Counter(file.name for file in files if file.name not in special)
    assert [name for name, count in names.items() if count > 1] == []
