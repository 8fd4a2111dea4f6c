"""What the assistant does itself: commands, sums, and what it knows that it cannot."""

from assistant.session.stages import Device
from assistant.skills.announcements import Announcements
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation, Skill, SkillError
from assistant.skills.skills import Skills
from assistant.skills.store import Store, StoreError

__all__ = [
    "Announcements",
    "Answer",
    "Choice",
    "Device",
    "Intent",
    "Services",
    "Situation",
    "Skill",
    "SkillError",
    "Skills",
    "Store",
    "StoreError",
]
