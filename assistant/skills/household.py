"""All skills that come with the assistant, and those of packages that are installed beside it."""

import random
from collections.abc import Iterator
from importlib.metadata import entry_points

from assistant.session.context import one_line
from assistant.skills.announcements import Announcements
from assistant.skills.control import Control
from assistant.skills.dates.clock import Clock
from assistant.skills.house.house import House
from assistant.skills.lists import Lists
from assistant.skills.skill import Services, Skill, SkillError
from assistant.skills.skills import Skills
from assistant.skills.sums.calculate import Calculator
from assistant.skills.sums.units import Units
from assistant.skills.talk.cannot import Cannot
from assistant.skills.talk.care import Care
from assistant.skills.talk.small_talk import SmallTalk
from assistant.skills.timers.alarms import Alarms
from assistant.skills.timers.due import Due
from assistant.skills.timers.reminders import Reminders
from assistant.skills.timers.stopwatch import Stopwatch
from assistant.skills.timers.timers import Timers

GROUP = "assistant.skills"


def household(services: Services, announcements: Announcements) -> Skills:
    """The skills of one home, those first that win over others. Raises SkillError and StoreError."""
    due = Due(services)
    skills: list[Skill] = [
        Care(services),
        Timers(services, due),
        Alarms(services, due),
        Reminders(services, due),
        Stopwatch(services),
        Clock(services),
        Units(services),
        Calculator(),
        Lists(services),
        Control(),
        House(services),
        *_installed(services),
        SmallTalk(random.Random()),
        Cannot(),
    ]
    return Skills(skills, services, announcements, due)


def _installed(services: Services) -> Iterator[Skill]:
    """Each is tried alone: an error in its sentences would keep all others from being understood."""
    for entry in entry_points(group=GROUP):
        try:
            skill: Skill = entry.load()(services)
            Skills([skill], services).open().answer("what can you do")
        except Exception as error:
            raise SkillError(f"skill {entry.name} ({entry.value}): {one_line(error)}") from error
        yield skill
