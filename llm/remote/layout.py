"""A conversation as a server is sent it: each request begins with all of the one before it.

Servers keep the keys and values of what they have read, by its tokens from the first one on (vLLM's automatic
prefix caching, llama.cpp's `cache_prompt`). So what a message looks like depends on it and on what stands
before it, never on what follows.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from llm.text.complete import closed
from llm.text.message import Message


def closed_turns(messages: Sequence[Message]) -> list[Message]:
    """The messages with what the user says as closed sentences, joined where no reply is between them.

    Only the last message can change afterwards: the user goes on before any word of a reply was heard.
    """
    turns: list[Message] = []
    for message in messages:
        if message.role == "user" and turns and turns[-1].role == "user":
            turns[-1] = Message("user", f"{turns[-1].content} {message.content}")
        else:
            turns.append(message)
    return [replace(turn, content=closed(turn.content)) if turn.role == "user" else turn for turn in turns]


def fit(messages: Sequence[Message], budget: int) -> list[Message]:
    """The messages; without their oldest turns, but with the system's, if they exceed `budget` characters.

    What must be cut is cut to three quarters, and where is found as it was for each request before this one:
    the next prompts begin as this one until the quarter is full again. The last turn stays; if it is too
    long, the server says so.
    """
    head = 1 if messages and messages[0].role == "system" else 0
    sizes = [0, *accumulate(map(_chars, messages))]
    starts: list[int] = []  # of the turns that may be the first
    start = head
    for index, message in enumerate(messages):
        if index > head and message.role == "user" and messages[index - 1].role != "user":
            starts.append(index)
        asks = message.role != "assistant" or index == len(messages) - 1
        if asks and sizes[head] + sizes[index + 1] - sizes[start] > budget and starts:
            room = budget * 3 // 4 - sizes[head]
            fitting = (at for at in starts if sizes[index + 1] - sizes[at] <= room)
            start = max(start, next(fitting, starts[-1]))
            starts = [at for at in starts if at > start]
    return [*messages[:head], *messages[start:]]


def _chars(message: Message) -> int:
    return len(message.content) + sum(len(call.arguments) for call in message.calls)
