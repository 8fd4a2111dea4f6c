"""The name under which the project is installed: "assistant" on the registries is somebody else's package."""

import re
import tomllib
from pathlib import Path

from typer.main import get_command

from assistant import __version__, cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# As pip would take it from a registry: no path, no option, no part of a longer name.
STRANGER = re.compile(
    r"""(?:pipx?|uv|uvx)3? (?:install|add|run|tool install) [^\n]*(?<![\w./-])assistant(?![\w./-])"""
)
EXTRA = re.compile(r"(?<![\w.-])assistant\[[a-z]+\]")
SUFFIXES = {".py", ".md", ".toml", ".html", ".js", ".service", ".txt", ".yml", ".sh"}


def pages() -> list[Path]:
    """All texts of the project but this one."""
    folders = ("assistant", "asr", "llm", "tts", "kernels", "docs", "tests", "traces")
    found = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in SUFFIXES]
    return [*found, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile"]


def test_no_text_installs_a_strangers_package() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in pages() if path != Path(__file__)}
    assert len(texts) > 300
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts.items()
        for pattern in (STRANGER, EXTRA)
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_such_texts_would_be_found() -> None:
    for text in ("pip install assistant", "pip install 'assistant[mic]'", "pipx install assistant==1"):
        assert STRANGER.search(text) or EXTRA.search(text)
    for text in (
        "pip install -e '.[mic]'",
        "/opt/assistant/bin/pip install .",
        "pip install assistant-in-one-process",
    ):
        assert not (STRANGER.search(text) or EXTRA.search(text))


def test_the_distribution_has_a_name_of_its_own_and_the_command_keeps_its() -> None:
    assert PROJECT["project"]["name"] == "assistant-in-one-process"
    assert PROJECT["project"]["scripts"] == {"assistant": "assistant.cli:main"}
    assert get_command(cli.app).name == "assistant"


def test_the_version_is_the_packages() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "assistant.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
