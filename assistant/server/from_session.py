"""What each event of the session tells the client."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from asr.audio import RATE
from asr.stabilize import Partial
from assistant.server.items import content, wire_item
from assistant.server.settings import Settings, voice, wire_format
from assistant.server.state import Entry, Response, Speech, Step
from assistant.session.conversation import (
    AssistantItem,
    ItemAdded,
    ItemChanged,
    ItemRemoved,
    Spoken,
    ToolCall,
    UserItem,
)
from assistant.session.events import (
    Failed,
    ReplyCalled,
    ReplyDiscarded,
    ReplyDone,
    ReplyDropped,
    ReplyRefused,
    ReplyStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
)
from assistant.session.parts import split, ttfa_ms

_ABOUT_AUDIO = "conversation.item.input_audio_transcription"


@dataclass(frozen=True)
class ReplyAudio:
    """More audio of a reply, in its format; takes the place of the session's AudioDelta."""

    number: int
    data: bytes


def tell(step: Step, event: SessionEvent | ReplyAudio) -> None:
    """Tell the client of an event, as far as the protocol has words for it."""
    handler = HANDLERS.get(type(event))
    if handler is not None:
        handler(step, event)


# The user


def _speech_started(step: Step, event: SpeechStarted) -> None:
    start_ms = event.sample * 1000 // RATE
    step.change(speech=Speech(event.item, start_ms))
    step.send("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=event.item)


def _speech_stopped(step: Step, event: SpeechStopped) -> None:
    speech = step.state.speech
    if speech is None or speech.item != event.item:
        return  # the client has ended the turn, and knows; what it sends since is of the next
    end_ms = max(speech.start_ms, event.sample * 1000 // RATE)
    heard_ms = {**step.state.heard_ms, event.item: end_ms - speech.start_ms}
    step.change(speech=None, heard_ms=heard_ms, buffered_bytes=0)
    step.send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=event.item)


def _partial(step: Step, event: Partial) -> None:
    speech = step.state.speech
    if speech is not None and step.state.settings.partials:
        words = {"stable": event.stable, "unstable": event.unstable}
        step.send(f"{_ABOUT_AUDIO}.partial", item_id=speech.item, **words)


# Items


def _item_added(step: Step, event: ItemAdded) -> None:
    item = event.item
    if item.id in step.state.items:
        return  # the client's own, or told of as a part of a response
    if isinstance(item, AssistantItem):
        step.put(Entry(item, announced=False))
        return
    step.put(Entry(item))
    previous = step.previous(item.id)
    if isinstance(item, UserItem) and item.spoken:
        step.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item.id)
    for kind in ("added", "done"):
        step.send(f"conversation.item.{kind}", previous_item_id=previous, item=wire_item(item))
    if isinstance(item, UserItem) and item.complete:
        _transcribed(step, item)


def _item_changed(step: Step, event: ItemChanged) -> None:
    entry = step.state.items.get(event.item.id)
    if entry is None:
        return
    step.put(replace(entry, item=event.item))
    before = entry.item
    if isinstance(event.item, UserItem) and isinstance(before, UserItem) and not before.complete:
        _transcribed(step, event.item)


def _transcribed(step: Step, item: UserItem) -> None:
    heard_ms = dict(step.state.heard_ms)
    seconds = heard_ms.pop(item.id, 0) / 1000
    step.change(heard_ms=heard_ms)
    if not (item.spoken and step.state.settings.transcribed):
        return
    about = {"item_id": item.id, "content_index": 0}
    if item.text:
        step.send(f"{_ABOUT_AUDIO}.delta", **about, delta=item.text)
    usage = {"type": "duration", "seconds": seconds}
    step.send(f"{_ABOUT_AUDIO}.completed", **about, transcript=item.text, usage=usage)


def _item_removed(step: Step, event: ItemRemoved) -> None:
    entry = step.state.items.get(event.id)
    if entry is None:
        return  # the client has deleted it
    items = {name: kept for name, kept in step.state.items.items() if name != event.id}
    if event.forgotten or (isinstance(entry.item, AssistantItem) and entry.announced):
        step.change(items={**step.state.items, event.id: replace(entry, gone=True)})
        return
    if not entry.announced:
        step.change(items=items)
        return
    if isinstance(entry.item, UserItem) and entry.item.spoken and not entry.item.complete:
        _transcribed(step, entry.item)  # there was nothing in it
    step.change(items=items)
    step.send("conversation.item.deleted", item_id=event.id)


# Responses


def _reply_started(step: Step, event: ReplyStarted) -> None:
    pending = step.state.pending
    if pending is not None and event.request is not None and event.request.tag == pending.id:
        response = pending
        step.change(pending=None)
    else:
        response = Response(step.new_id("resp"), step.state.settings)
    failed, why = step.state.failed or (None, None)
    failure = why if failed == event.number else None
    _begin_response(step, replace(response, number=event.number, item=event.item, failure=failure))


def _begin_response(step: Step, response: Response) -> None:
    step.change(response=response)
    step.send("response.created", response=_wire_response(step, response, "in_progress"))


