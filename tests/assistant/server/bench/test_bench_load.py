"""Clients and loads against a scripted server on 127.0.0.1; what they say is in the server's own record."""

import numpy as np
import pytest
from heard import spoken
from scripted_server import LOUD, ScriptedServer, scripted

from assistant.runtime import Clock
from assistant.server.bench.client import Refusal, append, try_connect
from assistant.server.bench.clips import SpokenClip
from assistant.server.bench.errors import BenchError
from assistant.server.bench.held import Held, changes, held
from assistant.server.bench.load import run_load
from assistant.server.bench.server import Watched


def question(voice_ms: int = 40) -> SpokenClip:
    """A voice of so many ms and a little silence."""
    audio = np.r_[np.full(voice_ms * 24, LOUD), np.zeros(20 * 24)].astype("<i2").tobytes()
    return SpokenClip(spoken().clip, audio, voice_ms / 1000)


async def test_clients_speak_every_clip_once_and_hear_the_reply() -> None:
    server = ScriptedServer(places=2)
    async with scripted(server) as watched:
        load = await run_load(watched, [question(), question(80), question()], 2, Clock())
    assert server.sessions >= 3  # one more if a client gets a place when the last clip is taken
    assert (server.most, server.open) == (2, 0)
    assert set(server.received) == {"input_audio_buffer.append"}
    assert [(turn.reply, turn.transcript) for turn in load.turns] == [("It is.", "What is it?")] * 3
    assert [(turn.broken, turn.errors) for turn in load.turns] == [("", ())] * 3
    # It replies behind 60 ms of silence, and its reply is loud from its first sample.
    assert all(turn.ttfa_ms is not None and turn.ttfa_ms >= 60 for turn in load.turns)
    assert not any(turn.cut_into for turn in load.turns)
    assert load.dropped_frames == 2 * server.sessions
    assert (load.server_cores, load.refusals) == (None, ())


async def test_those_without_a_place_are_refused_and_try_again() -> None:
    server = ScriptedServer(places=1)
    async with scripted(server) as watched:
        load = await run_load(watched, [question(), question()], 3, Clock())
    assert server.most == 1
    assert len(load.turns) == 2
    assert len(load.refusals) == server.refused > 0
    assert all(refusal.retry_after == "5" and refusal.ms > 0 for refusal in load.refusals)


async def test_a_reply_that_begins_before_the_voice_ends_cuts_into_it() -> None:
    paused = question().audio + bytes(100 * 48) + question().audio
    async with scripted(ScriptedServer()) as watched:
        load = await run_load(watched, [SpokenClip(spoken().clip, paused, 5.0)], 1, Clock())
    assert [turn.cut_into for turn in load.turns] == [True]


async def test_a_connection_that_breaks_is_told() -> None:
    class Closing(ScriptedServer):
        async def _converse(self, connection) -> None:  # noqa: ANN001
            await connection.recv()
            await connection.close(1011, "out of order")

    async with scripted(Closing()) as watched:
        load = await run_load(watched, [question()], 1, Clock())
    (turn,) = load.turns
    assert "1011" in turn.broken and turn.ttfa_ms is None


async def test_a_refusal_is_no_connection_and_another_answer_an_error() -> None:
    async with scripted(ScriptedServer(places=0)) as watched:
        assert isinstance(await try_connect(watched.url, Clock()), Refusal)
    with pytest.raises(OSError, match="Connect call failed"):
        await try_connect(watched.url, Clock())
    with pytest.raises(BenchError, match="metrics"):
        await watched.figures()


async def test_figures_are_summed_over_their_labels() -> None:
    async with scripted(ScriptedServer(places=7)) as watched:
        figures = await watched.figures()
        with pytest.raises(BenchError, match="assistant_tasks"):
            await held(Watched(watched.url))
    assert figures["assistant_sessions_capacity"] == 7
    assert figures["assistant_worker_queue_jobs"] == 3


def test_counts_must_come_back_exactly_and_memory_within_20_mb() -> None:
    before = Held(threads=9, descriptors=12, tasks=3, sessions=0, waiting_jobs=0, memory_mb=600)
    after = Held(threads=10, descriptors=12, tasks=2, sessions=0, waiting_jobs=0, memory_mb=620)
    late = {change.name for change in changes(before, after) if not change.is_back}
    assert late == {"threads", "tasks"}
    grown = Held(threads=9, descriptors=12, tasks=3, sessions=0, waiting_jobs=0, memory_mb=620.5)
    assert [change.name for change in changes(before, grown) if not change.is_back] == ["memory_mb"]


def test_an_append_is_an_event_with_base64() -> None:
    assert append(b"\0\1") == '{"type": "input_audio_buffer.append", "audio": "AAE="}'
