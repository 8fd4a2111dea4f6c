"""Lists of what is said: one a line, the intent ("-" for none), a colon, and the words."""

from pathlib import Path

from assistant.skills import Intent

HERE = Path(__file__).parent / "skills"


def said(name: str) -> list[tuple[str, str]]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(": ") for line in lines if line and not line.startswith("#"))
    return [(intent, text) for intent, _, text in pairs]


def named(intent: Intent | None) -> str:
    return "-" if intent is None else intent.name
