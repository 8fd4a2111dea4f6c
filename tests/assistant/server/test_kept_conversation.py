"""A client's conversation is kept while it is held, and goes on in another: connection, session and keeper.

The voice lasts from 320 to 960 ms, as in test_connection.
"""

from typing import Any

import pytest
from fakes import Scene, Voice
from remote import HANG_UP, Remote, typed
from stores import MemoryStore

from assistant.server.kept import Kept, read_kept
from assistant.server.resume import Resume
from assistant.server.state import Entry
from assistant.session.conversation import AssistantItem, Spoken, UserItem
from llm.text.message import Message, Role

HELLO, ANSWER = "how are you", "Fine. And you?"
SCENE = Scene((Voice(320, 960, HELLO),), {HELLO: ANSWER}, 5000)
CREATE = {"type": "response.create"}


def kept_of(store: MemoryStore) -> Kept:
    return read_kept(store.kept["sess_c"])


def knows(client: Remote, *history: tuple[Role, str]) -> None:
    """The model is to read this before each turn, and nothing else."""
    client.writer._history = lambda: [Message(*each) for each in history]


def held(**more: Any) -> tuple[Remote, MemoryStore]:  # noqa: ANN401  # as Remote has them
    store = MemoryStore()
    return Remote(SCENE, store=store, **more).run_remote(), store


def test_what_is_kept_is_the_conversation_and_what_the_client_has_set() -> None:
    store = MemoryStore()
    client = Remote(SCENE, session={"instructions": "Be loud."}, store=store)
    knows(client, ("system", "Be loud."))
    client.run_remote()
    kept = kept_of(store)
    assert [entry.item for entry in kept.entries] == list(client.session.conversation.items)
    assert [entry.spoken for entry in kept.entries] == [False, True]
    assert kept.settings["instructions"] == "Be loud." and "output" not in kept.settings["audio"]
    audio = sum(len(event["delta"]) * 3 // 4 for event in client.all("response.output_audio.delta"))
    assert kept.entries[1].sent_ms == audio // 48


@pytest.mark.parametrize("answers", [True, False])
def test_no_turn_waits_for_the_store(answers: bool) -> None:
    """Event for event and millisecond for millisecond, with a store that hangs, and one that fails."""
    store = MemoryStore(lost=answers)
    if not answers:
        store.answers.clear()
    without = Remote(SCENE).run_remote()
    client = Remote(SCENE, store=store)
    client.loop.call_at(6, store.answers.set)  # it is let go when all is over
    client.run_remote()
    assert len(client.sent) > 20 and client.sent == without.sent
    assert client.end_ms == (without.end_ms if answers else pytest.approx(6000, abs=1))


def test_it_goes_on_where_it_was_in_another_session() -> None:
    _, store = held()
    before = kept_of(store)
    scene = Scene((), {"and the weather": "Sunny."}, 4000)
    says = {200: [typed("and the weather"), CREATE]}
    client = Remote(scene, says, audio=False, resume=Resume(60, "sess_c", before))
    knows(client, ("system", "Be brief."), ("user", HELLO), ("assistant", ANSWER))
    client.run_remote()
    first = client.types()[:5]
    assert first == ["session.created"] + ["conversation.item.added", "conversation.item.done"] * 2
    ids = [event["item"]["id"] for event in client.all("conversation.item.added")]
    assert ids[:2] == [entry.item.id for entry in before.entries]
    assert client.all("conversation.item.added")[2]["previous_item_id"] == ids[1]
    said = [(message.role, message.content) for message in client.history()[1:]]
    assert said == [
        ("user", HELLO),
        ("assistant", ANSWER),
        ("user", "and the weather"),
        ("assistant", "Sunny."),
    ]
    assert len(client.writer.ahead) >= 1  # it has been read before there was a turn


def test_of_a_reply_that_the_end_cut_off_there_is_what_had_sounded() -> None:
    """Words of 300 ms, from 960 ms and the wait on; the client hangs up in the second or third of them."""
    client, store = held(says={2000: HANG_UP})
    _, reply = (entry.item for entry in kept_of(store).entries)
    assert isinstance(reply, AssistantItem) and not reply.complete
    assert reply == client.session.conversation.items[1] and ANSWER.startswith(reply.text)
    assert reply.text != ANSWER


def test_a_server_that_shuts_down_tells_its_client_to_come_back_and_has_kept_all() -> None:
    store = MemoryStore()
    client = Remote(SCENE, store=store)
    client.loop.call_at(1.4, client.draining.set)
    client.run_remote()
    assert client.socket.closed is not None and client.socket.closed[0] == 1012
    user, reply = (entry.item for entry in kept_of(store).entries)
    assert isinstance(user, UserItem) and user.text == HELLO
    assert isinstance(reply, AssistantItem) and reply.text == ANSWER and reply.complete


def test_new_ids_are_no_old_ones_even_if_a_client_gave_some_that_look_like_ours() -> None:
    ours = tuple(UserItem(f"item_{n}", f"old {n}") for n in range(1, 4))
    reply = AssistantItem("item_4", (Spoken("Old.", 0.0),), complete=True)
    kept = Kept({}, tuple(Entry(item) for item in (*ours, reply)))
    client = Remote(SCENE, resume=Resume(60, "sess_c", kept))
    knows(
        client, ("system", "Be brief."), *[("user", f"old {n}") for n in range(1, 4)], ("assistant", "Old.")
    )
    client.run_remote()
    ids = [event["item"]["id"] for event in client.all("conversation.item.added")]
    assert len(ids) == len(set(ids)) == 6 and ids[:4] == ["item_1", "item_2", "item_3", "item_4"]
