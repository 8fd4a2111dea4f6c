"""All skills that come with the assistant, and those of packages that are installed beside it."""

from collections.abc import Iterator
from importlib.metadata import entry_points

from assistant.skills.announcements import Announcements
from assistant.skills.skill import Services, Skill
from assistant.skills.skills import Skills

GROUP = "assistant.skills"


class SkillError(Exception):
    """A skill of another package cannot be used; the message names it."""


def household(services: Services, announcements: Announcements) -> Skills:
    """The skills of one home; raises SkillError."""
    return Skills([*_installed(services)], services, announcements)


def _installed(services: Services) -> Iterator[Skill]:
    for entry in entry_points(group=GROUP):
        try:
            yield entry.load()(services)
        except Exception as error:
            raise SkillError(f"skill {entry.name} ({entry.value}): {error}") from error
