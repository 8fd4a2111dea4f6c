"""The user's words as a closed sentence, and what a template puts behind them."""

from llm.text.chat import ChatTemplate, Message

_TRAILING = ".,;:-\u2013\u2014\u2026 \n"  # dashes and an ellipsis too


def closed(transcript: str) -> str:
    """The transcript as a closed sentence: one mark at its end, whether or not it was complete."""
    text = transcript.strip().rstrip(_TRAILING)
    return text if text.endswith(("?", "!")) else text + "."


def tokens_behind(template: ChatTemplate) -> int:
    """How many tokens the template puts behind the user's words: where two prompts end alike."""
    a, b = (template.ids([Message("user", text)])[::-1] for text in ("yes", "no"))
    return next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)


def closing_tokens(template: ChatTemplate) -> tuple[int, ...]:
    """The tokens that may follow a sentence of the user's that is over: `.`, `?`, `!`, the message's end."""
    behind = tokens_behind(template)
    ends = [template.ids([Message("user", f"yes{mark}")])[-behind - 1 :] for mark in ".?!"]
    return tuple(dict.fromkeys([*(mark for mark, *_ in ends), ends[0][1]]))
