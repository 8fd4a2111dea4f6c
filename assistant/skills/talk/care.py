"""When somebody may need help: a fixed answer that names people and numbers, before any model is asked.

It never diagnoses and never says how much of anything to take. A false alarm costs a sentence; a miss may
cost more, so the phrases in `sentences/care.yaml` are wide.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation
from assistant.skills.talk.spotting import Phrases


@dataclass(frozen=True)
class Numbers:
    """Whom to call in a country, as it is spoken after "call"."""

    emergency: str = "your local emergency number"
    crisis: str = "a crisis line near you"
    """Somebody who listens, at any hour."""
    poison: str = "your local poison centre"
    health: str = "a doctor or pharmacist"
    """Advice when no life is in danger."""


# Published at: 911.gov, 988lifeline.org, poison.org (US); nhs.uk, samaritans.org (GB); hse.ie, poisons.ie,
# samaritans.org/ireland (IE); canada.ca, infopoison.ca (CA); triplezero.gov.au, lifeline.org.au,
# poisonsinfo.health.gov.au (AU); 1737.org.nz, poisons.co.nz, healthify.nz (NZ); Decision 91/396/EEC (112).
_COUNTRIES: Mapping[str, Numbers] = {
    "US": Numbers("911", "988", "Poison Control at 1-800-222-1222"),
    "GB": Numbers("999", "Samaritans at 116 123", "NHS 111", "a pharmacist or NHS 111"),
    "IE": Numbers("112 or 999", "Samaritans at 116 123", "the poisons line at 01 809 2166"),
    "CA": Numbers("911", "988", "Poison Control at 1-844-764-7669", "a pharmacist or 811"),
    "AU": Numbers("triple zero", "Lifeline at 13 11 14", "the Poisons Information Centre at 13 11 26"),
    "NZ": Numbers("111", "1737", "the Poisons Centre at 0800 764 766", "Healthline at 0800 611 116"),
}
_EUROPE = Numbers("112")
_EUROPEAN = re.compile(
    "AT|BE|BG|CY|CZ|DE|DK|EE|ES|FI|FR|GR|HR|HU|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK|IS|LI|NO|CH"
)

_ERRAND = re.compile(
    r"(?:(?:hey|please|can you|could you|would you)\W+)*"
    r"(?:remind me|wake me|(?:add|put)\b.+\blist"
    r"|set (?:an?|the|my|another) (?:\S+ )*(?:timer|alarm|reminder))\b",
    re.IGNORECASE,
)
"""What is to be done later ("remind me to call the doctor") is no emergency now."""


def numbers(country: str) -> Numbers:
    """Whom to call in a country, by its ISO 3166-1 alpha-2 code."""
    code = country.upper()
    return _COUNTRIES.get(code, _EUROPE if _EUROPEAN.fullmatch(code) else Numbers())


class Care:
    """Crises, danger, emergencies, poison and doses."""

    sentences: Sequence[Mapping[str, Any]] = ()
    lists: Mapping[str, Sequence[Choice]] = {}
    urgent = True

    def __init__(self, services: Services) -> None:
        self._numbers = vars(numbers(services.country))
        self._phrases = Phrases(our_own("care"))
        self._answers: Mapping[str, str] = our_own("care_answers")
        self.names = self._phrases.names

    def recognize(self, text: str) -> Intent | None:
        """What help somebody may need."""
        name = self._phrases.find(text)
        if name is None or (name != "CareSuicide" and _ERRAND.match(text)):
            return None
        return Intent(name, {}, text)

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:  # noqa: ARG002 - always the same
        """Whom to ask or call."""
        return Answer(self._answers[intent.name].format(**self._numbers))
