"""Whatever a client sends and whatever its session does meanwhile: the strictest client understands it all.

A model of a session carries out what the protocol asks for, in every order that a session can; `Listener`
checks each event. Independent of the protocol's state are what the client knows and the conversation itself.
"""

import json
from collections.abc import Mapping
from typing import Any

from client_events import EVENTS, ITEMS, JUNK, OPTIONS, UPDATES, audio, replaced
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from listener import Listener
from session_model import SessionModel
from sizes import FULL

from asr.stabilize import Partial
from assistant.server import protocol
from assistant.server.settings import Limits
from assistant.server.wire import WireError, read_event, write_event
from assistant.session import turn

Event = Mapping[str, Any]
ITEM = st.integers(0, 40)  # of those that the client knows, counted round
SMALL = Limits(instructions=200, tools=3, item=300, items=12, history=3000, buffer_ms=3000)


class Talk(RuleBasedStateMachine):
    """One connection."""

    def __init__(self) -> None:
        super().__init__()
        self.state = protocol.open_state("x", "assistant", "Be brief.", 99, SMALL, can_call=True)
        self.session, self.client = SessionModel("x"), Listener()
        self.events = 0
        self.asked: str | None = None  # the client's event that wants a response, while it has no answer
        self.deleted: list[str] = []
        self.heard: list[Event] = []  # at this step
        self._follow(protocol.greet(self.state))

    def _follow(self, outcome: protocol.Outcome) -> None:
        self.state, events, commands = outcome
        for event in events:
            self._hear(json.loads(write_event(event)))
        for command in commands:
            self.session.carry_out(command, self.state)

    def _hear(self, event: Event) -> None:
        self.client.hear(event)
        self.heard.append(event)
        if event["type"] == "response.created":
            tag = (event["response"]["metadata"] or {}).get("tag")
            self.asked = None if tag == self.asked else self.asked
        if event["type"] == "error" and event["error"]["event_id"] == self.asked:
            self.asked = None

    def _catch_up(self) -> None:
        while self.session.events:
            self._follow(self.session.tell(self.state))

    def _send(self, event: Event) -> list[Event]:
        """Send an event of the client's; what it hears at once, without what had happened before."""
        self.events += 1
        name = f"c{self.events}"
        self._catch_up()
        self.heard, session = [], self.state.session
        wrong_before = len(self.client.errors)
        try:
            read = read_event(json.dumps({**event, "event_id": name}))
        except WireError as error:
            self._follow(protocol.refuse(self.state, error))
        else:
            self._follow(protocol.take(self.state, read))
        wrong = self.client.errors[wrong_before:]
        assert [error["event_id"] for error in wrong] in ([], [name]), "one error, about this event"
        if wrong:
            assert self.state.session == session and len(self.heard) == 1
        heard = list(self.heard)
        self._catch_up()
        return heard

    def _item(self, index: int) -> str:
        self._catch_up()
        known = [*self.client.order, *self.client.aside]
        return known[index % len(known)] if known else "nothing"

    def _begun(self) -> list[str]:
        """Items that are not complete, whether they are there or not."""
        speech = [self.client.speech] if self.client.speech else []
        return (
            speech + [output.item["id"] for output in self.client.answer.outputs]
            if self.client.answer
            else speech
        )

    def _code(self, heard: list[Event]) -> str | None:
        return heard[0]["error"]["code"] if heard and heard[0]["type"] == "error" else None

    # The client

    @rule(update=UPDATES)
    def update_session(self, update: Event) -> None:
        (updated,) = self._send({"type": "session.update", "session": update})
        assert updated["type"] == "session.updated"

    @rule(ms=st.sampled_from([1, 20, 100, 1000, 4000]))
    def append(self, ms: int) -> None:
        input_format = self.client.session["audio"]["input"]["format"]["type"]
        heard = self._send({"type": "input_audio_buffer.append", "audio": audio(input_format, ms)})
        assert self._code(heard) in (None, "input_audio_buffer_full")

    @rule(
        kind=st.sampled_from(
            ["input_audio_buffer.commit", "input_audio_buffer.clear", "output_audio_buffer.clear"]
        )
    )
    def command(self, kind: str) -> None:
        heard = self._send({"type": kind})
        assert self._code(heard) in (None, "input_audio_buffer_commit_empty")
        assert kind != "input_audio_buffer.clear" or heard[0]["type"] == "input_audio_buffer.cleared"

    @rule(
        item=ITEMS,
        name=st.sampled_from(["new", "none", "known", "deleted", "speech"]),
        after=st.none() | st.just("root") | ITEM,
    )
    def create_item(self, item: Event, name: str, after: int | str | None) -> None:
        self._catch_up()
        names = {"new": f"mine_{self.events}", "speech": self.client.speech}
        if self.client.order:
            names["known"] = self._item(self.events)
        if self.deleted:
            names["deleted"] = self.deleted[-1]
        wanted = {**item, "id": names[name]} if names.get(name) else item
        taken = "id" in wanted and (wanted["id"] in self.client or wanted["id"] in self._begun())
        previous = after
        if isinstance(after, int):
            previous = self.client.order[after % len(self.client.order)] if self.client.order else None
        heard = self._send({"type": "conversation.item.create", "item": wanted, "previous_item_id": previous})
        if taken:
            assert self._code(heard) == "item_create_duplicate_item_id"
            return
        assert [event["type"] for event in heard[:2]] == ["conversation.item.added", "conversation.item.done"]
        if previous == "root":
            assert heard[0]["previous_item_id"] is None
        elif previous is not None:
            assert heard[0]["previous_item_id"] == previous

    @rule(index=ITEM)
    def retrieve_item(self, index: int) -> None:
        name = self._item(index)
        known = name in self.client
        (heard,) = self._send({"type": "conversation.item.retrieve", "item_id": name})
        if known:
            assert heard["item"]["id"] == name
        else:
            assert self._code([heard]) == "item_retrieve_invalid_item_id"

    @rule(index=ITEM)
    def delete_item(self, index: int) -> None:
        name = self._item(index)
        known = name in self.client
        (heard,) = self._send({"type": "conversation.item.delete", "item_id": name})
        self.deleted += [name] if known else []
        assert known == (heard["type"] == "conversation.item.deleted")

    @rule(index=ITEM, share=st.sampled_from([0.0, 0.3, 1.0, 2.0]))
    def truncate_item(self, index: int, share: float) -> None:
        self._catch_up()
        voiced = [name for name in self.client.sent_ms if name in self.client]
        name = voiced[index % len(voiced)] if voiced else "nothing"
        sent_ms = self.client.sent_ms.get(name, 0)
        end_ms = int(sent_ms * share)
        event = {"type": "conversation.item.truncate", "item_id": name, "content_index": 0}
        (heard,) = self._send({**event, "audio_end_ms": end_ms})
        if voiced:
            assert (heard["item_id"], heard["audio_end_ms"]) == (name, min(end_ms, sent_ms))
        else:
            assert self._code([heard]) == "item_truncate_invalid_item_id"

    @rule(options=OPTIONS, refer=st.none() | ITEM)
    def create_response(self, options: Event, refer: int | None) -> None:
        self._catch_up()
        busy = self.asked is not None or self.client.answer is not None
        name = f"c{self.events + 1}"
        wanted = {**options, "metadata": {"tag": name}}
        if refer is not None and self.client.order:
            reference = {"type": "item_reference", "id": self.client.order[refer % len(self.client.order)]}
            wanted["input"] = [*wanted.get("input", ()), reference]
        asked, self.asked = self.asked, self.asked or name
        heard = self._send({"type": "response.create", "response": wanted})
        if self._code(heard):
            assert busy and self._code(heard) == "conversation_already_has_active_response"
            assert self.asked == asked or asked is None

    @rule(which=st.sampled_from(["any", "this", "other"]))
    def cancel_response(self, which: str) -> None:
        self._catch_up()
        active = self.client.answer
        names = {"this": active.id if active else "resp_0", "other": "resp_other"}
        wanted = {"response_id": names[which]} if which in names else {}
        asked = self.asked
        heard = self._send({"type": "response.cancel", **wanted})
        if which == "other" or (active is None and (asked is None or which == "this")):
            assert self._code(heard) == "response_cancel_not_active"
            assert heard[0]["error"]["message"].startswith("Cancellation failed")
        else:
            assert self._code(heard) is None

    @rule(event=EVENTS, junk=JUNK, place=st.integers(0, 30), index=ITEM)
    def send_nonsense(self, event: Event, junk: Any, place: int, index: int) -> None:  # noqa: ANN401
        changed = replaced(event, place, junk)
        if changed.get("type") == "response.create" and self.asked is None:
            changed["response"] = "none"  # whose answer nobody would know
        self._send(changed)

    # The session

    @rule(windows=st.sampled_from([1, 2, 4, 8]), voice=st.sampled_from([0.1, 0.9]))
    def hear(self, windows: int, voice: float) -> None:
        self.session.hear(windows, voice)

    @rule(voice_windows=st.integers(2, 8))
    def take_a_turn(self, voice_windows: int) -> None:
        self.session.hear(voice_windows, 0.9)
        self.session.hear(10, 0.1)
        self.session.score(0.99)
        self.session.hear(10, 0.1)

    @rule(probability=st.sampled_from([0.01, 0.99]))
    def score(self, probability: float) -> None:
        self.session.score(probability)

    @rule()
    def look(self) -> None:
        self.session.look()

    @rule(text=st.sampled_from(["", "how are you"]), fails=st.booleans())
    def transcribe(self, text: str, fails: bool) -> None:
        self.session.transcribe(text, fails=fails)

    @rule()
    def answer(self) -> None:
        self.session.answer()

    @rule(asked=st.booleans(), aside=st.booleans())
    def begin_a_reply(self, asked: bool, aside: bool) -> None:
        """What it takes, so that examples get there."""
        if asked:
            self.create_response({"conversation": "none" if aside else "auto"}, None)
            self.session.look()
        else:
            self.take_a_turn(4)
        self.session.transcribe("how are you")
        self.session.answer()

    @rule(
        parts=st.lists(st.sampled_from(["say", "play", "hear", "call", "tell"]), min_size=2, max_size=6),
        ms=st.sampled_from([0, 20, 500]),
    )
    def reply(self, parts: list[str], ms: int) -> None:
        for part in parts:
            if part in ("play", "hear"):
                self.session.play(ms, " word", heard=part == "hear")
            elif part == "tell":
                self._catch_up()
            elif part == "call":
                self.session.call("weather")
            else:
                self.session.say(" And you?")

    @rule(stage=st.sampled_from(["reply", "generate", "score", "recognize"]))
    def fail(self, stage: str) -> None:
        self.session.fail(stage)

    @rule(stable=st.sampled_from(["", "how"]))
    def recognize(self, stable: str) -> None:
        self.session.events.append(Partial(stable, " are"))

    @rule(dropped=st.sampled_from([0, 0, 2]), reason=st.sampled_from(["end", "length"]))
    def finish(self, dropped: int, reason: str) -> None:
        self.session.finish(dropped, reason)

    @rule(count=st.integers(1, 5))
    def tell(self, count: int) -> None:
        for _ in range(min(count, len(self.session.events))):
            self._follow(self.session.tell(self.state))

    @rule()
    def tell_all(self) -> None:
        self._catch_up()

    # What holds at any time

    @invariant()
    def the_order_is_that_of_the_conversation(self) -> None:
        if self.session.events:
            return
        kept = [item.id for item in self.session.conversation.items]
        assert [name for name in self.client.order if name in kept] == [
            name for name in kept if name in self.client
        ]
        answering = self.state.response.item if self.state.response else None
        assert set(kept) - set(self.client.order) <= {answering}, "an item that the client was never told of"

    def teardown(self) -> None:
        """What was begun comes to an end, and all that the client knows can still be asked for."""
        for _ in range(20):
            self.session.look()
            self.session.transcribe("how are you")
            self.session.answer()
            self.session.finish(0)
            self._catch_up()
        assert not isinstance(self.session.state, turn.Replying) and not self.session.inputs
        assert self.client.answer is None, "a response that never ends"
        assert self.asked is None, "a response that was asked for and never made or refused"
        for name in [*self.client.order, *self.client.aside]:
            (heard,) = self._send({"type": "conversation.item.retrieve", "item_id": name})
            assert heard["item"]["id"] == name


Talk.TestCase.settings = settings(
    max_examples=2000 if FULL else 200,
    report_multiple_bugs=False,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTalk = Talk.TestCase
