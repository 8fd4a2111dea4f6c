"""Text to tokens and back: tokenizer, chat template, conversation, stop strings, the end of a turn."""

from llm.text.chat import ChatTemplate, ChatTemplateError, Message
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.tokenizer import Tokenizer, TokenizerError

__all__ = ["SYSTEM_PROMPT", "ChatTemplate", "ChatTemplateError", "Message", "Tokenizer", "TokenizerError"]
