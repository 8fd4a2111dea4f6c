"""A client of the pure protocol, without socket and session: the strictest client hears every event."""

import json
from collections.abc import Mapping
from typing import Any

from listener import Listener

from assistant.server import protocol
from assistant.server.from_session import ReplyAudio
from assistant.server.resume import NOTHING, Resume
from assistant.server.settings import Limits
from assistant.server.state import Command, Request
from assistant.server.wire import WireError, read_event, write_event
from assistant.session.conversation import AssistantItem, ItemAdded
from assistant.session.events import ReplyDone, ReplyStarted, SessionEvent, TextDelta

Event = Mapping[str, Any]


class PureClient:
    """`send` what a client sends, `tell` what happens in its session: both return what the client hears."""

    def __init__(
        self,
        limits: Limits | None = None,
        session: Event | None = None,
        *,
        can_call: bool = True,
        resume: Resume = NOTHING,
    ) -> None:
        self.state = protocol.open_state(
            "x", "assistant", "Be brief.", 99, limits or Limits(), can_call=can_call
        )
        self.listener = Listener()
        self.commands: list[Command] = []
        """What the last event asked for."""
        self.greeting = self._follow(protocol.greet(self.state, resume))
        if session is not None:
            self.send({"type": "session.update", "session": session})

    def _follow(self, outcome: protocol.Outcome) -> list[Any]:
        self.state, events, commands = outcome
        self.commands = list(commands)
        sent = [json.loads(write_event(event)) for event in events]
        for event in sent:
            self.listener.hear(event)
        return sent

    def send(self, event: Event | str) -> list[Any]:
        try:
            read = read_event(event if isinstance(event, str) else json.dumps(event))
        except WireError as error:
            return self._follow(protocol.refuse(self.state, error))
        return self._follow(protocol.take(self.state, read))

    def tell(self, *events: SessionEvent | ReplyAudio) -> list[Any]:
        return [heard for event in events for heard in self._follow(protocol.tell(self.state, event))]

    def error(self, event: Event | str) -> Any:  # noqa: ANN401  # any JSON
        """The error that is the only answer to `event`, which changes and does nothing."""
        before = (self.state.session, self.state.items, self.state.response, self.state.pending)
        (answer,) = self.send(event)
        assert answer["type"] == "error" and self.commands == []
        assert (self.state.session, self.state.items, self.state.response, self.state.pending) == before
        return answer["error"]

    def ask(self, response: Event | None = None) -> Request:
        """Ask for a response."""
        self.send({"type": "response.create", "event_id": "mine", "response": response or {}})
        (command,) = self.commands
        assert isinstance(command, Request)
        return command

    def begin(self, number: int, response: Event | None = None) -> str:
        """Ask for a response that begins to speak, as item `item_NUMBER`."""
        request, name = self.ask(response).request, f"item_{number}"
        added = [ItemAdded(AssistantItem(name), None)] if request.in_conversation else []
        self.tell(*added, ReplyStarted(number, name, request), TextDelta(number, "Fine."))
        return name


def done(number: int, *, interrupted: bool = False, reason: str = "end") -> ReplyDone:
    """The end of a reply that said nothing of interest."""
    return ReplyDone(
        number, "", "Fine.", "", 0, 0, None, interrupted, False, 0, reason=reason, prompt_tokens=7, tokens=2
    )


def typed(text: str, **more: Any) -> Event:  # noqa: ANN401  # fields of an item
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}
    return {"type": "conversation.item.create", "item": item, "event_id": "mine"}


def kinds(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]
