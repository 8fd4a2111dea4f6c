"""What a client may send: valid events of every kind, and what to put in the place of a field."""

import base64
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Event = Mapping[str, Any]

TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def audio(kind: str, ms: int) -> str:
    """Silence of so many milliseconds."""
    size = ms * 48 if kind == "audio/pcm" else ms * 8
    return base64.b64encode(bytes(size)).decode()


_DETECTION = st.sampled_from(
    [
        None,
        {"type": "semantic_vad"},
        {"type": "semantic_vad", "eagerness": "high", "create_response": False},
        {"type": "server_vad", "silence_duration_ms": 200, "threshold": 0.6, "prefix_padding_ms": 100},
        {"type": "server_vad", "interrupt_response": False},
        {"type": "server_vad", "create_response": False, "interrupt_response": False},
    ]
)
_FORMAT = st.sampled_from(
    [{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}]
)
_HEARD = st.fixed_dictionaries(
    {},
    optional={
        "format": _FORMAT,
        "turn_detection": _DETECTION,
        "transcription": st.sampled_from([None, {"model": "whisper-1", "language": "en"}]),
        "noise_reduction": st.sampled_from([None, {"type": "near_field"}]),
    },
)
_SPOKEN = st.fixed_dictionaries(
    {},
    optional={
        "format": _FORMAT,
        "voice": st.sampled_from(["marin", "ash"]),
        "speed": st.sampled_from([0.5, 1, 1.5]),
    },
)
_MAKING: Mapping[str, st.SearchStrategy[Any]] = {
    "output_modalities": st.sampled_from([["audio"], ["text"]]),
    "instructions": st.sampled_from(["Be brief.", ""]),
    "tools": st.sampled_from([[], [TOOL]]),
    "max_output_tokens": st.sampled_from(["inf", 1, 4096]),
}
UPDATES = st.fixed_dictionaries(
    {"type": st.just("realtime")},
    optional={
        **_MAKING,
        "audio": st.fixed_dictionaries({}, optional={"input": _HEARD, "output": _SPOKEN}),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "tracing": st.sampled_from([None, "auto"]),
        "truncation": st.just("auto"),
        "include": st.sampled_from([None, ["assistant.partials"]]),
        "model": st.just("gpt-realtime"),
        "parallel_tool_calls": st.just(True),
    },
)


def message(role: str, kind: str, **part: str) -> Event:
    """An item of the conversation."""
    return {"type": "message", "role": role, "content": [{"type": kind, **part}]}


ITEMS = st.sampled_from(
    [
        message("user", "input_text", text="hello"),
        message("user", "input_audio", transcript="hello"),
        message("system", "input_text", text="It is late."),
        message("assistant", "output_text", text="Hi."),
        message("assistant", "output_audio", transcript="Hi."),
        {"type": "message", "role": "user", "content": []},
        {"type": "function_call", "name": "weather", "call_id": "call_1", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    ]
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        **_MAKING,
        "conversation": st.sampled_from(["auto", "none"]),
        "input": st.lists(ITEMS, max_size=2),
        "audio": st.fixed_dictionaries({"output": _SPOKEN}),
    },
)
EVENTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("session.update"), "session": UPDATES}),
    st.fixed_dictionaries(
        {
            "type": st.just("conversation.item.create"),
            "item": ITEMS,
            "previous_item_id": st.sampled_from([None, "root", "nobody"]),
        }
    ),
    st.fixed_dictionaries({"type": st.just("response.create"), "response": OPTIONS}),
    st.sampled_from(
        [
            {"type": "input_audio_buffer.append", "audio": audio("audio/pcm", 1)},
            {"type": "input_audio_buffer.commit"},
            {"type": "input_audio_buffer.clear"},
            {"type": "conversation.item.retrieve", "item_id": "nobody"},
            {"type": "conversation.item.delete", "item_id": "nobody"},
            {
                "type": "conversation.item.truncate",
                "item_id": "nobody",
                "content_index": 0,
                "audio_end_ms": 5,
            },
            {"type": "response.cancel", "response_id": "nobody"},
            {"type": "output_audio_buffer.clear"},
        ]
    ),
)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 10**18, 2.5, -0.0, 1e308]),
    st.sampled_from(["", "auto", "none", "root", "x" * 300, "\x00", "é", "<|im_end|>", "QQ==", "AAA"]),
    st.sampled_from(
        [[], {}, [None], [[]], [{}], {"type": None}, {"type": "function"}, {"": 0}, ["audio", "text"]]
    ),
)


def replaced(event: Event, place: int, junk: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    """`event` with `junk` in the `place`-th of its places, counted round; its type stays a string."""
    changed = copy.deepcopy(dict(event))
    places = list(_places(changed))
    container, key = places[place % len(places)]
    container[key] = junk
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # any JSON
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield value, key
        yield from _places(inner)
