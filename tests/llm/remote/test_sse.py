import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.remote.sse import EventStream, MalformedEvent

LINES = st.sampled_from(
    ["data: a", "data:b", "data", "data:  c: d", ": ping", "event: x", "id", "", "é: 1", "data: 京"]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def by_hand(text: str) -> list[str]:
    """The events of a whole stream, by the letter of the specification."""
    events: list[str] = []
    data: list[str] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        if line == "" and data:
            events.append("\n".join(data))
            data = []
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value[1:] if value[:1] == " " else value)
    return events


@given(st.lists(st.tuples(LINES, ENDS)), st.lists(st.integers(1, 9)))
def test_events_are_the_same_however_the_bytes_are_cut(
    lines: list[tuple[str, str]], sizes: list[int]
) -> None:
    text = "".join(line + end for line, end in lines)
    data, stream = text.encode(), EventStream()
    events: list[str] = []
    while data:
        size = sizes.pop() if sizes else 1
        events += stream.push(data[:size])
        data = data[size:]
    assert events == by_hand(text)


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert list(EventStream().push(b"\xef\xbb\xbfdata: a\n\n")) == ["a"]


def test_a_pushed_nothing_between_cr_and_lf_changes_nothing() -> None:
    stream = EventStream()
    pieces = [b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"", b"\n"]
    assert [event for piece in pieces for event in stream.push(piece)] == ["a\nb"]


@pytest.mark.parametrize("line", [b"data: 123456789", b": 1234567890123", b"data: 1234\ndata: 5678"])
def test_no_event_exceeds_the_limit(line: bytes) -> None:
    assert list(EventStream(limit=16).push(b"data: 12345678\n\n" * 5)) == ["12345678"] * 5
    with pytest.raises(MalformedEvent, match="more than 14 bytes"):
        list(EventStream(limit=14).push(line))
    with pytest.raises(MalformedEvent, match="more than 14 bytes"):
        stream = EventStream(limit=14)
        for i in range(len(line)):
            list(stream.push(line[i : i + 1]))


def test_what_came_before_invalid_text_is_not_lost() -> None:
    events = EventStream().push(b"data: a\n\ndata: \xff\n\ndata: b\n\n")
    assert next(events) == "a"
    with pytest.raises(MalformedEvent, match="not UTF-8"):
        next(events)
