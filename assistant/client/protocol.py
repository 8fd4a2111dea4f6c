"""A client of the Realtime API as a pure machine: (state, event) -> (state, events to send, commands).

`take` is for what the server sends; the other functions are for what happens here.
"""

from collections.abc import Mapping
from dataclasses import replace

from assistant.client.from_server import CANCEL, HANDLERS, HEARD, PARTIALS
from assistant.client.state import Event, Outcome, State, Step
from assistant.server.formats import PCM

_SHORTEST_MS = 100  # of a turn that servers take


def begin(*, push_to_talk: bool) -> tuple[Event, ...]:
    """What is sent first. Partial transcripts are asked for apart: only `assistant serve` knows them."""
    sound = {"type": PCM.name, "rate": PCM.rate}
    heard = {
        "format": sound,
        "transcription": {"model": "gpt-4o-mini-transcribe"},  # a name that every server takes
        "turn_detection": None if push_to_talk else {"type": "semantic_vad"},
    }
    settings = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"input": heard, "output": {"format": sound}},
    }
    partials = {"type": "realtime", "include": ["assistant.partials"]}
    return (
        {"type": "session.update", "session": settings},
        {"type": "session.update", "session": partials, "event_id": PARTIALS},
    )


def connected(state: State) -> State:
    """Another connection is open; of the one before is known what may be resumed."""
    return State(resumable=state.resumable, cut=state.cut)


def go_on(state: State) -> Outcome:
    """The connection is ready; of a reply that the loss cut off the server is told what was heard."""
    step = Step(state)
    for item, ms in state.cut.items() if state.resumed else ():
        place = {"item_id": item, "content_index": 0, "audio_end_ms": ms}
        step.send("conversation.item.truncate", **place, event_id=HEARD)
    step.change(cut={})
    return step.outcome()


def take(state: State, event: Event) -> Outcome:
    """Take an event of the server's; one of an unknown type changes nothing.

    Raises AttributeError, KeyError, TypeError or ValueError for one that is not as the protocol has it.
    """
    step = Step(state)
    handler = HANDLERS.get(event["type"])
    if handler is not None:
        handler(step, event)
    return step.outcome()


def interrupt(state: State) -> Outcome:
    """The user speaks over the reply, or stops it by a key."""
    step = Step(state)
    if any(not reply.done and not reply.interrupted for reply in state.replies.values()):
        step.send("response.cancel", event_id=CANCEL)
    step.interrupt()
    return step.outcome()


def hushed(state: State, heard_ms: Mapping[str, int]) -> Outcome:
    """It is silent, and of the replies that were to sound so much was heard."""
    step = Step(state)
    for name, ms in heard_ms.items():
        reply = state.replies.get(name)
        if reply is None or reply.silent:
            continue
        place = {"item_id": reply.item, "content_index": 0, "audio_end_ms": ms}
        step.send("conversation.item.truncate", **place, event_id=HEARD + reply.id)
        step.send("conversation.item.retrieve", item_id=reply.item, event_id=HEARD + reply.id)
        step.update(replace(reply, silent=True, interrupted=True, settled=False, heard_ms=ms))
    return step.outcome()


def played(state: State, name: str) -> Outcome:
    """A reply has sounded to its end."""
    step = Step(state)
    reply = state.replies.get(name)
    if reply is not None:
        step.update(replace(reply, silent=True))
    return step.outcome()


def commit(state: State, begin_ms: int, sent_ms: int) -> Outcome:
    """The user gives the floor back by a key, having taken it there in the audio that is sent by now."""
    step = Step(state)
    if sent_ms - begin_ms < _SHORTEST_MS:
        step.send("input_audio_buffer.clear")
        return step.outcome()
    step.change(committed_ms=sent_ms)
    step.send("input_audio_buffer.commit")
    step.send("response.create")
    return step.outcome()


def lose(state: State, heard_ms: Mapping[str, int]) -> Outcome:
    """The connection is lost, and it is silent: nothing more comes of the replies that were under way."""
    step = Step(state)
    for reply in state.replies.values():
        cut = not (reply.done and reply.silent)
        ms = heard_ms.get(reply.id, reply.heard_ms)
        if cut and reply.item:
            step.change(cut={**step.state.cut, reply.item: ms})
        over = replace(reply, done=True, silent=True, settled=True, heard_ms=ms)
        step.update(replace(over, interrupted=reply.interrupted or cut))
    return step.outcome()
