"""Texts on the command line that begin with a dash, as "-5 degrees" does."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand

_TEXT = re.compile(r"-[\d.,]|-.*\s", re.DOTALL)  # a number, or several words


class TextCommand(TyperCommand):
    """A command with an argument that may begin with a dash where it cannot be taken for an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # typer's own, by version
        """See click."""
        options = {name for parameter in self.params for name in parameter.opts if name.startswith("-")}
        return super().parse_args(ctx, text_last(args, options))


def text_last(words: Sequence[str], options: Collection[str]) -> list[str]:
    """`words` with the text that begins with a dash, if there is one, behind `--`, which ends the options.

    All `options` but --help take a value, which may follow in the same word.
    """
    for index, word in enumerate(words):
        if word == "--":
            break
        is_option = word.partition("=")[0] in options or word[:2] in options
        is_value = index > 0 and words[index - 1] in options
        if _TEXT.match(word) and not is_option and not is_value:
            return [*words[:index], *words[index + 1 :], "--", word]
    return list(words)
