"""The README and the other pages against the tree: commands, folders, paths and links."""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from pages import PAGES, README, ROOT, anchors, blocks, code, commands, links, read, rows, sections, source_of

from assistant import cli
from assistant.config import read_config

PACKAGES = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["mypy"]["packages"]
MOST_WORDS = 1500

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def folders(text: str) -> list[str]:
    """The paths in the section "Folders", one a line: - `path/`: what it is."""
    return re.findall(r"^- `([^`]+/)`: \S", sections(text)["Folders"], re.MULTILINE)


def test_pages_are_parsed() -> None:
    text = """
# A page
## Start: with `make`
```sh
make demo && assistant models list  # the models
ASSISTANT_CACHE=/tmp/x assistant say "Hello, you." \\
    -o hello.wav > log.txt
```
```python
assistant.nothing(a)[b](c.md)
```
| key | meaning |
|---|---|
| `a` | this \\| that, see [b](b.md#c) and [far](https://example.org) |
## Folders
- `asr/`: recognition
- `traces/index.json`: a file
## More
- `not/this/`: at all
"""
    assert list(commands(text)) == [
        ["make", "demo"],
        ["assistant", "models", "list"],
        ["assistant", "say", "Hello, you.", "-o", "hello.wav"],
    ]
    assert blocks(text, "python") == ["assistant.nothing(a)[b](c.md)\n"]
    assert rows(text) == [["`a`", "this | that, see [b](b.md#c) and [far](https://example.org)"]]
    assert links(text) == ["b.md#c"]
    assert anchors(text) == {"a-page", "start-with-make", "folders", "more"}
    assert list(sections(text)) == ["Start: with make", "Folders", "More"]
    assert folders(text) == ["asr/"]
    assert code("run `a b` and `c`") == ["a b", "c"]


def test_the_readme_is_short() -> None:
    assert len(read(README).split()) <= MOST_WORDS


@every_page
def test_every_command_is_understood(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = [command for command in commands(read(page)) if command[0] == "assistant"]
    assert ours or page != README
    for command in ours:
        monkeypatch.setattr(sys, "argv", [*command, "--help"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        assert not caught.value.code, f"{shlex.join(command)}: {printed.err}"


@every_page
def test_every_module_that_is_run_exists(page: Path) -> None:
    text = read(page)
    modules = {command[2] for command in commands(text) if command[:2] == ["python", "-m"]}
    modules |= set(re.findall(r"`python -m ([\w.]+)", text))
    assert [name for name in sorted(modules) if not source_of(name).is_file()] == []


@every_page
def test_every_target_of_make_exists(page: Path) -> None:
    named = {word for command in commands(read(page)) if command[0] == "make" for word in command[1:]}
    assert page != README or {"demo", "test"} <= named
    targets = re.findall(r"^([\w-]+):(?!=)", read(ROOT / "Makefile"), re.MULTILINE)
    assert {word for word in named if "=" not in word} <= set(targets)


@every_page
def test_every_extra_that_is_installed_exists(page: Path) -> None:
    extras = set(re.findall(r"pip install [^`\n]*\[(\w+)\]", read(page)))
    assert extras <= set(tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"])


@every_page
def test_every_toml_example_is_a_valid_configuration(page: Path, tmp_path: Path) -> None:
    path = tmp_path / "assistant.toml"
    for block in blocks(read(page), "toml"):
        path.write_text(block, encoding="utf-8")
        read_config(path)


@every_page
def test_no_link_is_dead(page: Path) -> None:
    for target in links(read(page)):
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(read(linked)), f"{page.name}: {target}"


@every_page
def test_every_path_that_is_named_exists(page: Path) -> None:
    tops = (*PACKAGES, "traces", "tests", "docs")
    named = [word for word in code(read(page)) if re.fullmatch(rf"(?:{'|'.join(tops)})/[\w./-]*", word)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_folder_is_in_the_readme_once() -> None:
    inside = [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package, *(ROOT / package).rglob("*"))
        if path.is_dir() and any(child.is_file() for child in path.iterdir()) and path.name != "__pycache__"
    ]
    expected = [f"{path}/" for path in (*inside, Path("traces"), Path("tests"), Path("docs"))]
    assert sorted(folders(read(README))) == sorted(expected)
