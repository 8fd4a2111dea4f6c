"""What the assistant does itself: commands, sums, and what it knows that it cannot."""

from assistant.skills.skill import Answer, Choice, Device, Intent, Services, Situation, Skill
from assistant.skills.skills import Skills
from assistant.skills.store import Store, StoreError

__all__ = [
    "Answer",
    "Choice",
    "Device",
    "Intent",
    "Services",
    "Situation",
    "Skill",
    "Skills",
    "Store",
    "StoreError",
]
