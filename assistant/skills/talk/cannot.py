"""What the assistant can neither know nor do: it says so, and what it can do instead.

A language model would make it up: a forecast, or a call that nobody gets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Situation
from assistant.skills.talk.spotting import Phrases

_WORDS: Mapping[str, str] = {
    "CannotWeather": "I can't check the weather. I can tell you the time, or set an alarm or a reminder.",
    "CannotNews": "I can't get the news, because I'm not online.",
    "CannotTraffic": "I can't check traffic or timetables. I can set an alarm so that you leave in time.",
    "CannotSports": "I can't look up scores or fixtures.",
    "CannotPrices": "I can't look up prices or rates. If you tell me the numbers, I can do the sum.",
    "CannotCalendar": "I don't have your calendar. I can set a reminder or an alarm.",
    "CannotMail": "I can't read or send mail. I can remind you to do it.",
    "CannotMessage": "I can't send or read messages. I can remind you to do it.",
    "CannotCall": "I can't make calls. I can remind you to call.",
    "CannotContacts": "I don't have your contacts.",
    "CannotKnowYou": "I don't know that about you.",
    "CannotOrder": "I can't order or buy anything. I can put it on your shopping list.",
    "CannotNavigate": "I can't give directions, because I have no map.",
    "CannotLocation": "I can't see where you are, or where anything else is.",
    "CannotPlay": "I can't play music, radio or video.",
    "CannotSearch": "I can't go online. I can try to answer from what I know.",
    "CannotTaxi": "I can't get you a ride. I can set a reminder or a timer.",
    "CannotPlaces": "I can't look up places or opening times, or book them.",
    "CannotOffice": "I can't check that, and what I know may be out of date.",
    "CannotTickets": "I can't book travel or tickets. I can set a reminder.",
    "CannotBank": "I can't see your accounts or move money. I can set a reminder to pay.",
    "CannotCamera": "I can't see, and I have no camera.",
    "CannotLottery": "I can't look up lottery numbers.",
    "CannotPrint": "I can't print, scan or fax.",
}


class Cannot:
    """Asked last, so that whatever a skill can do after all is done."""

    sentences: Sequence[Mapping[str, Any]] = ()
    lists: Mapping[str, Sequence[Choice]] = {}
    urgent = False

    def __init__(self) -> None:
        self._phrases = Phrases(our_own("cannot"))
        self.names = self._phrases.names

    def recognize(self, text: str) -> Intent | None:
        """What was asked for that is out of reach."""
        name = self._phrases.find(text)
        return None if name is None else Intent(name, {}, text)

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:  # noqa: ARG002 - always the same
        """That it cannot be, and what can."""
        return Answer(_WORDS[intent.name])
