"""What engines are measured on: a text in the public domain and everyday prompts; see `data/README.md`."""

from importlib.resources import files

_DATA = files("llm") / "data"


def text() -> str:
    """A chapter of Alice's Adventures in Wonderland (Lewis Carroll, 1865), 12,654 characters of ASCII."""
    return (_DATA / "tea_party.txt").read_text(encoding="ascii")


def prompts() -> list[str]:
    """Twenty things that one says to an assistant."""
    return (_DATA / "prompts.txt").read_text(encoding="ascii").splitlines()


def free_chat() -> list[str]:
    """Twenty-five more questions, none of them among `prompts`."""
    return (_DATA / "free_chat.txt").read_text(encoding="ascii").splitlines()


def sentences() -> list[str]:
    """The sentences of `text`, and what else lies between two full stops, of more than 40 characters."""
    return [part.strip() for part in text().replace("\n", " ").split(".") if len(part) > 40]
