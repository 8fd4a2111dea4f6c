"""The shopping list, the to-do list, and lists of any other name."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from assistant.skills.listed import as_written, is_item, items, may_follow, may_run_out, same, spoken
from assistant.skills.sentences import home_assistant, our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation
from assistant.skills.store import Store, StoreError

SHOPPING = "shopping"
_ADD = ("HassShoppingListAddItem", "HassListAddItem")
_REMOVE = ("HassShoppingListCompleteItem", "HassListCompleteItem", "HassListRemoveItem")
_NAMES = {
    (True, True): "HassShoppingListAddItem",
    (True, False): "HassShoppingListCompleteItem",
    (False, True): "HassListAddItem",
    (False, False): "HassListRemoveItem",
}
"""By whether it is the shopping list, and whether something is added."""
_TALKED_ABOUT = (*_ADD, *_REMOVE, "ReadList", "IsOnList", "ClearList")
_TASKS = re.compile(r"(?:to-do|task|tasks|chore|chores|work)$")
"""Lists of what is to be done: "wash and dry the car" is one thing there."""
_OURS = re.compile(r"\b(?:my|our)\b", re.IGNORECASE)
_UNNAMED = re.compile(r"\b(?:shopping|grocery|groceries|food)\b", re.IGNORECASE)
_FAILED = "I can't get at my lists right now."


class Lists:
    """Adds, removes and reads items; they are kept as they were said."""

    sentences = (
        home_assistant("HassShoppingListAddItem", "HassShoppingListCompleteItem"),
        our_own("lists"),
    )
    lists: Mapping[str, Sequence[Choice]] = {}

    def __init__(self, services: Services) -> None:
        """Raises StoreError."""
        self._kept = _Kept(services.store)

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See Skill."""
        before = situation.before
        about = before if before is not None and before.name in _TALKED_ABOUT else None
        try:
            return self._answer(intent, about)
        except StoreError:
            return Answer(_FAILED)

    def _answer(self, intent: Intent, about: Intent | None) -> Answer | None:
        match intent.name:
            case "HassShoppingListAddItem" if "out" in intent.slots:
                words = as_written(str(intent.slots["out"]), intent.text)
                bought = replace(intent, slots={"item": words})
                return self._add(bought, SHOPPING) if may_run_out(words) else None
            case "HassShoppingListAddItem" | "HassListAddItem":
                return self._add(intent, _list_of(intent, about))
            case "HassShoppingListCompleteItem" | "HassListCompleteItem" | "HassListRemoveItem":
                return self._remove(intent, _list_of(intent, about))
            case "AlsoItem" if about is not None and about.name in _ADD:
                if not all(may_follow(item) for item in _said(intent)):
                    return None
                return self._add(replace(intent, name=about.name), _list_of(about, None))
            case "TakeOff" if about is not None:
                name = _list_of(about, None)
                known = all(same(item, self._kept.items(name)) for item in _said(intent))
                return self._remove(replace(intent, name=_REMOVE[-1]), name) if known else None
            case "TakeOffAgain" if about is not None and about.name in _ADD:
                return self._remove(replace(intent, name=_REMOVE[-1]), _list_of(about, None), _added(about))
            case "ReadIt" if about is not None:
                return self._read(intent, _list_of(about, None))
            case "ClearIt" if about is not None:
                return self._clear(intent, _list_of(about, None))
            case "ReadList":
                return self._read(intent, _list_of(intent, about))
            case "IsOnList":
                return self._is_on(intent, _list_of(intent, about))
            case "ClearList":
                return self._clear(intent, _list_of(intent, about))
        return None

    def _add(self, intent: Intent, name: str) -> Answer | None:
        wanted = [str(intent.slots["item"])] if _TASKS.match(name) else _said(intent)
        if not wanted or not all(is_item(item) for item in wanted):
            return None
        listed = self._kept.items(name)
        new = [item for item in wanted if same(item, listed) is None]
        old = [found for item in wanted if (found := same(item, listed)) is not None]
        added = f"I added {spoken(new)} to your {name} list." if new else ""
        there = f"{_capital(spoken(old))} {_is(old)} already on {'it' if new else f'your {name} list'}."
        text = " ".join(filter(None, (added, there if old else "")))
        meant = _about_items(intent, name, wanted)
        rows: list[int] = []

        async def act() -> str | None:
            rows.extend(self._kept.add(name, new))
            return None

        async def undo() -> None:
            self._kept.delete(rows)

        return Answer(text, _safe(act), undo, meant)

    def _remove(self, intent: Intent, name: str, wanted: Sequence[str] = ()) -> Answer | None:
        rows = self._kept.rows(name)
        if not wanted:
            whole = str(intent.slots["item"])
            wanted = [whole] if same(whole, list(rows.values())) else _said(intent)
        if not wanted or not all(is_item(item) for item in wanted):
            return None
        found = {item: same(item, list(rows.values())) for item in wanted}
        gone = [there for there in found.values() if there is not None]
        missing = [item for item, there in found.items() if there is None]
        removed = f"I took {spoken(gone)} off your {name} list." if gone else ""
        not_there = f"{_capital(spoken(missing))} {_is(missing)} not on your {name} list." if missing else ""
        taken = {row: item for row, item in rows.items() if item in gone}
        meant = _about_items(intent, name, wanted)
        return self._taking(" ".join(filter(None, (removed, not_there))), name, taken, meant)

    def _clear(self, intent: Intent, name: str) -> Answer | None:
        rows = self._kept.rows(name)
        if not rows and not self._is_ours(intent, name):
            return None
        meant = Intent("ClearList", {"name": name}, intent.text)
        text = f"I cleared your {name} list." if rows else f"Your {name} list is empty already."
        return self._taking(text, name, rows, meant)

    def _taking(self, text: str, name: str, rows: Mapping[int, str], meant: Intent) -> Answer:
        async def act() -> str | None:
            self._kept.delete(list(rows))
            return None

        async def undo() -> None:
            self._kept.put_back(name, rows)

        return Answer(text, _safe(act), undo, meant)

    def _read(self, intent: Intent, name: str) -> Answer | None:
        listed = self._kept.items(name)
        if not listed and not self._is_ours(intent, name):
            return None
        things = "is one thing" if len(listed) == 1 else f"are {len(listed)} things"
        text = f"There {things} on your {name} list: {spoken(listed)}."
        meant = Intent("ReadList", {"name": name}, intent.text)
        return Answer(text if listed else f"Your {name} list is empty.", intent=meant)

    def _is_on(self, intent: Intent, name: str) -> Answer | None:
        listed, item = self._kept.items(name), str(intent.slots["item"])
        if not is_item(item) or (not listed and not self._is_ours(intent, name)):
            return None
        found = same(item, listed)
        text = f"Yes, {found} {_is([found])} on" if found else f"No, {item} {_is([item])} not on"
        return Answer(f"{text} your {name} list.", intent=replace(intent, slots={"item": item, "name": name}))

    def _is_ours(self, intent: Intent, name: str) -> bool:
        """Whether an empty list is meant, rather than one of wines."""
        return name in (SHOPPING, "to-do") or _OURS.search(intent.text) is not None


