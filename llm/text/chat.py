"""A model's chat template: messages to token ids, with nothing in a message able to become a special token.

The template is rendered with a placeholder for the text of each message. What stands around the placeholders
comes with the model and may call for special tokens; what people wrote takes their places as plain text.
Tools, calls and their outputs are marked instead (`llm.text.marked`), and what is marked is plain text, too.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any, Self, get_args

from jinja2 import Template

from llm.gguf.file import GgufFile
from llm.text.marked import mark, mark_json, split_marked
from llm.text.message import Call, Message, Role, Tool, as_text, paired, read_object, without_later_system
from llm.text.sandbox import ChatTemplateError, compile_template, render
from llm.text.tokenizer import Tokenizer

__all__ = ["Call", "ChatTemplate", "ChatTemplateError", "Message", "Role", "Tool"]

# A template that trims a message takes off a whole edge, which counts as white space, and so tells that it
# did. One that cuts, escapes or otherwise changes it breaks the middle or an edge, and is found out.
_BLANK = "\x1f"
_EDGE = _BLANK * 7
_HEAD, _TAIL = "Message ", "\"'<&\\\n;"
_PLACEHOLDER = re.compile(f"({_EDGE})?{re.escape(_HEAD)}([0-9]{{1,6}}){re.escape(_TAIL)}({_EDGE})?")


# What a template that takes tools writes down: the name, the argument and the output.
_SAMPLE_TOOL = Tool(
    "tell_time", "Tells the time.", '{"type": "object", "properties": {"city": {"type": "string"}}}'
)
_SAMPLE = (
    Message("system", "Be brief."),
    Message("user", "What time is it?"),
    Message("assistant", "", (Call("sample", "tell_time", '{"city": "Lisbon"}'),)),
    Message("tool", "Half past nine.", call_id="sample"),
)
_SHORT_ID = re.compile("[A-Za-z0-9]{9}")


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

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the template shows tools, calls and their outputs."""
        try:
            asked = self._text(_SAMPLE[:2], (_SAMPLE_TOOL,))
            answered = self._text(_SAMPLE, (_SAMPLE_TOOL,))
        except ChatTemplateError:
            return False
        return "tell_time" in asked and all(part in answered for part in ("Lisbon", _SAMPLE[-1].content))

    def ids(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, add_generation_prompt: bool = True
    ) -> list[int]:
        """The conversation as the model wants to read it, by default up to where its next reply begins.

        The ids are those of rendering the messages themselves and encoding the whole, but for text from
        outside that spells out a special token, which stays text. A template that takes tools is given
        `tools`, calls and outputs (`paired`) as Hugging Face's conventions have them, with ids of nine
        letters and digits, which Mistral's templates want. For others calls and outputs are text, and tools
        nothing. Where a template knows no system message but the first, later ones are what the user says.
        Raises ChatTemplateError for a conversation that the template refuses and a template that leaves out,
        repeats or changes a message (but trims it).
        """
        runs: list[int | str] = []
        for part in self._written(messages, tools, add_generation_prompt):
            if isinstance(part, str) and runs and isinstance(runs[-1], str):
                runs[-1] += part  # words may reach over the border between template and message
            else:
                runs.append(part)
        return [i for run in runs for i in ([run] if isinstance(run, int) else self._tokenizer.encode(run))]

    def _written(
        self, messages: Sequence[Message], tools: Sequence[Tool], add_generation_prompt: bool
    ) -> Sequence[int | str]:
        try:
            return self._with_tools(messages, tools, add_generation_prompt)
        except ChatTemplateError:
            said = without_later_system(messages)
            if said == list(messages):
                raise
            return self._with_tools(said, tools, add_generation_prompt)

    def _with_tools(
        self, messages: Sequence[Message], tools: Sequence[Tool], add_generation_prompt: bool
    ) -> Sequence[int | str]:
        if not tools and not any(map(_is_of_tools, messages)):
            return self._parts(messages, (), add_generation_prompt)
        if not self.takes_tools:
            return self._parts(as_text(messages), (), add_generation_prompt)
        try:
            return self._parts(paired(messages), tools, add_generation_prompt)
        except ChatTemplateError:  # Llama's want one call a message
            return self._parts(paired(messages, one_by_one=True), tools, add_generation_prompt)

    def _parts(
        self, messages: Sequence[Message], tools: Sequence[Tool], add_generation_prompt: bool
    ) -> Sequence[int | str]:
        """Special tokens' ids, and text that is to be encoded as it is."""
        rendered = _PLACEHOLDER.split(self._render(messages, tools, add_generation_prompt))
        indexes = [int(index) for index in rendered[2::4]]
        expected = [i for i, message in enumerate(messages) if not _is_of_tools(message)]
        if sorted(indexes) != expected or any(_BLANK in text for text in rendered[::4]):
            raise ChatTemplateError(f"{self._name}: leaves out, repeats or changes the text of a message")
        parts = [*self._template_parts(rendered[0])]
        for left, index, right, after in zip(*(rendered[i::4] for i in (1, 2, 3, 4)), strict=True):
            content = messages[int(index)].content
            content = content if left else content.lstrip()
            parts.append(content if right else content.rstrip())
            parts += self._template_parts(after)
        return parts

    def _template_parts(self, text: str) -> Iterator[int | str]:
        """What the template wrote, cut at its special tokens, and what was marked in it, as text."""
        for i, run in enumerate(split_marked(text)):
            yield from [run] if i % 2 else self._tokenizer.split_template(run)

    def _text(self, messages: Sequence[Message], tools: Sequence[Tool]) -> str:
        return "".join(part for part in self._parts(messages, tools, True) if isinstance(part, str))

    def _render(self, messages: Sequence[Message], tools: Sequence[Tool], add_generation_prompt: bool) -> str:
        for message in messages:
            # The template writes it down, so it must not come from outside.
            if message.role not in get_args(Role):
                raise ChatTemplateError(f"{self._name}: unknown role {message.role!r:.40}")
        values = {
            "messages": [_shown(message, i) for i, message in enumerate(messages)],
            "add_generation_prompt": add_generation_prompt,
            "tools": [mark_json(tool.to_dict()) for tool in tools] or None,
            "enable_thinking": False,  # Qwen3's would be spoken
        }
        try:
            return render(self._template, {**values, **self._tokens})
        except ChatTemplateError as e:
            raise ChatTemplateError(f"{self._name}: {e}") from None


def _is_of_tools(message: Message) -> bool:
    return bool(message.calls) or message.role == "tool"


def _shown(message: Message, index: int) -> dict[str, Any]:
    """A message as the template sees it."""
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": _short_id(message.call_id or ""),
            "content": mark(message.content),
        }
    if message.calls:
        calls = [_shown_call(call) for call in message.calls]
        return {"role": message.role, "content": mark(message.content), "tool_calls": calls}
    return {"role": message.role, "content": f"{_EDGE}{_HEAD}{index}{_TAIL}{_EDGE}"}


def _shown_call(call: Call) -> dict[str, Any]:
    arguments = read_object(call.arguments)
    shown = mark(call.arguments) if arguments is None else mark_json(arguments)
    function = {"name": mark(call.name), "arguments": shown}
    return {"type": "function", "id": _short_id(call.id), "function": function}


def _short_id(call_id: str) -> str:
    if not _SHORT_ID.fullmatch(call_id):
        call_id = sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:9]
    return mark(call_id)
