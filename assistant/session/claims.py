"""Claims of actions: a language model says that it does things, or did, and nothing is done by saying so."""

import re

_DONE = (
    "set|started|stopped|turned|switched|added|removed|called|dialed|sent|ordered|booked|played|scheduled"
    "|reminded|cancell?ed|created|dimmed|paused|texted|messaged|emailed|opened|closed|locked|put|made|saved"
    "|changed|updated|checked|noted"
)
_DOING = (
    "setting|starting|stopping|turning|switching|adding|removing|calling|dialing|sending|ordering|booking"
    "|playing|scheduling|reminding|cancell?ing|creating|dimming|pausing|texting|messaging|emailing|opening"
    "|closing|locking|putting|making|saving|changing|updating|checking"
)
_DO = (
    "set|start|stop|turn|switch|add|remove|call|dial|send|order|book|play|schedule|remind|cancel|create|dim"
    "|pause|text|message|email|open|close|lock|put|save|change|update|check"
)
_BEGIN = r"(?:^|[.!?]\s)\W*(?:(?:okay|ok|sure|all right),? )?"
_END = r"(?=\W*(?:$|[.!]))"
_CLAIM = re.compile(
    rf"\bI(?:'ve| have)\s+(?:just |already |now )?(?:{_DONE})\b|\bI (?:just |already )(?:{_DONE})\b"
    rf"|\bI(?:'ll| will)\s+(?:just |now )?(?:{_DO})\b"
    rf"|\bI(?:'m| am)\s+(?:just |now )?(?:{_DOING}|going to (?:just )?(?:{_DO}))\b"
    rf"|\b(?:has|have) been (?:{_DONE})\b|\b(?:is|are) now (?:set|on|off|playing|running)\b"
    rf"|{_BEGIN}(?:the|your) (?:[\w'-]+ ){{1,4}}(?:is|are) "
    rf"(?:on|off|dimmed|locked|unlocked|muted|paused){_END}"
    rf"|{_BEGIN}(?:(?:a|the|your) )?(?:[\w'-]+ ){{0,2}}(?:timer|alarm|reminder) (?:is )?"
    rf"(?:set(?= for| at| to|{_END})|(?:cancell?ed|paused){_END})"
    rf"|^\W*(?:done|(?:{_DOING}))\b",
    re.IGNORECASE,
)


def claims_action(text: str) -> bool:
    """Whether `text` says that something is being done for the user, or was."""
    return _CLAIM.search(text.replace("\u2019", "'")) is not None