class _Kept:
    """The items in the store. Raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.write("CREATE TABLE IF NOT EXISTS listed (id INTEGER PRIMARY KEY, list TEXT, item TEXT)")

    def rows(self, name: str) -> dict[int, str]:
        rows = self._store.read("SELECT id, item FROM listed WHERE list = ? ORDER BY id", name)
        return {int(str(row)): str(item) for row, item in rows}

    def items(self, name: str) -> list[str]:
        return list(self.rows(name).values())

    def add(self, name: str, items: Sequence[str]) -> list[int]:
        return [
            self._store.write("INSERT INTO listed (list, item) VALUES (?, ?)", name, item) for item in items
        ]

    def put_back(self, name: str, rows: Mapping[int, str]) -> None:
        for row, item in rows.items():
            self._store.write(
                "INSERT OR IGNORE INTO listed (id, list, item) VALUES (?, ?, ?)", row, name, item
            )

    def delete(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._store.write("DELETE FROM listed WHERE id = ?", row)


def _list_of(intent: Intent, about: Intent | None) -> str:
    """The list that is meant: "the list" is the one that was talked about."""
    named = intent.slots.get("name")
    if about is not None and named in (None, SHOPPING) and not _UNNAMED.search(intent.text):
        named = about.slots.get("name")
    name = re.sub(r"^(?:my|the|our)\s+", "", str(named or SHOPPING).casefold())
    return "to-do" if name in ("to do", "todo", "to-do", "two do") else name


def _said(intent: Intent) -> list[str]:
    """The items of what was just said."""
    return items(as_written(str(intent.slots["item"]), intent.text))


def _about_items(intent: Intent, name: str, wanted: Sequence[str]) -> Intent:
    """With the first item as Home Assistant has it; `items` are all of several."""
    shopping = name == SHOPPING
    slots = {"item": wanted[0]} if shopping else {"item": wanted[0], "name": name}
    if len(wanted) > 1:
        slots["items"] = ", ".join(wanted)
    ticked = name != SHOPPING and intent.name == "HassListCompleteItem"
    meant = intent.name if ticked else _NAMES[shopping, intent.name in _ADD]
    return Intent(meant, slots, intent.text, intent.open_ended)


def _added(about: Intent) -> list[str]:
    """All items of an intent that `_about_items` made."""
    several = about.slots.get("items")
    return str(several).split(", ") if several else [str(about.slots["item"])]


def _safe(act: Callable[[], Awaitable[str | None]]) -> Callable[[], Awaitable[str | None]]:
    async def acting() -> str | None:
        try:
            return await act()
        except StoreError:
            return _FAILED

    return acting


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _is(things: Sequence[str]) -> str:
    many = len(things) > 1 or any(re.search(r"[^s]s$", thing) for thing in things)
    return "are" if many else "is"
