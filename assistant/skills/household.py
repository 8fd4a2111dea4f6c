"""All skills that come with the assistant, and those of packages that are installed beside it."""

import random
from collections.abc import Iterator
from importlib.metadata import entry_points

from assistant.skills.announcements import Announcements
from assistant.skills.cannot import Cannot
from assistant.skills.care import Care
from assistant.skills.skill import Services, Skill
from assistant.skills.skills import Skills
from assistant.skills.small_talk import SmallTalk

GROUP = "assistant.skills"


class SkillError(Exception):
    """A skill of another package cannot be used; the message names it."""


def household(services: Services, announcements: Announcements) -> Skills:
    """The skills of one home; raises SkillError."""
    skills = [Care(services), *_installed(services), SmallTalk(random.Random()), Cannot()]
    return Skills(skills, services, announcements)


def _installed(services: Services) -> Iterator[Skill]:
    for entry in entry_points(group=GROUP):
        try:
            yield entry.load()(services)
        except Exception as error:
            raise SkillError(f"skill {entry.name} ({entry.value}): {error}") from error
