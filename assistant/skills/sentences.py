"""Sentence templates in the form of `hassil`: Home Assistant's, and our own beside this file."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from home_assistant_intents import get_intents


def our_own(name: str) -> Mapping[str, Any]:
    """The templates of `sentences/NAME.yaml`, in the form that Home Assistant's custom sentences have."""
    text = files("assistant.skills").joinpath("sentences", f"{name}.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return table


def home_assistant(*names: str) -> Mapping[str, Any]:
    """Home Assistant's own English templates of these intents; raises KeyError for one that it has not."""
    return {"intents": {name: _theirs()["intents"][name] for name in names}}


def placeless(
    name: str, *combinations: str, into: str = "", without: Collection[str] = ()
) -> Mapping[str, Any]:
    """Home Assistant's templates of one intent, only with these combinations of slots, as the intent `into`.

    Where they ask for the room of the device that hears, they hold without: ours do not know their rooms.
    `without` are templates to leave out. Raises KeyError for an intent that it has not.
    """
    chosen = [
        _anywhere(entry, without)
        for entry in _theirs()["intents"][name]["data"]
        if entry["metadata"]["slot_combination"] in combinations
    ]
    return {"intents": {into or name: {"data": chosen}}}


def _anywhere(entry: Mapping[str, Any], without: Collection[str]) -> Mapping[str, Any]:
    required = {key: value for key, value in entry.get("requires_context", {}).items() if key != "area"}
    sentences = [sentence for sentence in entry["sentences"] if sentence not in without]
    return {**entry, "requires_context": required, "sentences": sentences}


def shared() -> Mapping[str, Any]:
    """What Home Assistant's templates have in common: rules, lists of words, words to skip."""
    return {key: _theirs()[key] for key in ("lists", "expansion_rules", "skip_words")}


@cache
def _theirs() -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = get_intents("en")
    assert found is not None, "the package has English"
    return found
