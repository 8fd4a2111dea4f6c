"""Conversations through Serve's proxy: a client of others, a replica that dies, an update under load."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from local_cluster import Cluster, said
from talks import talk
from websockets.exceptions import ConnectionClosed

from assistant.runtime import Clock
from assistant.server.bench.client import Refusal, converse, try_connect
from assistant.server.bench.clips import SpokenClip, speakable
from tests.conformance.clients import CLIENTS, command
from tests.conformance.clips import QUESTION, write_clips
from tests.conformance.drive import drive
from tests.conformance.scripted_llm import COUNT

RESTART = 1012
_AWAIT_S = 60.0


def test_the_openai_client_holds_a_spoken_turn_through_the_proxy(cluster: Cluster, tmp_path: Path) -> None:
    write_clips(tmp_path)
    client = CLIENTS["openai-python"]
    log = tmp_path / "client.log"
    outcomes = drive(
        client.name, command(client), ["spoken", "second-turn"], cluster.url, tmp_path, log, print
    )
    assert [(outcome.result, outcome.why) for outcome in outcomes] == [("ok", ""), ("ok", "")]


async def test_a_replica_that_is_killed_takes_only_its_own_conversations_with_it(cluster: Cluster) -> None:
    before = cluster.replicas()
    talks = [await talk(cluster.url) for _ in range(6)]
    assert len(before) == 2 and all(cluster.replicas().values()), "one of two replicas has all six"
    for one in talks:
        await one.ask("Count to twenty.")
        await one.read_until("response.output_audio.delta")
    killed = min(before)
    taken = cluster.replicas()[killed]
    os.kill(killed, signal.SIGKILL)
    ends = await asyncio.gather(*(one.read_until("response.done") for one in talks), return_exceptions=True)
    lost = [end for end in ends if isinstance(end, ConnectionClosed)]
    kept = [(one, end) for one, end in zip(talks, ends, strict=True) if not isinstance(end, BaseException)]
    assert Counter(end.rcvd.code if end.rcvd else None for end in lost) == {RESTART: taken}
    assert len(kept) == 6 - taken
    for one, end in kept:  # a reply that goes on repeating itself is ended by the server
        words = one.replied().split()
        assert end["response"]["status"] == "completed"
        assert len(words) >= 40 and words == COUNT.split()[: len(words)]
    for one in talks:
        await one.connection.close()
    after = cluster.replicas_again(2)
    assert killed not in after and max(before) in after


@dataclass
class Turns:
    """What came of spoken turns."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    began_with: Counter[str] = field(default_factory=Counter)
    """Conversations by their instructions."""


async def _speak(url: str, clip: SpokenClip, turns: Turns, enough: asyncio.Event) -> None:
    """Speak the clip over one connection after another, and once more when that is enough."""
    clock, last = Clock(), False
    while not last:
        last = enough.is_set()
        connection = await try_connect(url, clock)
        if isinstance(connection, Refusal):
            await asyncio.sleep(0.5)
            last = False
            continue
        log = await converse(connection, clip, clock)
        kinds = [event["type"] for _, event in log.received]
        replies = [event["response"] for _, event in log.received if event["type"] == "response.done"]
        if "input_audio_buffer.speech_started" not in kinds:  # closed before it had heard anything
            assert f"{RESTART}" in log.broken, log.broken
            last = False
            continue
        if any(reply["status"] == "completed" for reply in replies):
            turns.answered += 1
            turns.began_with[log.received[0].event["session"]["instructions"]] += 1
        else:
            turns.lost.append(f"{log.broken}: {kinds}")


async def test_an_update_of_the_configuration_under_load_loses_no_turn(cluster: Cluster) -> None:
    before = cluster.replicas_again(2)
    turns, enough, (clip,) = Turns(), asyncio.Event(), speakable([QUESTION])
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(_speak(cluster.url, clip, turns, enough))
            await asyncio.sleep(0.4)
        updating = cluster.start_up("You are a pirate.")
        await asyncio.to_thread(updating.wait, _AWAIT_S * 4)
        enough.set()
    said(updating)
    assert turns.lost == []
    assert turns.answered >= 16
    assert turns.began_with["You are a pirate."] >= 8
    assert not before.keys() & cluster.replicas_again(2).keys()
