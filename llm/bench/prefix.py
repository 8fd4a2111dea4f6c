"""A recorded conversation asked of a server as `[llm.remote]` asks it, with its prefix kept and broken."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from llm.bench.run import BenchError
from llm.decode.generate import GenerateConfig
from llm.remote.chat_api import read_delta, request_body
from llm.remote.client import RemoteModel
from llm.remote.config import RemoteConfig, checked_url
from llm.remote.sse import EventStream
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.message import Message

_HITS, _QUERIES = "vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"
_TIMEOUT_S = 120.0
_SHORT = GenerateConfig(max_tokens=8)
TURNS = (
    (
        "I want to plan a weekend in Rome",
        "Good choice. Two days are enough for it. When do you go?",
    ),
    ("In the first week of May", "May is mild, about twenty degrees by day. Book a room near Termini."),
    ("What should I see on Saturday", "The Colosseum at nine, then the Forum, and the Capitol at noon."),
    ("Do I need tickets", "For the Colosseum, yes, a week ahead. The Capitol's square is free."),
    ("And on Sunday", "The Vatican is full on Sundays. Walk along the Appian Way, it has no cars then."),
    ("How do I get there", "Bus 118 goes from the Circus Maximus to the catacombs in twenty minutes."),
    ("Where can I eat well", "In Testaccio. Order cacio e pepe. Most kitchens open at half past seven."),
    ("I don't eat cheese", "Then ask for pasta alla marinara. It has tomato, garlic and oil, and no cheese."),
    ("What does a dinner cost", "About thirty euros with a glass of wine. The cover is two or three more."),
    ("Is the tap water good", "Yes. The small fountains in the streets have the same water, and it is cold."),
    ("How do I get to the airport", "The train from Termini goes every half hour and takes 32 minutes."),
    ("Thanks, that is all", "Have a good journey."),
)
"""What the user says and hears, recorded: each run asks the same, whatever the server answers."""


@dataclass(frozen=True)
class Asked:
    """One request. Tokens are None where the server does not tell them."""

    first_token_ms: float
    prompt_tokens: int | None = None
    cached_tokens: int | None = None


def bodies(config: RemoteConfig, turns: int, *, broken: bool) -> list[bytes]:
    """The requests of one conversation that no other begins like; if `broken`, each begins like none."""
    remote, history, requests = RemoteModel(config, _SHORT), list[Message](), []
    own = secrets.token_hex(8)
    for number in range(turns):
        said, heard = TURNS[number % len(TURNS)]
        system = Message("system", f"{secrets.token_hex(8) if broken else own}. {SYSTEM_PROMPT}")
        prompt = remote.prompt([system, *history], said)
        body = json.loads(request_body(config.model, prompt.history, _SHORT))
        requests.append(json.dumps({**body, "stream_options": {"include_usage": True}}).encode())
        history += [Message("user", said), Message("assistant", heard)]
    return requests


async def ask(client: httpx2.AsyncClient, url: str, body: bytes) -> Asked:
    """Send one request and read its answer to the end. Raises BenchError and MalformedEvent."""
    start, first_ms, usage = perf_counter(), None, dict[str, Any]()
    async with client.stream("POST", url, content=body) as response:
        if response.status_code != httpx2.codes.OK:
            raise BenchError(f"{url}: answered {response.status_code}")
        events = EventStream()
        async for data in response.aiter_raw():
            for event in events.push(data):
                if first_ms is None and read_delta(event).text:
                    first_ms = (perf_counter() - start) * 1e3
                usage = _usage(event) or usage
    if first_ms is None:
        raise BenchError(f"{url}: answered without a word")
    details = usage.get("prompt_tokens_details") or {}
    return Asked(first_ms, usage.get("prompt_tokens"), details.get("cached_tokens"))


def _usage(event: str) -> dict[str, Any]:
    return {} if event == "[DONE]" else json.loads(event).get("usage") or {}


async def _counts(client: httpx2.AsyncClient, url: str) -> tuple[float, float]:
    """Tokens that vLLM's prefix cache had, and that it was asked for; zeros without such counts."""
    parts = urlsplit(url)
    response = await client.get(f"{parts.scheme}://{parts.netloc}/metrics")
    if response.status_code != httpx2.codes.OK:
        return 0.0, 0.0
    try:
        families = list(text_string_to_metric_families(response.text))
    except ValueError:
        return 0.0, 0.0
    samples = [sample for family in families for sample in family.samples]
    had, wanted = (sum(one.value for one in samples if one.name == name) for name in (_HITS, _QUERIES))
    return had, wanted


@dataclass(frozen=True)
class Measured:
    """Each request of each round, and what share of the tokens the server's cache had, where it says so."""

    rounds: Sequence[Sequence[Asked]]
    hit_rate: float | None


async def measure(
    config: RemoteConfig, turns: int, rounds: int, headers: Mapping[str, str]
) -> dict[str, Measured]:
    """A conversation with its prefix `kept` and one with it `broken`, by turns."""
    url = checked_url(config.url.rstrip("/") + "/chat/completions")
    asked: dict[str, list[list[Asked]]] = {"kept": [], "broken": []}
    counted = dict.fromkeys(asked, (0.0, 0.0))
    async with httpx2.AsyncClient(headers=headers, timeout=_TIMEOUT_S, trust_env=False) as client:
        for _ in range(rounds):
            for way, runs in asked.items():
                before = await _counts(client, url)
                runs.append(
                    [await ask(client, url, body) for body in bodies(config, turns, broken=way == "broken")]
                )
                after = await _counts(client, url)
                had, wanted = counted[way]
                counted[way] = had + after[0] - before[0], wanted + after[1] - before[1]
    rates = {way: had / wanted if wanted else None for way, (had, wanted) in counted.items()}
    return {way: Measured(runs, rates[way]) for way, runs in asked.items()}
