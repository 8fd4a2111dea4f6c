"""Phrases found within what was said."""

import pytest

from assistant.skills.talk.spotting import Phrases, in_full

TABLE = {
    "intents": {
        "Fall": {
            "data": [
                {"sentences": ["<anyone> {few} (fell|has fallen) [down]"], "unless": ["fell (asleep|for)"]}
            ]
        },
        "Sing": {"data": [{"sentences": ["sing {word}"], "where": "start"}]},
        "Hello": {"data": [{"sentences": ["hello [there]"], "where": "whole"}]},
    },
    "expansion_rules": {"anyone": "(i|my [{word}] friend[s])"},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I fell.", "Fall"),
        ("Oh dear, my old friend just fell down!", "Fall"),
        ("My friends have all fallen", None),
        ("My friend's fallen.", None),
        ("My friend has really has fallen", "Fall"),
        ("I fell asleep.", None),
        ("Snowflakes fell.", None),
        ("I one two three four fell", "Fall"),
        ("I one two three four five fell", None),
        ("Hey, can you sing carols?", "Sing"),
        ("Birds sing songs.", None),
        ("Hello there!", "Hello"),
        ("Oh hello there, assistant.", "Hello"),
        ("Hello is a word.", None),
        ("", None),
    ],
)
def test_where_a_phrase_may_be(text: str, found: str | None) -> None:
    assert Phrases(TABLE).find(text) == found


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("I'm here, can't you see?", "i am here can not you see"),
        ("What\u2019s up?", "what is up"),
        ("Don't; I won't, and she'd've gone!", "do not i will not and she would have gone"),
        ("Pi is 3.14, or 50%.", "pi is 3.14 or 50 percent"),
        ("I'm gonna go, I wanna go.", "i am going to go i want to go"),
    ],
)
def test_short_forms_are_written_in_full(text: str, full: str) -> None:
    assert in_full(text) == full
