"""What is said about lists, what is understood, and what stands on them then."""

from collections.abc import Sequence

import pytest
from skilled import NONE, Talk

from assistant.skills import Services, Skill, Store
from assistant.skills.listed import items, same
from assistant.skills.lists import Lists


def lists(services: Services) -> Sequence[Skill]:
    return [Lists(services)]


def on(talk: Talk, name: str = "shopping") -> list[object]:
    return [item for (item,) in talk.store.read("SELECT item FROM listed WHERE list = ? ORDER BY id", name)]


ADD, TAKE = "HassShoppingListAddItem", "HassShoppingListCompleteItem"


@pytest.mark.parametrize(
    ("says", "listed"),
    [
        ("Add milk to my shopping list.", ["milk"]),
        ("Could you put oat milk on the list, please?", ["oat milk"]),
        ("Pop oat milk on the list.", ["oat milk"]),
        ("Stick washing powder on the shopping list.", ["washing powder"]),
        ("Jot down bin bags on the grocery list", ["bin bags"]),
        ("put toothpaste on the groceries list", ["toothpaste"]),
        ("Add to my shopping list two pints of milk.", ["two pints of milk"]),
        ("Add Marmite to the shopping", ["Marmite"]),
        ("Add batteries and tape to my shopping list.", ["batteries", "tape"]),
        ("Add eggs, butter, and milk to the list.", ["eggs", "butter", "milk"]),
        ("Add eggs, peanut butter and milk to the list.", ["eggs", "peanut butter", "milk"]),
        ("add salt and pepper to the list", ["salt and pepper"]),
        ("Add mac and cheese, ham and crisps to my list.", ["mac and cheese", "ham", "crisps"]),
        ("Add some bread to my list", ["bread"]),
        ("We're out of dish soap.", ["dish soap"]),
        ("we've run out of eggs and butter", ["eggs", "butter"]),
        ("we're running low on dog food", ["dog food"]),
    ],
)
def test_items_are_added_as_they_are_said(says: str, listed: list[str]) -> None:
    talk = Talk(lists)
    turn = talk.say(says)
    assert (turn.intent, turn.slots["item"], on(talk)) == (ADD, listed[0], listed)
    assert all(item in turn.said for item in listed) and "your shopping list" in turn.said


@pytest.mark.parametrize(
    ("says", "name", "item"),
    [
        ("Add call the plumber to my to-do list.", "to-do", "call the plumber"),
        ("Put wash and dry the car on my to do list", "to-do", "wash and dry the car"),
        ("Add sunscreen to the packing list.", "packing", "sunscreen"),
        ("write scarf down on my christmas list", "christmas", "scarf"),
    ],
)
def test_other_lists_have_names(says: str, name: str, item: str) -> None:
    talk = Talk(lists)
    turn = talk.say(says)
    assert turn.intent == "HassListAddItem" and turn.slots["name"] == name
    assert turn.slots["item"] == item and on(talk, name) == [item]


@pytest.mark.parametrize(
    "says",
    [
        "we're out of time",
        "I'm out of here",
        "I'm out of a job",
        "we're out of a job",
        "we've run out of road",
        "we're out of any ideas",
        "they're out of milk",
        "I was out of coffee",
        "we're out of our minds with worry",
        "I'm out of town until Tuesday",
        "we're out of milk because of you",
        "we're out of the woods",
        "we've run out of gas on the highway",
        "I'm low on energy",
    ],
)
def test_not_all_that_runs_out_can_be_bought(says: str) -> None:
    talk = Talk(lists)
    assert talk.say(says) == NONE and on(talk) == []


