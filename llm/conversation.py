"""Prompts for a spoken conversation: what the model is told, and what it can still remember."""

from collections.abc import Sequence

from llm.chat import ChatTemplate, Message

# Of four tried on fifty questions this one made the fewest excuses: told that it is a "voice assistant",
# SmolLM2-135M apologises for not being able to do anything.
SYSTEM_PROMPT = (
    "You are a helpful assistant who speaks aloud. "
    "Give short, direct, correct answers in one or two plain sentences, without lists."
)


def fit(
    messages: Sequence[Message], template: ChatTemplate, *, context: int, reserve: int
) -> tuple[list[int], list[Message]]:
    """Token ids of the longest history that leaves `reserve` tokens of `context`, and that history.

    Whole turns are dropped, oldest first: a system message stays, and what follows it begins with
    the user. The last turn is never dropped; if it alone is too long the engine refuses it.
    """
    kept = list(messages)
    head = 1 if kept and kept[0].role == "system" else 0
    ids = template.ids(kept)
    while len(ids) > context - reserve and (cut := _next_turn(kept, head)):
        del kept[head:cut]
        ids = template.ids(kept)
    return ids, kept


def _next_turn(messages: Sequence[Message], head: int) -> int:
    """Index of the second user message after `head`, 0 when there is none."""
    return next((i for i in range(head + 1, len(messages)) if messages[i].role == "user"), 0)
