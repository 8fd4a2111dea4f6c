"""A model's chat template: messages to token ids, with nothing in a message able to become a special token.

The template is rendered with a placeholder for the text of each message. What stands around the placeholders
comes with the model and may call for special tokens; what people wrote takes their places as plain text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self, get_args

from jinja2 import Template

from llm.gguf.file import GgufFile
from llm.text.sandbox import ChatTemplateError, compile_template, render
from llm.text.tokenizer import Tokenizer

__all__ = ["ChatTemplate", "ChatTemplateError", "Message", "Role"]

Role = Literal["system", "user", "assistant"]

# A template that trims a message takes off a whole edge, which counts as white space, and so tells that it
# did. One that cuts, escapes or otherwise changes it breaks the middle or an edge, and is found out.
_BLANK = "\x1f"
_EDGE = _BLANK * 7
_HEAD, _TAIL = "Message ", "\"'<&\\\n;"
_PLACEHOLDER = re.compile(f"({_EDGE})?{re.escape(_HEAD)}([0-9]{{1,6}}){re.escape(_TAIL)}({_EDGE})?")


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


class ChatTemplate:
    """How a model wants a conversation written down, as token ids."""

    def __init__(
        self, name: str, template: Template, tokenizer: Tokenizer, tokens: Mapping[str, str]
    ) -> None:
        """`name` stands in error messages; `tokens` are the template's `bos_token` and `eos_token`."""
        self._name, self._template, self._tokenizer, self._tokens = name, template, tokenizer, tokens

    @classmethod
    def from_gguf(
        cls, gguf: GgufFile, tokenizer: Tokenizer, now: Callable[[], datetime] = datetime.now
    ) -> Self:
        """The template that a GGUF file brings along; `now` serves templates that write the date.

        Raises ChatTemplateError for an invalid template, GgufError if there is none.
        """
        name = f"{gguf.path}: chat template"
        tokens = {}
        for kind in ("bos", "eos"):
            token_id = gguf.get_int(f"tokenizer.ggml.{kind}_token_id", -1)
            tokens[f"{kind}_token"] = tokenizer.token_bytes(token_id).decode() if token_id >= 0 else ""
        try:
            template = compile_template(gguf.get_str("tokenizer.chat_template"), now)
        except ChatTemplateError as e:
            raise ChatTemplateError(f"{name}: {e}") from None
        return cls(name, template, tokenizer, tokens)

    def ids(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> list[int]:
        """The conversation as the model wants to read it, by default up to where its next reply begins.

        The ids are those of rendering the messages themselves and encoding the whole, but for text in a
        message that spells out a special token, which stays text. Raises ChatTemplateError for a conversation
        that the template refuses and a template that leaves out, repeats or changes a message (but trims it).
        """
        runs: list[int | str] = []
        for part in self._parts(messages, add_generation_prompt):
            if isinstance(part, str) and runs and isinstance(runs[-1], str):
                runs[-1] += part  # words may reach over the border between template and message
            else:
                runs.append(part)
        return [i for run in runs for i in ([run] if isinstance(run, int) else self._tokenizer.encode(run))]

    def _parts(self, messages: Sequence[Message], add_generation_prompt: bool) -> Iterator[int | str]:
        """Special tokens' ids, and text that is to be encoded as it is."""
        rendered = _PLACEHOLDER.split(self._render(messages, add_generation_prompt))
        indexes = [int(index) for index in rendered[2::4]]
        unclear = set(range(len(messages))) ^ set(indexes)
        if unclear or len(indexes) != len(messages) or any(_BLANK in text for text in rendered[::4]):
            raise ChatTemplateError(f"{self._name}: leaves out, repeats or changes the text of a message")
        yield from self._tokenizer.split_template(rendered[0])
        for left, index, right, after in zip(*(rendered[i::4] for i in (1, 2, 3, 4)), strict=True):
            content = messages[int(index)].content
            content = content if left else content.lstrip()
            yield content if right else content.rstrip()
            yield from self._tokenizer.split_template(after)

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        for message in messages:
            if message.role not in get_args(
                Role
            ):  # the template writes it down, so it must not come from outside
                raise ChatTemplateError(f"{self._name}: unknown role {message.role!r:.40}")
        placeholders = [
            {"role": message.role, "content": f"{_EDGE}{_HEAD}{i}{_TAIL}{_EDGE}"}
            for i, message in enumerate(messages)
        ]
        values = {"messages": placeholders, "add_generation_prompt": add_generation_prompt, "tools": None}
        try:
            return render(self._template, {**values, **self._tokens})
        except ChatTemplateError as e:
            raise ChatTemplateError(f"{self._name}: {e}") from None