def _reply_refused(step: Step, event: ReplyRefused) -> None:
    pending = step.state.pending
    if pending is None or pending.id != event.request.tag:
        return
    step.change(pending=None)
    details = {
        "type": "invalid_request_error",
        "code": "conversation_already_has_active_response",
        "message": "a response began at the same time",
        "param": None,
        "event_id": pending.client_event,
    }
    step.send("error", error=details)


def _reply_dropped(step: Step, event: ReplyDropped) -> None:
    pending = step.state.pending
    if pending is None or pending.id != event.request.tag:
        return
    step.change(pending=None)
    _begin_response(step, pending)
    _end_response(step, pending, "cancelled", _cancelled(pending), _usage(0, 0))


def _current(step: Step, number: int | None) -> Response | None:
    response = step.state.response
    return response if response is not None and number is not None and response.number == number else None


def _text(step: Step, event: TextDelta) -> None:
    response = _current(step, event.number)
    if response is None:
        return
    response = _opened(step, response)
    step.change(response=replace(response, text=response.text + event.text))
    kind = "output_audio_transcript" if response.settings.spoken else "output_text"
    step.send(f"response.{kind}.delta", **_place(response), delta=event.text)


def _audio(step: Step, event: ReplyAudio) -> None:
    response = _current(step, event.number)
    if response is None or not response.settings.spoken or not event.data:
        return
    response = _opened(step, response)
    response = replace(response, sent_bytes=response.sent_bytes + len(event.data))
    step.change(response=response)
    entry = step.state.items.get(response.item)
    if entry is not None:
        step.put(replace(entry, sent_ms=response.audio_format.ms(response.sent_bytes)))
    delta = base64.b64encode(event.data).decode()
    step.send("response.output_audio.delta", **_place(response), delta=delta)


def _opened(step: Step, response: Response) -> Response:
    """The response, its message announced."""
    if response.opened:
        return response
    response = replace(response, opened=True)
    step.change(response=response)
    entry = step.state.items.get(response.item, Entry(AssistantItem(response.item)))
    spoken = response.settings.spoken
    aside = not response.in_conversation
    step.put(replace(entry, announced=True, spoken=spoken, gone=entry.gone or aside, aside=aside))
    item = wire_item(AssistantItem(response.item), status="in_progress")
    step.send("response.output_item.added", response_id=response.id, output_index=0, item=item)
    if response.in_conversation:
        step.send("conversation.item.added", previous_item_id=step.previous(response.item), item=item)
    part = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
    step.send("response.content_part.added", **_place(response), part=part)
    return response


def _close_message(step: Step, response: Response, status: str) -> Response:
    if not response.opened:
        return response
    place, text = _place(response), response.text
    if response.settings.spoken:
        step.send("response.output_audio.done", **place)
        step.send("response.output_audio_transcript.done", **place, transcript=text)
        part = {"type": "audio", "transcript": text}
    else:
        step.send("response.output_text.done", **place, text=text)
        part = {"type": "text", "text": text}
    step.send("response.content_part.done", **place, part=part)
    item = {
        **wire_item(AssistantItem(response.item), status=status),
        "content": content(text, spoken=response.settings.spoken),
    }
    entry = step.state.items.get(response.item)
    if entry is not None and entry.aside:  # no conversation tells what became of it
        spoken, complete = (Spoken(text, 0.0),), status == "completed"
        step.put(replace(entry, item=AssistantItem(response.item, spoken, complete=complete)))
    return _item_done(step, response, item)


def _item_done(step: Step, response: Response, item: Mapping[str, Any]) -> Response:
    if response.in_conversation and item["id"] in step.state.items:  # the client may have deleted it
        step.send("conversation.item.done", previous_item_id=step.previous(item["id"]), item=item)
    index = len(response.output)
    step.send("response.output_item.done", response_id=response.id, output_index=index, item=item)
    return replace(response, output=(*response.output, item))


def _called(step: Step, event: ReplyCalled) -> None:
    """The call is told when the reply is done, which is at once: only then is it known how that ended."""
    response = _current(step, event.number)
    if response is not None:
        aside = not response.in_conversation
        step.put(Entry(event.call, announced=False, gone=aside, aside=aside))
        step.change(response=replace(response, calls=(*response.calls, event.call)))


def _call(step: Step, response: Response, call: ToolCall, status: str) -> Response:
    entry = step.state.items.get(call.id, Entry(call, gone=True))
    step.put(replace(entry, announced=True))
    index = len(response.output)
    begun = wire_item(replace(call, arguments=""), status="in_progress")
    step.send("response.output_item.added", response_id=response.id, output_index=index, item=begun)
    if response.in_conversation:
        step.send("conversation.item.added", previous_item_id=step.previous(call.id), item=begun)
    place = {"response_id": response.id, "item_id": call.id, "output_index": index, "call_id": call.call_id}
    step.send("response.function_call_arguments.delta", **place, delta=call.arguments)
    done = {"name": call.name, "arguments": call.arguments}
    step.send("response.function_call_arguments.done", **place, **done)
    return _item_done(step, response, wire_item(call, status=status))


