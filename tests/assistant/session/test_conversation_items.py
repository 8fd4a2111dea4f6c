"""The conversation: items in their order, every change told, and what a language model reads."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.session.conversation import (
    AssistantItem,
    Change,
    Conversation,
    ItemAdded,
    ItemChanged,
    ItemRemoved,
    NoAudio,
    Spoken,
    SystemItem,
    ToolCall,
    ToolOutput,
    UnknownItem,
    UserItem,
)
from llm.text.message import Call, Message

SYSTEM = Message("system", "Be brief.")
HELLO = UserItem("u1", "Hello.")
HI = AssistantItem("a1", (Spoken("Hi.", 300), Spoken(" How are", 700), Spoken(" you?", 1000)), 1000)
CALL = ToolCall("t1", "call_7", "weather", '{"city": "Paris"}')
OUTPUT = ToolOutput("t2", "call_7", "rain")


def conversation(
    *items: UserItem | SystemItem | AssistantItem | ToolCall | ToolOutput,
) -> tuple[Conversation, list[Change]]:
    """One with `items`, and the changes from here on."""
    changes: list[Change] = []
    made = Conversation("Be brief.", changes.append)
    for item in items:
        made.add(item)
    changes.clear()
    return made, changes


def ids(made: Conversation) -> list[str]:
    return [item.id for item in made.items]


def test_items_stand_in_the_order_in_which_they_came() -> None:
    made, changes = conversation()
    for item in (HELLO, HI, CALL):
        made.add(item)
    assert made.items == (HELLO, HI, CALL)
    assert changes == [ItemAdded(HELLO, None), ItemAdded(HI, "u1"), ItemAdded(CALL, "a1")]
    assert "a1" in made and "a2" not in made
    assert made.get("a1") == HI


@pytest.mark.parametrize(
    ("after", "order"), [("u1", "u1 x a1 t1"), ("a1", "u1 a1 x t1"), ("t1", "u1 a1 t1 x")]
)
def test_an_item_may_be_put_behind_any_other(after: str, order: str) -> None:
    made, changes = conversation(HELLO, HI, CALL)
    late = UserItem("x", "late")
    made.add(late, after)
    assert ids(made) == order.split()
    assert changes == [ItemAdded(late, after)]


def test_what_cannot_be_added_changes_nothing() -> None:
    made, changes = conversation(HELLO, HI)
    with pytest.raises(UnknownItem, match="nobody"):
        made.add(CALL, "nobody")
    with pytest.raises(ValueError, match="'u1' is there already"):
        made.add(UserItem("u1", "another"))
    assert made.items == (HELLO, HI) and changes == []


def test_new_ids_are_nobody_elses() -> None:
    made, _ = conversation(UserItem("item_2", "a client's own"))
    names = [made.new_id() for _ in range(3)]
    assert len({*names, "item_2"}) == 4


def test_an_item_is_replaced_in_its_place_and_told_only_if_it_differs() -> None:
    made, changes = conversation(HELLO, HI)
    made.replace(replace(HELLO))
    assert changes == []
    longer = UserItem("u1", "Hello there.")
    made.replace(longer)
    assert made.items == (longer, HI) and changes == [ItemChanged(longer)]
    with pytest.raises(UnknownItem):
        made.replace(CALL)


def test_an_item_is_removed_once() -> None:
    made, changes = conversation(HELLO, HI)
    made.remove("u1")
    assert made.items == (HI,) and changes == [ItemRemoved("u1")]
    for unknown in (made.remove, made.get):
        with pytest.raises(UnknownItem, match="u1"):
            unknown("u1")
    assert changes == [ItemRemoved("u1")]


# What was heard


@pytest.mark.parametrize(
    ("heard_ms", "text"),
    [(0, ""), (299.9, ""), (300, "Hi."), (699, "Hi."), (700, "Hi. How are"), (1000, "Hi. How are you?")],
)
def test_words_were_heard_when_their_audio_is_over(heard_ms: float, text: str) -> None:
    assert replace(HI, heard_ms=heard_ms).text == text


@pytest.mark.parametrize(
    ("audio_ms", "left", "text"),
    [
        (-5, 0, ""),
        (0, 0, ""),
        (650, 650, "Hi."),
        (999.9, 999.9, "Hi. How are"),
        (5000, 1000, "Hi. How are you?"),
    ],
)
def test_a_reply_is_truncated_to_what_sounded(audio_ms: float, left: float, text: str) -> None:
    """Not to more than was heard before, and never to less than nothing."""
    made, changes = conversation(HELLO, HI)
    made.truncate("a1", audio_ms)
    item = made.get("a1")
    assert isinstance(item, AssistantItem)
    assert (min(item.heard_ms, item.cut_ms), item.text) == (left, text)
    assert changes == ([ItemChanged(item)] if left < 1000 else [])


def test_what_was_cut_off_does_not_come_back() -> None:
    made, _ = conversation(HI)
    made.truncate("a1", 400)
    made.truncate("a1", 900)
    item = made.get("a1")
    assert isinstance(item, AssistantItem) and item.text == "Hi."


def test_a_truncation_holds_while_the_reply_is_still_heard() -> None:
    made, _ = conversation(replace(HI, heard_ms=700))
    made.truncate("a1", 650)
    item = made.get("a1")
    assert isinstance(item, AssistantItem)
    made.replace(replace(item, heard_ms=1000))  # as the next chunk does
    item = made.get("a1")
    assert isinstance(item, AssistantItem) and item.text == "Hi."


@pytest.mark.parametrize("item", [HELLO, CALL, OUTPUT])
def test_what_has_no_audio_is_not_truncated(item: UserItem | ToolCall | ToolOutput) -> None:
    made, changes = conversation(item)
    with pytest.raises(NoAudio, match=item.id):
        made.truncate(item.id, 100)
    with pytest.raises(UnknownItem):
        made.truncate("nobody", 100)
    assert made.items == (item,) and changes == []


# What the language model reads


def test_messages_are_the_instructions_and_what_was_said_heard_and_called() -> None:
    made, _ = conversation(HELLO, replace(HI, heard_ms=700), CALL, OUTPUT)
    assert made.messages() == (
        SYSTEM,
        Message("user", "Hello."),
        Message("assistant", "Hi. How are"),
        Message("assistant", "", calls=(Call("call_7", "weather", '{"city": "Paris"}'),)),
        Message("tool", "rain", call_id="call_7"),
    )
    made.instructions = "Be long."
    assert made.messages()[0] == Message("system", "Be long.")


def test_what_the_client_says_first_joins_the_instructions_and_what_it_says_later_stays_in_its_place() -> (
    None
):
    made, _ = conversation(SystemItem("s1", "Be kind."), SystemItem("s2", "Be quick."), HELLO)
    made.add(SystemItem("s3", "The user waves."))
    told = Message("system", "Be brief.\nBe kind.\nBe quick.")
    assert made.messages() == (told, Message("user", "Hello."), Message("system", "The user waves."))
    made.forget(1)
    assert ids(made) == ["s1", "s2", "s3"]


def test_what_is_not_known_and_what_was_not_heard_yet_is_no_message() -> None:
    made, _ = conversation(UserItem("u1", "", complete=False), replace(HI, heard_ms=0.0), AssistantItem("a2"))
    assert made.messages() == (SYSTEM,)


def test_a_reply_without_a_voice_is_read_whole() -> None:
    made, _ = conversation(AssistantItem("a1", (Spoken("Hi. How are you?", 0.0),)))
    assert made.messages() == (SYSTEM, Message("assistant", "Hi. How are you?"))


@pytest.mark.parametrize(
    ("count", "left"),
    [(0, "u1 a1 e a2 t1 t2"), (1, "a1 e a2 t1 t2"), (2, "e a2 t1 t2"), (3, "t1 t2"), (5, ""), (9, "")],
)
def test_the_oldest_messages_are_forgotten_with_what_is_none_before_them(count: int, left: str) -> None:
    made, changes = conversation(
        HELLO, HI, UserItem("e", "", complete=False), replace(HI, id="a2"), CALL, OUTPUT
    )
    before = ids(made)
    made.forget(count)
    assert ids(made) == left.split()
    assert changes == [ItemRemoved(name, forgotten=True) for name in before if name not in left.split()]
    assert made.messages()[0] == SYSTEM


names = st.sampled_from("abcdefgh")
steps = st.one_of(
    st.tuples(st.just("add"), names, st.none() | names),
    st.tuples(st.sampled_from(["replace", "remove"]), names),
    st.tuples(st.just("forget"), st.integers(0, 3)),
)


@given(st.lists(steps, max_size=40))
def test_whoever_follows_the_changes_has_the_same_items(sequence: list[tuple[str, str, str | None]]) -> None:
    """A client keeps a list by the changes that it is told, and the list is the conversation."""
    told: list[UserItem | AssistantItem | ToolCall | ToolOutput] = []

    def follow(change: Change) -> None:
        at = {item.id: index for index, item in enumerate(told)}
        match change:
            case ItemAdded(item, after):
                assert item.id not in at
                told.insert(0 if after is None else at[after] + 1, item)
            case ItemChanged(item):
                assert told[at[item.id]] != item
                told[at[item.id]] = item
            case ItemRemoved(name):
                del told[at[name]]

    made = Conversation("", follow)
    for number, (step, *rest) in enumerate(sequence):
        try:
            match step, *rest:
                case "add", str(name), after:
                    made.add(UserItem(name, f"text {number}"), after)
                case "replace", str(name):
                    made.replace(UserItem(name, f"text {number}"))
                case "remove", str(name):
                    made.remove(name)
                case "forget", int(count):
                    made.forget(count)
        except (UnknownItem, ValueError):
            pass
        assert made.items == tuple(told)
    assert [message.content for message in made.messages()[1:]] == [
        item.text for item in told if isinstance(item, UserItem)
    ]


def test_items_aside_have_ids_that_none_has_in_the_conversation() -> None:
    made, _ = conversation(UserItem("item_2", "a client's own"))
    assert [made.new_id(), made.aside().new_id(), made.aside().new_id()] == ["item_1", "item_3", "item_4"]
