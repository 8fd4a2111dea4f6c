"""The strictest client that there could be: it fails at the first event out of order.

It knows nothing of the server's code. Items are known once they were added, deltas are of what is open, and
there is one response at a time.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from event_fields import FINAL, SAMPLE_BYTES, check_event, duration_ms

Event = Mapping[str, Any]


@dataclass
class Output:
    """An item of a response."""

    item: Event
    text: str = ""
    audio_bytes: int = 0
    part: str = ""  # "open", "closed"
    text_over: bool = False
    arguments_over: bool = False
    done: Event | None = None


@dataclass
class Answer:
    """A response."""

    id: str
    spoken: bool
    audio: str
    aside: bool
    outputs: list[Output] = field(default_factory=list)


@dataclass
class Listener:
    """What the client knows; `hear` every event."""

    order: list[str] = field(default_factory=list)
    """The items of the conversation."""
    aside: list[str] = field(default_factory=list)
    """Those of responses outside it."""
    sent_ms: dict[str, int] = field(default_factory=dict)
    """Of the audio of each item with a voice."""
    answer: Answer | None = None
    speech: str | None = None
    session: Event = field(default_factory=dict)
    errors: list[Event] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    """The responses that are over."""
    _ids: set[str] = field(default_factory=set)
    _started_ms: int = 0
    _committed: tuple[str, str | None] | None = None
    _transcripts: dict[str, str | None] = field(default_factory=dict)  # None once it is complete
    _gone: set[str] = field(default_factory=set)

    def hear(self, event: Event) -> None:
        """Take an event; AssertionError if a client would trip over it."""
        check_event(event)
        kind = event["type"]
        assert self._ids or kind == "session.created", "the session comes first"
        assert event["event_id"] not in self._ids, "an event_id twice"
        self._ids.add(event["event_id"])
        if self._committed:
            assert kind == "conversation.item.added", "a committed turn becomes an item at once"
        getattr(self, "_" + kind.replace(".", "_").replace("conversation_item_input_audio_", ""))(event)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self.order or item_id in self.aside

    def _session_created(self, event: Event) -> None:
        assert not self.session
        self.session = event["session"]

    def _session_updated(self, event: Event) -> None:
        assert event["session"]["id"] == self.session["id"]
        self.session = event["session"]

    def _error(self, event: Event) -> None:
        self.errors.append(event["error"])

    # The user

    def _input_audio_buffer_speech_started(self, event: Event) -> None:
        assert self.speech is None and event["item_id"] not in self
        self.speech, self._started_ms = event["item_id"], event["audio_start_ms"]

    def _input_audio_buffer_speech_stopped(self, event: Event) -> None:
        assert self.speech == event["item_id"] and event["audio_end_ms"] >= self._started_ms
        self.speech = None

    def _input_audio_buffer_committed(self, event: Event) -> None:
        assert event["item_id"] != self.speech, "speech is stopped first"
        self._committed = event["item_id"], event["previous_item_id"]

    def _input_audio_buffer_cleared(self, event: Event) -> None:
        pass

    def _transcription_delta(self, event: Event) -> None:
        self._transcripts[event["item_id"]] = self._transcript(event) + event["delta"]

    def _transcription_completed(self, event: Event) -> None:
        assert self._transcript(event) == event["transcript"]
        self._transcripts[event["item_id"]] = None

    def _transcription_failed(self, event: Event) -> None:
        assert self._transcript(event) == ""
        self._transcripts[event["item_id"]] = None

    def _transcription_partial(self, event: Event) -> None:
        assert "assistant.partials" in self.session["include"] and event["item_id"] == self.speech

    def _transcript(self, event: Event) -> str:
        text = self._transcripts.get(event["item_id"])
        assert text is not None, "of a turn that is in the conversation and not transcribed"
        return text

    # Items

    def _conversation_item_added(self, event: Event) -> None:
        item, previous = event["item"], event["previous_item_id"]
        assert item["id"] not in self, "added twice"
        if self._committed:
            assert self._committed == (item["id"], previous)
            assert item["content"][0]["type"] == "input_audio"
            self._transcripts[item["id"]], self._committed = "", None
        if item["status"] == "in_progress":
            assert self.answer is not None and not self.answer.aside
            assert self.answer.outputs[-1].item == item, "output_item.added comes first"
        assert previous is None or previous in self.order, "behind an item that nobody knows"
        self.order.insert(self.order.index(previous) + 1 if previous else 0, item["id"])
        self._gone.discard(item["id"])

    def _conversation_item_done(self, event: Event) -> None:
        item = event["item"]
        at = self.order.index(item["id"])
        assert event["previous_item_id"] == (self.order[at - 1] if at else None)
        assert item["status"] in ("completed", "incomplete")
        output = self._output(item["id"])
        if output is not None:
            assert output.done is None
            self._check_output(output, item)

    def _conversation_item_deleted(self, event: Event) -> None:
        (self.order if event["item_id"] in self.order else self.aside).remove(event["item_id"])
        self._transcripts.pop(event["item_id"], None)
        self._gone.add(event["item_id"])

    def _conversation_item_retrieved(self, event: Event) -> None:
        assert event["item"]["id"] in self

    def _conversation_item_truncated(self, event: Event) -> None:
        assert event["audio_end_ms"] <= self.sent_ms[event["item_id"]]

    # Responses

    def _response_created(self, event: Event) -> None:
        response = event["response"]
        assert self.answer is None, "one response at a time"
        assert response["status"] == "in_progress" and response["output"] == []
        assert response["id"] not in self.answered
        spoken = response["output_modalities"] == ["audio"]
        kind = response["audio"]["output"]["format"]["type"]
        self.answer = Answer(response["id"], spoken, kind, aside=response["conversation_id"] is None)

    def _current(self, event: Event) -> Answer:
        assert self.answer is not None and self.answer.id == event["response_id"]
        return self.answer

    def _output(self, item_id: str) -> Output | None:
        outputs = self.answer.outputs if self.answer else []
        return next((output for output in outputs if output.item["id"] == item_id), None)

    def _open(self, event: Event) -> Output:
        """The item that an event of the response is about, which must be the last and open."""
        outputs = self._current(event).outputs
        assert event["output_index"] == len(outputs) - 1
        output = outputs[-1]
        assert output.done is None and output.item["id"] == event.get("item_id", output.item["id"])
        known = output.item["id"] in self or output.item["id"] in self._gone
        assert known, "conversation.item.added comes before"
        return output

    def _response_output_item_added(self, event: Event) -> None:
        answer, item = self._current(event), event["item"]
        assert event["output_index"] == len(answer.outputs) and item["status"] == "in_progress"
        assert item["id"] not in self
        assert all(output.done for output in answer.outputs), "one item at a time"
        assert not item.get("content") and not item.get("arguments")
        answer.outputs.append(Output(item))
        if answer.aside:
            self.aside.append(item["id"])

    def _response_content_part_added(self, event: Event) -> None:
        output = self._open(event)
        assert output.part == "" and output.item["type"] == "message"
        assert event["part"] == (
            {"type": "audio", "transcript": ""} if self._spoken else {"type": "text", "text": ""}
        )
        output.part = "open"
        if self._spoken:
            self.sent_ms[event["item_id"]] = 0

    @property
    def _spoken(self) -> bool:
        return self.answer is not None and self.answer.spoken

    def _delta(self, event: Event, *, spoken: bool) -> Output:
        output = self._open(event)
        assert output.part == "open" and not output.text_over and self._spoken == spoken
        return output

    def _response_output_audio_delta(self, event: Event) -> None:
        output, size = self._delta(event, spoken=True), len(base64.b64decode(event["delta"]))
        kind = self._current(event).audio
        assert size % SAMPLE_BYTES[kind] == 0, "half a sample"
        output.audio_bytes += size
        self.sent_ms[event["item_id"]] = duration_ms(kind, output.audio_bytes)

    def _response_output_audio_done(self, event: Event) -> None:
        self._delta(event, spoken=True)

    def _response_output_audio_transcript_delta(self, event: Event) -> None:
        self._delta(event, spoken=True).text += event["delta"]

    def _response_output_audio_transcript_done(self, event: Event) -> None:
        output = self._delta(event, spoken=True)
        assert output.text == event["transcript"]
        output.text_over = True

    def _response_output_text_delta(self, event: Event) -> None:
        self._delta(event, spoken=False).text += event["delta"]

    def _response_output_text_done(self, event: Event) -> None:
        output = self._delta(event, spoken=False)
        assert output.text == event["text"]
        output.text_over = True

    def _response_content_part_done(self, event: Event) -> None:
        output = self._open(event)
        assert output.part == "open" and output.text_over
        assert output.text == (event["part"].get("transcript") or event["part"].get("text") or "")
        output.part = "closed"

    def _response_function_call_arguments_delta(self, event: Event) -> None:
        output = self._open(event)
        assert output.item["type"] == "function_call" and event["call_id"] == output.item["call_id"]
        assert not output.arguments_over
        output.text += event["delta"]

    def _response_function_call_arguments_done(self, event: Event) -> None:
        output = self._open(event)
        assert (event["call_id"], event["name"]) == (output.item["call_id"], output.item["name"])
        assert output.text == event["arguments"]
        output.arguments_over = True

    def _response_output_item_done(self, event: Event) -> None:
        output = self._open(event)
        self._check_output(output, event["item"])
        output.done = event["item"]

    def _check_output(self, output: Output, item: Event) -> None:
        assert item["status"] in ("completed", "incomplete")
        if item["type"] == "function_call":
            assert output.arguments_over and item["arguments"] == output.text
            assert len(item["call_id"]) <= 32, "clients hash longer ones"
            return
        assert output.part == "closed"
        key = "transcript" if self._spoken else "text"
        assert "".join(part[key] for part in item["content"]) == output.text

    def _response_done(self, event: Event) -> None:
        response, answer = event["response"], self.answer
        assert answer is not None and response["id"] == answer.id and response["status"] in FINAL
        assert response["output"] == [output.done for output in answer.outputs]
        if response["status"] == "cancelled":
            assert all(item["status"] == "incomplete" for item in response["output"])
        if response["status"] == "completed":
            assert all(item["status"] == "completed" for item in response["output"])
        self.answer = None
        self.answered.append(response["id"])
