"""Everyday requests, and whether what came of them is what should."""

from assistant.requests.ask import Asked, ask
from assistant.requests.judge import Verdict, judge
from assistant.requests.read import Request, RequestError, Turn, read_home, read_requests

__all__ = [
    "Asked",
    "Request",
    "RequestError",
    "Turn",
    "Verdict",
    "ask",
    "judge",
    "read_home",
    "read_requests",
]
