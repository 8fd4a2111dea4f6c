"""What is kept of a conversation comes back as it was, against what the client was told of each item."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.server import kept
from assistant.server.fields import Fields
from assistant.server.items import wire_item
from assistant.server.kept import UnreadableError, Writer, changed, read_kept
from assistant.server.protocol import open_state
from assistant.server.settings import Limits, updated
from assistant.server.state import Entry, Response, State
from assistant.session.conversation import (
    AssistantItem,
    Spoken,
    SystemItem,
    ToolCall,
    ToolOutput,
    UserItem,
    messages,
)

FRESH = open_state("x", "assistant", "Be brief.", 99, Limits(), can_call=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MS = st.floats(0, 1e6)
SPOKEN = st.lists(st.builds(Spoken, TEXTS, MS), max_size=4).map(tuple)
ITEMS = st.one_of(
    st.builds(UserItem, TEXTS, TEXTS, st.just(True), st.booleans()),
    st.builds(SystemItem, TEXTS, TEXTS),
    st.builds(AssistantItem, TEXTS, SPOKEN, MS, st.booleans(), st.just(inf) | MS),
    st.builds(ToolCall, TEXTS, TEXTS, TEXTS, TEXTS),
    st.builds(ToolOutput, TEXTS, TEXTS, TEXTS),
)
ENTRIES = st.lists(
    st.builds(Entry, ITEMS, spoken=st.booleans(), sent_ms=st.integers(0, 10**6)),
    max_size=6,
    unique_by=lambda entry: entry.item.id,
)


def having(*entries: Entry, state: State = FRESH) -> State:
    return replace(state, items={entry.item.id: entry for entry in entries})


def written(state: State, most_bytes: int = 10**6) -> str:
    text = Writer(FRESH.session, most_bytes).write(state)
    assert text is not None
    return text


@given(ENTRIES)
def test_items_come_back_as_clients_and_the_model_know_them(entries: list[Entry]) -> None:
    back = read_kept(written(having(*entries)))
    assert len(back.entries) == len(entries)
    for before, after in zip(entries, back.entries, strict=True):
        assert type(after.item) is type(before.item)
        assert wire_item(after.item, spoken=after.spoken) == wire_item(before.item, spoken=before.spoken)
        assert (after.spoken, after.sent_ms) == (before.spoken, before.sent_ms)
    items = [entry.item for entry in entries]
    assert messages("", [entry.item for entry in back.entries]) == messages("", items)


def test_a_reply_that_comes_back_can_still_be_cut_where_the_client_stopped_it() -> None:
    reply = AssistantItem("a", (Spoken("One", 300), Spoken(" two", 600), Spoken(" three", 900)), 700.0)
    (entry,) = read_kept(written(having(Entry(reply, spoken=True, sent_ms=900)))).entries
    assert entry.item == reply
    cut = read_kept(written(having(Entry(replace(reply, cut_ms=350.0))))).entries[0].item
    assert isinstance(cut, AssistantItem) and cut.text == "One"


def test_of_a_reply_that_still_sounds_all_that_was_sent_counts() -> None:
    """Nobody is there any more to say how much was heard; the client is, and cuts it."""
    reply = AssistantItem("a", (Spoken("One", 300), Spoken(" two", 600), Spoken(" three", 900)), 60.0)
    response = Response("resp_1", FRESH.settings, item="a")
    writer, entry = Writer(FRESH.session, 10**6), Entry(reply, spoken=True, sent_ms=700)
    texts = []
    for state in (having(entry, state=replace(FRESH, response=response)), having(entry)):
        (back,) = read_kept(writer.write(state) or "").entries
        assert isinstance(back.item, AssistantItem)
        texts.append(back.item.text)
    assert texts == ["One two", ""]


@pytest.mark.parametrize(
    "entry",
    [
        Entry(UserItem("u", "", complete=False, spoken=True)),  # what it says is not known yet
        Entry(AssistantItem("a"), announced=False),
        Entry(UserItem("u", "forgotten"), gone=True),
        Entry(AssistantItem("a"), gone=True, aside=True),
    ],
)
def test_what_is_not_in_the_conversation_is_not_kept(entry: Entry) -> None:
    assert read_kept(written(having(entry, Entry(UserItem("v", "Hello."))))).entries == (
        Entry(UserItem("v", "Hello.")),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=6,
)
TOOL = st.builds(
    lambda name, schema: {"type": "function", "name": name, "parameters": schema},
    st.sampled_from(["a", "b"]),
    st.dictionaries(TEXTS, JSON, max_size=3),
)
UPDATES = st.fixed_dictionaries(
    {},
    optional={
        "instructions": TEXTS,
        "tools": st.lists(TOOL, max_size=1),
        "output_modalities": st.sampled_from([["audio"], ["text"]]),
        "max_output_tokens": st.integers(1, 9) | st.just("inf"),
        "include": st.none() | st.just(["assistant.partials"]),
        "tracing": JSON,
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": st.sampled_from([{"type": "audio/pcmu"}, {"type": "audio/pcm"}]),
                        "turn_detection": st.none()
                        | st.just({"type": "server_vad", "silence_duration_ms": 300})
                        | st.just({"type": "semantic_vad", "eagerness": "high"}),
                        "transcription": st.none(),
                    },
                ),
                "output": st.fixed_dictionaries(
                    {}, optional={"speed": st.floats(0.25, 1.5), "voice": st.sampled_from(["a", "b"])}
                ),
            },
        ),
    },
)


@given(UPDATES)
def test_settings_come_back_on_another_server_with_defaults_of_its_own_for_the_rest(update: object) -> None:
    session, settings = updated(FRESH.session, Fields(update, "session"), Limits())  # type: ignore[arg-type]
    back = read_kept(written(replace(FRESH, session=session, settings=settings)))
    assert updated(FRESH.session, Fields(back.settings), Limits()) == (session, settings)
    other = open_state("y", "another model", "Be verbose.", 100, Limits(), can_call=True)
    there, _ = updated(other.session, Fields(back.settings), Limits())
    assert (there["id"], there["model"], there["expires_at"]) == ("sess_y", "another model", 100)
    if session["instructions"] == "Be brief.":
        assert there["instructions"] == "Be verbose."


def test_what_the_client_has_not_set_is_not_kept() -> None:
    assert read_kept(written(FRESH)).settings == {}
    session = {**FRESH.session, "instructions": "Be loud."}
    assert changed(session, FRESH.session) == {"instructions": "Be loud."}


def test_the_oldest_items_are_left_out_where_there_is_no_room() -> None:
    entries = [Entry(UserItem(f"u{number}", "ä" * 20)) for number in range(10)]
    whole = written(having(*entries))
    assert len(whole.encode()) == len(whole)
    for most in range(len(whole) - 1, len(written(FRESH)), -37):
        text = written(having(*entries), most)
        back = read_kept(text).entries
        assert len(text.encode()) <= most and back == tuple(entries[10 - len(back) :])
        assert len(back) < 10
    assert Writer(FRESH.session, len(written(FRESH)) - 1).write(having(*entries)) is None


def test_an_item_is_written_once_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Entry(UserItem("u", "Hello.")), Entry(UserItem("v", "Hello?"))
    writer, dumped = Writer(FRESH.session, 10**6), []
    encode = kept._json
    monkeypatch.setattr(kept, "_json", lambda value: dumped.append(value) or encode(value))
    writer.write(having(old))
    writer.write(having(old, new))
    changed_item = replace(new, item=UserItem("v", "Hi!"))
    assert read_kept(writer.write(having(old, changed_item)) or "").entries == (old, changed_item)
    items = [value["item"]["text"] for value in dumped if "item" in value]
    assert items == ["Hello.", "Hello?", "Hi!"]


WHOLE = written(having(Entry(UserItem("u", "Hello."), spoken=False), Entry(AssistantItem("a"))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        WHOLE[:-1],
        WHOLE + "x",
        WHOLE.replace('"form":1', '"form":2'),
        WHOLE.replace('"user"', '"robot"'),
        WHOLE.replace('"id":"a"', '"id":"u"'),
        WHOLE.replace('"id":"a"', '"id":null'),
        WHOLE.replace('"text":"Hello."', '"text":7'),
        WHOLE.replace('"text":"Hello."', '"text":"\\ud800"'),
        WHOLE.replace('"settings":{}', '"settings":[]'),
        WHOLE.replace('"spoken":[]', '"spoken":[{}]'),
        WHOLE.replace('{"item":{"kind":"assistant"', '{"item":{"kind":["assistant"]'),
        '{"form":1,"settings":{},"entries":[7]}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_conversation_is_refused_in_one_line(text: str | bytes) -> None:
    with pytest.raises(UnreadableError) as raised:
        read_kept(text)
    assert "\n" not in str(raised.value) and "Hello" not in str(raised.value)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_damage_is_refused_or_gives_items(at: int, damage: bytes) -> None:
    data = WHOLE.encode()
    try:
        back = read_kept(data[:at] + damage + data[at + len(damage) :])
    except UnreadableError:
        return
    for entry in back.entries:
        wire_item(entry.item, spoken=entry.spoken)
