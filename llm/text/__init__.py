"""Text to tokens and back: tokenizer, chat template, conversation, stop strings, the end of a turn."""

from llm.text.chat import Call, ChatTemplate, ChatTemplateError, Message, Tool
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.tokenizer import Tokenizer, TokenizerError

__all__ = [
    "SYSTEM_PROMPT",
    "Call",
    "ChatTemplate",
    "ChatTemplateError",
    "Message",
    "Tokenizer",
    "TokenizerError",
    "Tool",
]
