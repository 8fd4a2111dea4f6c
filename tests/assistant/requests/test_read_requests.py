"""Files of requests, good and bad."""

import json
from pathlib import Path

import pytest

from assistant.requests import RequestError, Turn, read_home, read_requests


def folder(tmp_path: Path, content: object) -> Path:
    (tmp_path / "requests.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_requests_and_dialogues_are_read_in_order(tmp_path: Path) -> None:
    lines = [
        {"kind": "fact", "say": "What is the capital of Spain?", "spoken": ["Madrid"]},
        {"kind": "dialogue", "turns": [{"say": "Add eggs.", "intent": "Add"}, {"say": "And butter."}]},
    ]
    fact, dialogue = read_requests(folder(tmp_path, lines))
    assert fact.turns == (Turn("What is the capital of Spain?", spoken=("Madrid",)),)
    assert [turn.say for turn in dialogue.turns] == ["Add eggs.", "And butter."]
    assert dialogue.turns[0].intent == "Add" and dialogue.turns[1].intent == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([], "needs a list of requests"),
        ({}, "needs a list of requests"),
        ([3], "request 1: must be an object"),
        ([{"kind": "fact"}], "request 1: turns.0.say"),
        ([{"kind": "order", "say": "x"}], "request 1: kind"),
        ([{"kind": "fact", "say": "x"}, {"kind": "fact", "say": "x", "spoken": ["("]}], "request 2: spoken"),
        ([{"kind": "dialogue"}], "request 1: turns"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: object, why: str) -> None:
    with pytest.raises(RequestError) as raised:
        read_requests(folder(tmp_path, content))
    assert why in str(raised.value) and str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_file_and_one_with_no_json(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        read_requests(tmp_path)
    (tmp_path / "requests.json").write_text("{", encoding="utf-8")
    with pytest.raises(RequestError, match="not JSON"):
        read_requests(tmp_path)


def test_the_home_is_empty_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_home(tmp_path).entities == ()
    lamp = {"name": "lamp", "area": "hall", "domain": "light"}
    (tmp_path / "home.json").write_text(json.dumps({"areas": ["hall"], "entities": [lamp]}), encoding="utf-8")
    (entity,) = read_home(tmp_path).entities
    assert (entity.name, entity.area, entity.domain) == ("lamp", "hall", "light")
    (tmp_path / "home.json").write_text('{"entities": [1]}', encoding="utf-8")
    with pytest.raises(RequestError, match="no list of entities"):
        read_home(tmp_path)
