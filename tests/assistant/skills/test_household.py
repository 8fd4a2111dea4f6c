"""The skills of a home leave ordinary sentences to the language model."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sayings import HERE

from assistant.skills import Announcements, Services, SkillError, Store
from assistant.skills.household import household
from assistant.skills.skills import Conversation

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HARMLESS = ("Care", "Cannot", "SmallTalk")
"""They only say something."""


def test_ordinary_sentences_start_nothing() -> None:
    """At most 1 % start an action, and at most 1 % get a fixed answer in place of the model's."""
    announcements = Announcements()
    conversation = household(Services(Store(), lambda: NOW, announcements), announcements).open()
    sentences = (HERE / "ordinary.txt").read_text(encoding="utf-8").splitlines()
    planned = [(text, conversation.answer(text)) for text in sentences]
    found = [(text, plan.intent) for text, plan in planned if plan is not None]
    actions = [pair for pair in found if not pair[1].startswith(HARMLESS)]
    assert len(sentences) >= 200
    assert len(actions) <= len(sentences) / 100, actions
    assert len(found) - len(actions) <= len(sentences) / 100, found


def conversation() -> Conversation:
    announcements = Announcements()
    return household(Services(Store(), lambda: NOW, announcements), announcements).open()


@pytest.mark.parametrize("said", ["set a timer for ", "turn on the light and ", "add milk to my list and "])
def test_what_is_longer_than_any_command_is_none(said: str) -> None:
    """Some templates take time with the cube of the length: minutes for these."""
    assert conversation().answer(said * 200) is None


def test_who_needs_help_is_heard_at_the_end_of_a_long_text() -> None:
    planned = conversation().answer("It was a long day and nobody called. " * 100 + "I want to kill myself.")
    assert planned is not None and planned.intent == "CareSuicide"


KETTLE = """
from assistant.skills import Answer

class Kettle:
    lists = {}
    def __init__(self, services):
        self.sentences = ({"intents": {"NAME": {"data": [{"sentences": ["TEMPLATE"]}]}}},)
    def answer(self, intent, situation):
        return Answer("The kettle is on.")
"""


def install(folder: Path, source: str, module: str) -> None:
    """As pip would put a package there that has a skill."""
    (folder / f"{module}.py").write_text(source)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[assistant.skills]\nkettle = {module}:Kettle\n")


def test_a_skill_of_another_package_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, KETTLE.replace("NAME", "Boil").replace("TEMPLATE", "boil [the] water"), "kettle_fine")
    monkeypatch.syspath_prepend(str(tmp_path))
    planned = conversation().answer("Boil the water, please.")
    assert planned is not None and planned.text == "The kettle is on."


@pytest.mark.parametrize(
    ("module", "name", "template", "why"),
    [
        ("kettle_open", "Boil", "boil [the water", r"skill kettle \(kettle_open:Kettle\): .*\[the water"),
        ("kettle_taken", "HassStartTimer", "boil water", "skill kettle_taken: .*HassStartTimer"),
    ],
)
def test_a_skill_that_would_spoil_the_others_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, template: str, why: str
) -> None:
    install(tmp_path, KETTLE.replace("NAME", name).replace("TEMPLATE", template), module)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SkillError, match=why):
        conversation()
