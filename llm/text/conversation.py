"""Prompts for a spoken conversation: what the model is told, and what it can still remember."""

from collections.abc import Sequence

from llm.text.chat import ChatTemplate, Message, Tool

# Of four tried on fifty questions this one made the fewest excuses: told that it is a "voice assistant",
# SmolLM2-135M apologises for not being able to do anything.
SYSTEM_PROMPT = (
    "You are a helpful assistant who speaks aloud. "
    "Give short, direct, correct answers in one or two plain sentences, without lists."
)


_FILLED = 0.75  # of the room, after turns were dropped


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
    ids = template.ids(kept, tools)
    room = context - reserve
    if len(ids) > room:
        starts = [i for i in range(head + 1, len(kept)) if kept[i].role == "user"]
        within = [i for i in starts if len(template.ids(kept[:head] + kept[i:], tools)) <= room * _FILLED]
        if cut := (within or starts[-1:] or [0])[0]:
            del kept[head:cut]
            ids = template.ids(kept, tools)
    return ids, kept
