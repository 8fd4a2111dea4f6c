"""The README against the code: its commands are understood, its table of files is the tree."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

_OPERATORS = {"|", "||", "&&", ";", "&"}
_REDIRECTIONS = {"<", ">", ">>", ">&"}


def commands(text: str) -> Iterator[list[str]]:
    """Every simple command in the ```sh blocks of `text`, without its variables and redirections."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield from _commands_of(line.removeprefix("$ "))


def _commands_of(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    words = iter([*lexer, ";"])
    for word in words:
        if word in _OPERATORS:
            if command:
                yield command
            command = []
        elif word in _REDIRECTIONS:
            next(words)
        elif command or not re.match(r"\w+=", word):
            command.append(word)


def files(text: str) -> list[str]:
    """The paths in the section "Files", one a line: - `path`: what it is."""
    section = re.search(r"^## Files$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, 'the README has no section "## Files"'
    return re.findall(r"^ *- `([^`]+)`: \S", section[1], re.MULTILINE)


def test_commands_and_files_are_found() -> None:
    text = """
```sh
make demo && assistant models list  # the models
ASSISTANT_CACHE=/tmp/x assistant say "Hello, you." \\
    -o hello.wav > log.txt
```
```python
assistant.nothing()
```
## Files
- `asr/vad.py`: voice activity
  - `traces/`: recordings
## More
- `not/this.py`: at all
"""
    assert list(commands(text)) == [
        ["make", "demo"],
        ["assistant", "models", "list"],
        ["assistant", "say", "Hello, you.", "-o", "hello.wav"],
    ]
    assert files(text) == ["asr/vad.py", "traces/"]


def test_every_command_is_understood(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = [command for command in commands(README.read_text(encoding="utf-8")) if command[0] == "assistant"]
    assert ours
    for command in ours:
        monkeypatch.setattr(sys, "argv", [*command, "--help"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        assert not caught.value.code, f"{shlex.join(command)}: {printed.err}"


def test_every_target_of_make_exists() -> None:
    named = {
        word
        for command in commands(README.read_text(encoding="utf-8"))
        if command[0] == "make"
        for word in command[1:]
    }
    assert {"demo", "test"} <= named
    targets = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in named if "=" not in word} <= set(targets)


def test_every_file_in_the_table_exists() -> None:
    named = files(README.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert len(named) == len(set(named))


def test_every_file_of_the_packages_is_in_the_table() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    paths = {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"  # one line each, which the folder's name already says
    }
    assert sorted(paths - set(files(README.read_text(encoding="utf-8")))) == []
