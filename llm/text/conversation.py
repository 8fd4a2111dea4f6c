"""Prompts for a spoken conversation: what the model is told, and what it can still remember."""

from bisect import bisect_left
from collections.abc import Sequence

from llm.text.chat import ChatTemplate, Message, Tool

# Of four tried on fifty questions this one made the fewest excuses: told that it is a "voice assistant",
# SmolLM2-135M apologises for not being able to do anything.
SYSTEM_PROMPT = (
    "You are a helpful assistant who speaks aloud. "
    "Give short, direct, correct answers in one or two plain sentences, without lists."
)


_FILLED = 0.75  # of the room, after turns were dropped
_CHARS_PER_TOKEN = 16  # at most, over a whole history: English has 4 to 5


def fit(
    messages: Sequence[Message],
    template: ChatTemplate,
    *,
    context: int,
    reserve: int,
    tools: Sequence[Tool] = (),
) -> tuple[list[int], list[Message]]:
    """Token ids of a history that leaves `reserve` tokens of `context`, and that history.

    If not all of it does, whole turns are dropped, oldest first, until a quarter of the room is free: then
    it is many turns to the next time. A system message stays, and what follows it begins with the user. The
    last turn is never dropped; if it alone is too long the engine refuses it.
    """
    kept = list(messages)
    head = 1 if kept and kept[0].role == "system" else 0
    room = context - reserve
    sure = _surely_too_much(kept, room * _CHARS_PER_TOKEN)
    ids = [] if sure else template.ids(kept, tools)
    if sure or len(ids) > room:
        starts = [i for i in range(head + 1, len(kept)) if kept[i].role == "user"]

        def fits(start: int) -> bool:
            left = template.ids(kept[:head] + kept[start:], tools) if start >= sure else None
            return left is not None and len(left) <= room * _FILLED

        first = bisect_left(starts, True, key=fits)  # each drops more than the one before
        del kept[head : (starts[first:] or starts[-1:] or [head])[0]]
        ids = template.ids(kept, tools)
    return ids, kept


def _surely_too_much(messages: Sequence[Message], chars: int) -> int:
    """How many of the oldest messages are beyond so many characters, and not worth encoding."""
    for index in range(len(messages) - 1, -1, -1):
        calls = messages[index].calls
        chars -= len(messages[index].content) + sum(len(call.arguments) for call in calls)
        if chars < 0:
            return index + 1
    return 0
