"""The README and the pages of docs/ as tests read them: commands, sections, tables, links and paths."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_OPERATORS = {"|", "||", "&&", ";", "&"}
_REDIRECTIONS = {"<", ">", ">>", ">&"}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The contents of the code blocks in `language`."""
    return [content for name, content in _BLOCK.findall(text) if name == language]


def without_blocks(text: str) -> str:
    return _BLOCK.sub("", text)


def commands(text: str) -> Iterator[list[str]]:
    """Every simple command in the ```sh blocks of `text`, without its variables and redirections."""
    for block in blocks(text, "sh"):
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


def sections(text: str) -> dict[str, str]:
    """The text under each heading of the second level, by heading without backticks."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    headings = [heading.replace("`", "") for heading in parts[1::2]]
    assert len(headings) == len(set(headings))
    return dict(zip(headings, parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables in `text`, header and rule left out."""
    lines = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    table = [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    rules = [at for at, cells in enumerate(table) if set("".join(cells)) == {"-"}]
    return [cells for at, cells in enumerate(table) if at not in rules and at + 1 not in rules]


def code(text: str) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def links(text: str) -> list[str]:
    """The targets of links and pictures in `text` that are no addresses of other hosts."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_blocks(text))
    return [target for target in targets if not re.match(r"\w+:", target)]


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def source_of(module: str) -> Path:
    """The file that `python -m module` runs."""
    path = ROOT / module.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