def _failed(step: Step, event: Failed) -> None:
    response = _current(step, event.number)
    if event.stage == "transcribe":
        _transcription_failed(step, event.why)
    elif event.stage in ("generate", "reply") and event.number is not None:
        if response is None:
            step.change(failed=(event.number, event.why))  # it may be told of later
        else:
            step.change(response=replace(response, failure=event.why))


def _transcription_failed(step: Step, why: str) -> None:
    """Turns are transcribed in the order in which they ended."""
    for entry in step.state.items.values():
        if isinstance(entry.item, UserItem) and not entry.item.complete:
            error = {"type": "server_error", "code": "transcription_failed", "message": why}
            step.send(f"{_ABOUT_AUDIO}.failed", item_id=entry.item.id, content_index=0, error=error)
            step.put(replace(entry, item=replace(entry.item, complete=True)))  # no transcript comes
            return


def _reply_done(step: Step, event: ReplyDone) -> None:
    response = _current(step, event.number)
    if response is None:
        return
    status, details = _status(response, event)
    item_status = "completed" if status == "completed" else "incomplete"
    response = _close_message(step, response, item_status)
    for call in response.calls:
        response = _call(step, response, call, item_status)
    metadata = {**(response.metadata or {}), **latency(event)}
    response = replace(response, metadata=metadata or None)
    _end_response(step, response, status, details, _usage(event.prompt_tokens, event.tokens))


def _usage(prompt_tokens: int, tokens: int) -> Mapping[str, Any]:
    read = {"text_tokens": prompt_tokens, "audio_tokens": 0, "cached_tokens": 0}
    return {
        "total_tokens": prompt_tokens + tokens,
        "input_tokens": prompt_tokens,
        "output_tokens": tokens,
        "input_token_details": read,
        "output_token_details": {"text_tokens": tokens, "audio_tokens": 0},
    }


def _reply_discarded(step: Step, event: ReplyDiscarded) -> None:
    response = _current(step, event.number)
    if response is not None:
        response = _close_message(step, response, "incomplete")
        _end_response(step, response, "cancelled", _cancelled(response), _usage(0, 0))


def _end_response(
    step: Step,
    response: Response,
    status: str,
    details: Mapping[str, Any] | None,
    usage: Mapping[str, Any],
) -> None:
    whole = {**_wire_response(step, response, status), "status_details": details, "usage": usage}
    step.change(response=None)
    step.send("response.done", response=whole)


def _status(response: Response, event: ReplyDone) -> tuple[str, Mapping[str, Any] | None]:
    if response.failure is not None:
        error = {"type": "server_error", "code": "model_failed", "message": response.failure}
        return "failed", {"type": "failed", "error": error}
    if event.interrupted:
        return "cancelled", _cancelled(response)
    if event.reason == "length":
        return "incomplete", {"type": "incomplete", "reason": "max_output_tokens"}
    return "completed", None


def _cancelled(response: Response) -> Mapping[str, Any]:
    reason = "client_cancelled" if response.cancelled else "turn_detected"
    return {"type": "cancelled", "reason": reason}


def latency(event: ReplyDone) -> Mapping[str, str]:
    """The parts of a reply's time to first audio in ms, and their sum; nothing if none was heard."""
    if event.boundaries is None:
        return {}
    parts = split(event.voice_end_ns, event.boundaries)
    whole = {f"{part.name}_ms": f"{part.ms:.1f}" for part in parts}
    return {"ttfa_ms": f"{ttfa_ms(parts):.1f}", **whole}


def _place(response: Response) -> Mapping[str, Any]:
    return {"response_id": response.id, "item_id": response.item, "output_index": 0, "content_index": 0}


def _wire_response(step: Step, response: Response, status: str) -> Mapping[str, Any]:
    settings: Settings = response.settings
    limit = settings.reply.options.max_tokens
    output = {"format": wire_format(settings.output_format), "voice": voice(step.state.session)}
    return {
        "object": "realtime.response",
        "id": response.id,
        "status": status,
        "status_details": None,
        "output": list(response.output),
        "conversation_id": f"conv_{step.state.name}" if response.in_conversation else None,
        "output_modalities": ["audio" if settings.spoken else "text"],
        "max_output_tokens": "inf" if limit is None else limit,
        "audio": {"output": output},
        "usage": None,
        "metadata": response.metadata,
    }


HANDLERS: Mapping[type, Callable[[Step, Any], None]] = {
    SpeechStarted: _speech_started,
    SpeechStopped: _speech_stopped,
    Partial: _partial,
    ItemAdded: _item_added,
    ItemChanged: _item_changed,
    ItemRemoved: _item_removed,
    ReplyStarted: _reply_started,
    ReplyRefused: _reply_refused,
    ReplyDropped: _reply_dropped,
    TextDelta: _text,
    ReplyAudio: _audio,
    ReplyCalled: _called,
    Failed: _failed,
    ReplyDone: _reply_done,
    ReplyDiscarded: _reply_discarded,
}
