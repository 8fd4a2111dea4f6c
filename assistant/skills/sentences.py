"""Sentence templates in the form of `hassil`: Home Assistant's, and our own beside this file."""

from collections.abc import Mapping
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


def shared() -> Mapping[str, Any]:
    """What Home Assistant's templates have in common: rules, lists of words, words to skip."""
    return {key: _theirs()[key] for key in ("lists", "expansion_rules", "skip_words")}


@cache
def _theirs() -> Mapping[str, Any]:
    found: Mapping[str, Any] | None = get_intents("en")
    assert found is not None, "the package has English"
    return found
