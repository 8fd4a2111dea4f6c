"""Examples as token ids: the model's chat template, the assistant's system prompt, and the reply to learn."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm.gguf.file import GgufFile
from llm.text import SYSTEM_PROMPT, ChatTemplate, Message, Tokenizer
from llm.train.grammar import Example


@dataclass(frozen=True)
class Encoded:
    """`ids` from `start` on are the reply, which alone is learnt."""

    ids: tuple[int, ...]
    start: int


class Encoder:
    """A model's tokenizer and template, read once."""

    def __init__(self, gguf: GgufFile) -> None:
        """Raises GgufError, TokenizerError and ChatTemplateError."""
        self.tokenizer = Tokenizer.from_gguf(gguf)
        self.template = ChatTemplate.from_gguf(gguf, self.tokenizer)
        self.end = gguf.get_int("tokenizer.ggml.eos_token_id")

    def prompt(self, example: Example) -> list[int]:
        """Ids up to where the reply begins."""
        system = [Message("system", SYSTEM_PROMPT)] if example.system else []
        return self.template.ids([*system, *example.messages])

    def encode(self, example: Example) -> Encoded:
        """The prompt, the example's reply and the token that ends it."""
        prompt = self.prompt(example)
        return Encoded((*prompt, *self.tokenizer.encode(example.reply), self.end), len(prompt))

    def continued(self, example: Example, reply: Sequence[int]) -> Encoded:
        """The prompt and a reply as it was generated, ended or not."""
        prompt = self.prompt(example)
        return Encoded((*prompt, *reply), len(prompt))
