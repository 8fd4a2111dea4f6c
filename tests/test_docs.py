"""The references in docs/ against the code: every key of the configuration, every command and option."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer
from pages import ROOT, code, commands, read, rows, sections, source_of
from test_imports import FLOORS
from typer.core import TyperCommand, TyperGroup

from assistant import cli
from assistant.config import Config

CONFIGURATION = read(ROOT / "docs" / "configuration.md")
COMMANDS = read(ROOT / "docs" / "commands.md")
UNITS = {
    "_per_s": "1/s",
    "_bytes": "bytes",
    "_ms": "ms",
    "_s": "s",
    "_seconds": "s",
    "_dbfs": "dBFS",
    "_chars": "characters",
}


def keys(section: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:  # noqa: ANN401  # a dataclass
    """Section, key and default of everything that can be set, below a dataclass of defaults."""
    for field in fields(section):
        value = getattr(section, field.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}.{field.name}".lstrip("."))
        else:
            yield prefix, field.name, value


def toml(value: object) -> str:
    """A default as the page shows it."""
    if value is None:
        return "*unset*"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def choices(section: type, prefix: str = "") -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Section, key and values of every key that has a few allowed values."""
    for name, kind in get_type_hints(section).items():
        if is_dataclass(kind) and isinstance(kind, type):
            yield from choices(kind, f"{prefix}.{name}".lstrip("."))
        elif get_origin(kind) is Literal:
            yield prefix, name, get_args(kind)


def documented_keys() -> dict[tuple[str, str], list[str]]:
    """Default, unit and meaning of each key on the page, by section and key."""
    found: dict[tuple[str, str], list[str]] = {}
    for heading, text in sections(CONFIGURATION).items():
        for key, *rest in rows(text):
            place = (heading.strip("[]"), key.strip("`"))
            assert place not in found
            found[place] = rest
    return found


def test_every_key_is_documented_with_its_default() -> None:
    shown = {place: default for place, (default, _, _) in documented_keys().items()}
    assert shown == {(section, key): toml(value) for section, key, value in keys(Config())}


def test_every_key_has_its_unit_and_a_meaning() -> None:
    for (_, key), (_, unit, meaning) in documented_keys().items():
        ending = re.search("|".join(f"{end}$" for end in UNITS), key)
        assert unit == UNITS[ending[0]] if ending else unit, key
        assert meaning.endswith("."), key


def test_every_choice_is_explained() -> None:
    documented = documented_keys()
    found = list(choices(Config))
    assert ("llm", "device", ("auto", "cpu", "cuda")) in found
    for section, key, values in found:
        meaning = documented[section, key][2]
        assert [value for value in values if f'`"{value}"`' not in meaning] == [], key


def leaves(command: TyperCommand | TyperGroup, name: str) -> Iterator[tuple[str, TyperCommand]]:
    """Every command that is no group, by its full name."""
    if isinstance(command, TyperGroup):
        for part, child in command.commands.items():
            yield from leaves(child, f"{name} {part}")
    else:
        yield name, command


OURS = dict(leaves(typer.main.get_command(cli.app), "assistant"))


def named_in_table(text: str) -> set[str]:
    """The options and arguments in the first column of the tables of `text`, without their values."""
    return {word.split()[0] for cells in rows(text) for word in code(cells[0])}


def test_commands_are_those_of_the_page() -> None:
    assert {"assistant replay", "assistant eval asr", "assistant models list"} <= set(OURS)
    assert {name for name in sections(COMMANDS) if name.startswith("assistant")} == set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_every_option_of_a_command_is_documented(name: str) -> None:
    expected: set[str] = set()
    for parameter in OURS[name].params:
        is_argument = parameter.param_type_name == "argument"
        expected |= {str(parameter.name).upper()} if is_argument else set(parameter.opts)
    assert named_in_table(sections(COMMANDS)[name]) == expected - {"--help"}


@pytest.mark.parametrize("name", sections(COMMANDS))
def test_every_command_has_an_example(name: str) -> None:
    words = name.split()
    examples = [command[: len(words)] for command in commands(sections(COMMANDS)[name])]
    assert words in examples


def options_in(module: str) -> set[str]:
    """What a module may take as an option: its strings that begin with --, and its functions' parameters."""
    tree = list(ast.walk(ast.parse(read(source_of(module)))))
    strings = {str(node.value) for node in tree if isinstance(node, ast.Constant)}
    parameters = {f"--{node.arg.replace('_', '-')}" for node in tree if isinstance(node, ast.arg)}
    return {text for text in strings if text.startswith("--")} | parameters


@pytest.mark.parametrize("name", [name for name in sections(COMMANDS) if name.startswith("python -m")])
def test_options_of_a_module_exist(name: str) -> None:
    named = {word for word in named_in_table(sections(COMMANDS)[name]) if word.startswith("--")}
    assert named
    assert {word.replace("--no-", "--") for word in named} <= options_in(name.removeprefix("python -m "))


WALKS = re.findall(r"^### (.+?)\n\n((?:\d\. .+\n)+)", read(ROOT / "docs" / "architecture.md"), re.MULTILINE)


def defined(path: str) -> set[str]:
    """Functions, classes and methods (`Class.method`) of a file."""
    names: set[str] = set()
    for node in ast.parse(read(ROOT / path)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{method.name}" for method in inner}
    return names


@pytest.mark.parametrize(("title", "steps"), WALKS, ids=[title for title, _ in WALKS])
def test_a_walk_goes_through_at_most_eight_files_and_names_what_is_there(title: str, steps: str) -> None:
    lines = [re.findall(r"`([^`]+)`", line) for line in steps.splitlines()]
    files = [names[0] for names in lines]
    assert len(files) <= 8 and len(files) == len(set(files)), "a file twice, or too many"
    known = set().union(*(defined(path) for path in files))
    for path, *names in lines:
        functions = [name for name in names if re.fullmatch(r"_?[a-z_]+|[A-Z]\w*\.\w+", name)]
        assert functions, f"{path}: no function is named"
        assert [name for name in functions if name not in known] == [], path
        assert set(functions) & defined(path), f"{path}: nothing of it is named"


def test_the_floors_are_those_that_are_enforced() -> None:
    table = rows(sections(read(ROOT / "docs" / "architecture.md"))["Floors"])
    shown = {
        package.strip("`"): tuple(set(code(floor)) for floor in floors.split("<"))
        for package, floors in table
    }
    assert shown == FLOORS


def test_there_are_four_walks() -> None:
    assert len(WALKS) == 4
