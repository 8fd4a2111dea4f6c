import json
from collections.abc import Sequence
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.text.message import Call
from llm.text.tool_calls import ToolCalls, new_call_id

NAMES = ("get_weather", "stop")
ROME = '{"city": "Rome"}'
HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
LLAMA = '{"name": "get_weather", "parameters": {"city": "Rome"}}'
STOP = '{"name": "stop", "arguments": {}}'


def read(pieces: Sequence[str], names: Sequence[str] = NAMES) -> tuple[list[str], list[Call]]:
    """What each piece passed on, with the flush at the end, and the calls."""
    numbers = count(1)
    parser = ToolCalls(names, lambda: f"call_{next(numbers)}")
    taken = [*map(parser.push, pieces), parser.flush()]
    return [text for text, _ in taken], [call for _, calls in taken for call in calls]


CASES = [
    (HERMES, "", [("get_weather", ROME)]),
    (f"Let me see.\n\n{HERMES}", "Let me see.", [("get_weather", ROME)]),
    (f"{HERMES}\n{HERMES}", "", [("get_weather", ROME)] * 2),
    (f"{HERMES}\nDone.", "Done.", [("get_weather", ROME)]),
    (HERMES.replace("\n", ""), "", [("get_weather", ROME)]),
    (HERMES.removesuffix("\n</tool_call>"), "", [("get_weather", ROME)]),
    (LLAMA, "", [("get_weather", ROME)]),
    (f" \n{LLAMA}\n", "", [("get_weather", ROME)]),
    (f"{LLAMA}; {LLAMA}", "", [("get_weather", ROME)] * 2),
    (f"<|python_tag|>{LLAMA}", "", [("get_weather", ROME)]),
    ('{"type": "function", "name": "stop", "parameters": {}}', "", [("stop", "{}")]),
    ('{"type": "function", "function": {"name": "stop", "parameters": {}}}', "", [("stop", "{}")]),
    (f'[TOOL_CALLS][{STOP}, {{"name": "get_weather", "arguments": {ROME}, "id": "a"}}]', "",
     [("stop", "{}"), ("get_weather", ROME)]),
    ('<tool_call>{"name": "stop"}</tool_call>', "", [("stop", "{}")]),
    ('<tool_call>{"name": "stop", "arguments": "{\\"a\\": 1}"}</tool_call>', "", [("stop", '{"a": 1}')]),
    ('<tool_call>{"name": "stop", "arguments": {"a": "}</tool_call>\\"<tool_call>"}}</tool_call>', "",
     [("stop", '{"a": "}</tool_call>\\"<tool_call>"}')]),
    ('<tool_call>{"name": "stop", "arguments": {"a": "two\nlines"}}</tool_call>', "",
     [("stop", '{"a": "two\\nlines"}')]),
    # No calls
    ("Hello there.\nAnd more.  ", "Hello there.\nAnd more.  ", []),
    ("a < b <tool and [TOOL_", "a < b <tool and [TOOL_", []),
    ("   ", "   ", []),
    ('{"a": 1}', '{"a": 1}', []),
    ('{"name": "Bob", "age": 3} it is', '{"name": "Bob", "age": 3} it is', []),
    ('{"name": "Bob", "ag', '{"name": "Bob", "ag', []),
    (f"Say {LLAMA}", f"Say {LLAMA}", []),
    # Malformed, cut off or not declared
    ('<tool_call>{"name": "rm", "arguments": {}}</tool_call>Sorry.', "Sorry.", []),
    ('{"name": "rm", "parameters": {}}', "", []),
    ("<tool_call>stop()</tool_call> Yes.", "Yes.", []),
    ("<tool_call>stop()", "", []),
    ("<tool_call></tool_call>Yes.", "Yes.", []),
    ('<tool_call>{"name": "stop", "arguments": {]</tool_call>Yes.', "Yes.", []),
    ("<tool_call>{'name': 'stop'}</tool_call>Yes.", "Yes.", []),
    ('<tool_call>{"name": "stop", "arguments": 3}</tool_call>', "", []),
    ('<tool_call>{"name": "stop", "arguments": {"a": NaN}}</tool_call>', "", []),
    ('<tool_call>{"name": 3, "arguments": {}}</tool_call>', "", []),
    ('<tool_call>{"name": "stop", "arguments": {', "", []),
    ('{"name": "stop", "parameters": {"a"', "", []),
    (f"[TOOL_CALLS][{STOP}, 7]", "", [("stop", "{}")]),
    ("[TOOL_CALLS]" + "[" * 5000 + "]" * 5000, "", []),
]  # fmt: skip


@pytest.mark.parametrize(("written", "text", "calls"), CASES)
@pytest.mark.parametrize("size", [1, 3, 7, 100_000])
def test_text_and_calls_of_a_reply(written: str, text: str, calls: list[tuple[str, str]], size: int) -> None:
    if len(written) > 5000 and size < 100:
        size = 1000
    texts, found = read([written[i : i + size] for i in range(0, len(written), size)])
    assert "".join(texts) == text
    assert [(call.name, call.arguments) for call in found] == calls
    assert [call.id for call in found] == [f"call_{n}" for n in range(1, len(calls) + 1)]


def test_text_is_held_back_only_while_it_may_begin_a_call() -> None:
    assert read(["Hi", ",", " you", " <", "b", "> ", "[TOOL", "S"])[0] == [
        "Hi", ",", " you", "", " <b", ">", "", " [TOOLS", "",
    ]  # fmt: skip
    assert read(["{", ' "', "na", 'p"'])[0] == ["", "", "", '{ "nap"', ""]


def test_a_call_comes_with_the_piece_that_completes_it() -> None:
    parser = ToolCalls(NAMES)
    assert parser.push(HERMES[: HERMES.index("}}") + 1]) == ("", [])
    text, (call,) = parser.push("}")
    assert (text, call.name, json.loads(call.arguments)) == ("", "get_weather", {"city": "Rome"})


def test_half_a_surrogate_pair_is_replaced() -> None:
    _, (call,) = read(['<tool_call>{"name": "stop", "arguments": {"a": "\\ud83d"}}</tool_call>'])
    assert call.arguments == '{"a": "\ufffd"}'


def test_ids_are_short_and_differ() -> None:
    ids = {new_call_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(i.startswith("call_") and i.removeprefix("call_").isalnum() and len(i) <= 32 for i in ids)


ordinary = st.text(st.sampled_from('ab {}"<[\n;\\🙂'), max_size=12)
objects = st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers(), max_size=3)


@given(
    before=ordinary.filter(lambda text: not text.lstrip().startswith("{")),
    arguments=st.lists(objects, max_size=2),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_what_is_written_comes_back_however_it_is_cut(
    before: str, arguments: list[dict[str, object]], cuts: list[int]
) -> None:
    calls = [
        f'<tool_call>\n{{"name": "stop", "arguments": {json.dumps(a)}}}\n</tool_call>' for a in arguments
    ]
    written = before + "\n".join(calls)
    edges = sorted({0, len(written), *(min(cut, len(written)) for cut in cuts)})
    texts, found = read([written[a:b] for a, b in pairwise(edges)])
    assert "".join(texts) == (before.rstrip() if calls else before)
    assert [json.loads(call.arguments) for call in found] == arguments
