"""What the clients demand of the fields of each server event, checked without the server's own code.

Absent keys are left out: null stands only where it means something. Times and counts are integers.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

MAX_FRAME = 2**20
"""Bytes that the strictest client takes in one message."""

Check = Callable[[Any], bool]
Spec = Mapping[str, Check]

FINAL = ("completed", "cancelled", "failed", "incomplete")
_REASONS = ("turn_detected", "client_cancelled", "max_output_tokens", "content_filter")
_RATES = {"audio/pcm": 24000, "audio/pcmu": 8000, "audio/pcma": 8000}
SAMPLE_BYTES = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}


def check_event(event: Mapping[str, Any]) -> None:
    """Fail if a client could not read `event`."""
    assert event["type"] in EVENTS, f"no client knows {event['type']}"
    _check(event, {"event_id": _name, **EVENTS[event["type"]]}, event["type"])
    size = len(json.dumps(event, ensure_ascii=False, allow_nan=False).encode())
    assert size < MAX_FRAME, f"{event['type']} has {size} bytes"


def duration_ms(kind: str, size: int) -> int:
    """How long `size` bytes of a format sound, in whole milliseconds."""
    return size // SAMPLE_BYTES[kind] * 1000 // _RATES[kind]


def _check(value: Mapping[str, Any], spec: Spec, where: str) -> bool:
    for key, right in spec.items():
        assert key in value, f"{where}: {key} is missing"
        assert right(value[key]), f"{where}: {key} is {value[key]!r:.200}"
    for key in value.keys() - spec.keys():
        assert value[key] is not None, f"{where}: {key} is null, and should be absent"
    return True


def _name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _text(value: object) -> bool:
    return isinstance(value, str)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is(*choices: object) -> Check:
    return lambda value: value in choices and not isinstance(value, bool)


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _audio(value: object) -> bool:
    return isinstance(value, str) and len(base64.b64decode(value, validate=True)) > 0


def _object(**spec: Check) -> Check:
    return lambda value: isinstance(value, dict) and _check(value, spec, "object")


def _format(value: Any) -> bool:  # noqa: ANN401  # any JSON
    pcm = value["type"] == "audio/pcm"
    return value["type"] in _RATES and (value.get("rate") == 24000 if pcm else "rate" not in value)


def _detection(value: Any) -> bool:  # noqa: ANN401  # any JSON
    flags = (value["create_response"], value["interrupt_response"])
    return value["type"] in ("semantic_vad", "server_vad") and all(isinstance(flag, bool) for flag in flags)


def _transcription(value: Any) -> bool:  # noqa: ANN401  # any JSON
    return set(value) <= {"model", "language", "prompt"} and all(isinstance(v, str) for v in value.values())


def _session(value: Any) -> bool:  # noqa: ANN401  # any JSON
    heard, spoken = value["audio"]["input"], value["audio"]["output"]
    assert value["type"] == "realtime" and _name(value["id"]) and _whole(value["expires_at"])
    assert isinstance(value["tool_choice"], str)
    assert value["output_modalities"] in (["audio"], ["text"])
    assert _format(heard["format"]) and _format(spoken["format"])
    assert _or_null(_detection)(heard["turn_detection"])
    return _or_null(_transcription)(heard.get("transcription"))


def _item(value: Any) -> bool:  # noqa: ANN401  # any JSON
    head: Spec = {"id": _name, "type": _text, "object": _is("realtime.item"), "status": _is(*_ITEM_STATUS)}
    assert not [key for key in value if value[key] is None]
    return (
        value["type"] in _ITEMS
        and _check(value, {**head, **_ITEMS[value["type"]]}, value["type"])
        and (value["type"] != "message" or _content(value["role"], value["content"]))
    )


def _content(role: str, parts: Any) -> bool:  # noqa: ANN401  # any JSON
    kinds = {
        "user": {"input_audio": "transcript", "input_text": "text"},
        "system": {"input_text": "text"},
        "assistant": {"output_audio": "transcript", "output_text": "text"},
    }[role]
    for part in parts:
        key = kinds[part["type"]]
        check = _or_null(_text) if part["type"] == "input_audio" else _text
        _check(part, {"type": _text, key: check}, "content")
        assert "audio" not in part
    return True


def _part(value: Any) -> bool:  # noqa: ANN401  # any JSON
    return set(value) == {"type", {"audio": "transcript", "text": "text"}[value["type"]]}


def _response(value: Any) -> bool:  # noqa: ANN401  # any JSON
    over = value["status"] in FINAL
    spec = {
        "id": _name,
        "object": _is("realtime.response"),
        "status": _is("in_progress", *FINAL),
        "status_details": _details if over else _is(None),
        "output": lambda items: all(_item(item) for item in items),
        "conversation_id": _or_null(_name),
        "output_modalities": _is(["audio"], ["text"]),
        "usage": _usage if over else _is(None),
        "metadata": _or_null(lambda pairs: all(_text(word) for pair in pairs.items() for word in pair)),
    }
    details = value["status_details"]
    assert details is None or details["type"] == value["status"]
    assert (value["status"] in ("completed", "in_progress")) == (details is None)
    output = value["audio"]["output"]
    return _check(value, spec, "response") and _format(output["format"]) and _name(output["voice"])


def _details(value: Any) -> bool:  # noqa: ANN401  # any JSON
    return value is None or value["type"] == "failed" or value["reason"] in _REASONS


def _usage(value: Any) -> bool:  # noqa: ANN401  # any JSON
    counts = [value[key] for key in ("total_tokens", "input_tokens", "output_tokens")]
    details = [*value["input_token_details"].values(), *value["output_token_details"].values()]
    return all(_whole(count) for count in (*counts, *details)) and counts[0] == counts[1] + counts[2]


_ITEM_STATUS = ("completed", "incomplete", "in_progress")
_ITEMS: Mapping[str, Spec] = {
    "message": {"role": _is("user", "assistant", "system"), "content": lambda parts: isinstance(parts, list)},
    "function_call": {"call_id": _name, "name": _name, "arguments": _text},
    "function_call_output": {"call_id": _name, "output": _text},
}
_ADDED: Spec = {"previous_item_id": _or_null(_name), "item": _item}
_PART: Spec = {"response_id": _name, "item_id": _name, "output_index": _whole, "content_index": _is(0)}
_CALL: Spec = {"response_id": _name, "item_id": _name, "output_index": _whole, "call_id": _name}
_OUTPUT: Spec = {"response_id": _name, "output_index": _whole, "item": _item}
_ABOUT: Spec = {"item_id": _name, "content_index": _is(0)}
_FAILURE = _object(type=_name, code=_name, message=_text)
_ERROR = _object(type=_name, code=_name, message=_name, param=_or_null(_name), event_id=_or_null(_text))

# All are OpenAI's but for partial transcripts, which a client has to ask for.
EVENTS: Mapping[str, Spec] = {
    "session.created": {"session": _session},
    "session.updated": {"session": _session},
    "error": {"error": _ERROR},
    "input_audio_buffer.speech_started": {"item_id": _name, "audio_start_ms": _whole},
    "input_audio_buffer.speech_stopped": {"item_id": _name, "audio_end_ms": _whole},
    "input_audio_buffer.committed": {"item_id": _name, "previous_item_id": _or_null(_name)},
    "input_audio_buffer.cleared": {},
    "conversation.item.added": _ADDED,
    "conversation.item.done": _ADDED,
    "conversation.item.retrieved": {"item": _item},
    "conversation.item.deleted": {"item_id": _name},
    "conversation.item.truncated": {**_ABOUT, "audio_end_ms": _whole},
    "conversation.item.input_audio_transcription.delta": {**_ABOUT, "delta": _name},
    "conversation.item.input_audio_transcription.completed": {
        **_ABOUT,
        "transcript": _text,
        "usage": _object(type=_is("duration"), seconds=_seconds),
    },
    "conversation.item.input_audio_transcription.failed": {**_ABOUT, "error": _FAILURE},
    "conversation.item.input_audio_transcription.partial": {
        "item_id": _name,
        "stable": _text,
        "unstable": _text,
    },
    "response.created": {"response": _response},
    "response.done": {"response": _response},
    "response.output_item.added": _OUTPUT,
    "response.output_item.done": _OUTPUT,
    "response.content_part.added": {**_PART, "part": _part},
    "response.content_part.done": {**_PART, "part": _part},
    "response.output_audio.delta": {**_PART, "delta": _audio},
    "response.output_audio.done": _PART,
    "response.output_audio_transcript.delta": {**_PART, "delta": _name},
    "response.output_audio_transcript.done": {**_PART, "transcript": _text},
    "response.output_text.delta": {**_PART, "delta": _name},
    "response.output_text.done": {**_PART, "text": _text},
    "response.function_call_arguments.delta": {**_CALL, "delta": _text},
    "response.function_call_arguments.done": {**_CALL, "name": _name, "arguments": _text},
}