DIALOGUES = {
    "and another": (
        [("Add eggs to my list", ADD), ("And butter.", ADD), ("Oh, and some milk too", ADD)],
        ["eggs", "butter", "milk"],
    ),
    "several more": (
        [("Add eggs to my list", ADD), ("Also salt and pepper", ADD), ("add jam and tea as well", ADD)],
        ["eggs", "salt and pepper", "jam", "tea"],
    ),
    "twice": (
        [("Add eggs to my list", ADD), ("Add some eggs to my list", ADD), ("Add Egg to my list", ADD)],
        ["eggs"],
    ),
    "off again": ([("Add tea and jam to my list", ADD), ("No, take that off again.", TAKE)], []),
    "off": (
        [("Add tea and jam to my list", ADD), ("Take the tea off my shopping list", TAKE)],
        ["jam"],
    ),
    "one of them": (
        [("Add tea and jam to my list", ADD), ("Remove the tea", TAKE), ("remove the stain", "")],
        ["jam"],
    ),
    "ticked": ([("Add tea to my list", ADD), ("Tick tea off the list", TAKE)], []),
    "cleared": ([("Add tea and jam to my list", ADD), ("Clear my shopping list", "ClearList")], []),
    "everything off": (
        [("Add tea and jam to my list", ADD), ("Remove everything from the list", "ClearList")],
        [],
    ),
    "it": ([("Add tea to my list", ADD), ("Read it to me.", "ReadList"), ("Clear it", "ClearList")], []),
    "not to a list": (
        [("Add eggs to my list", ADD), ("And what's the weather?", ""), ("And butter", "")],
        ["eggs"],
    ),
    "a sentence": ([("Add eggs to my list", ADD), ("and then he left", "")], ["eggs"]),
    "water": ([("Add eggs to my list", ADD), ("add salt to the water", "")], ["eggs"]),
    "a sum": ([("Add eggs to my list", ADD), ("add five and seven", "")], ["eggs"]),
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogues(name: str) -> None:
    turns, listed = DIALOGUES[name]
    talk = Talk(lists)
    for says, intent in turns:
        assert talk.say(says).intent == intent, says
    assert on(talk) == listed


def test_a_follow_up_is_the_same_intent_of_another_item() -> None:
    talk = Talk(lists)
    talk.say("Put socks on my packing list")
    turn = talk.say("And shirts.")
    assert (turn.intent, turn.slots) == ("HassListAddItem", {"item": "shirts", "name": "packing"})
    talk.say("Add hats to the list")
    assert on(talk, "packing") == ["socks", "shirts", "hats"]


@pytest.mark.parametrize(
    "says",
    [
        "What's on my shopping list?",
        "Read me my shopping list",
        "what do I need to buy?",
        "Can you tell me what is on the list",
        "read out the grocery list",
        "What do we have on the list?",
    ],
)
def test_a_list_is_read(says: str) -> None:
    talk = Talk(lists)
    empty = talk.say(says)
    assert (empty.intent, empty.slots) == ("ReadList", {"name": "shopping"})
    assert empty.said == "Your shopping list is empty."
    talk.say("Add eggs, tea and jam to my list")
    assert talk.say(says).said == "There are 3 things on your shopping list: eggs, tea, and jam."


def test_whether_something_is_on_a_list() -> None:
    talk = Talk(lists)
    talk.say("Add eggs to my list")
    assert talk.say("Are eggs on my list?").said == "Yes, eggs are on your shopping list."
    assert talk.say("Is milk on my shopping list?").said == "No, milk is not on your shopping list."


def test_duplicates_and_what_is_not_there_are_said() -> None:
    talk = Talk(lists)
    talk.say("Add milk to my list")
    assert talk.say("Add milk to my list").said == "Milk is already on your shopping list."
    assert talk.say("Add milk and tea to my list").said == (
        "I added tea to your shopping list. Milk is already on it."
    )
    assert talk.say("Take jam off my list").said == "Jam is not on your shopping list."
    assert on(talk) == ["milk", "tea"]


def test_nothing_changes_before_it_is_done_and_it_can_be_undone() -> None:
    talk = Talk(lists)
    assert talk.hear("Add milk to my list") and on(talk) == []
    talk.say_and_undo("Add milk to my list")
    assert on(talk) == []
    talk.say("Add milk and tea to my list")
    talk.say_and_undo("Take milk off my list")
    talk.say_and_undo("Clear my list")
    assert on(talk) == ["milk", "tea"]


def test_lists_of_others_are_not_ours() -> None:
    talk = Talk(lists)
    assert talk.say("What's on the wine list?") == NONE
    assert talk.say("Put me on the list") == NONE
    assert talk.say("What's on my packing list?").said == "Your packing list is empty."


def test_a_store_that_fails_is_said() -> None:
    talk = Talk(lists, store=Store())
    assert talk.hear("Add milk to my list")
    talk.store.close()
    assert talk.say("Add milk to my list").said == "I can't get at my lists right now."


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("eggs", ["eggs"]),
        ("eggs and eggs", ["eggs"]),
        ("gin and tonic, lemons & ice", ["gin and tonic", "lemons", "ice"]),
        ("brandy", ["brandy"]),
    ],
)
def test_items(words: str, wanted: list[str]) -> None:
    assert items(words) == wanted


def test_what_means_the_same() -> None:
    assert same("the Tomatoes", ["bread", "tomato"]) == "tomato"
    assert same("tea", ["teabags"]) is None
