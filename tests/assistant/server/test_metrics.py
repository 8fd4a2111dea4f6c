"""The figures, read back with Prometheus' own parser."""

from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from raw_client import ask, handshake, request, upgraded
from serving import Echo, serving

from assistant.runtime import Clock, LagProbe, Recorder, Span
from assistant.server.metrics import FinishedReply, Metrics

REPLY = FinishedReply("tiny-1", 376.0, {"endpoint.wait": 346.0, "llm.queue": 30.0}, 40, 0.5, False, 0)


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def shown(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return read(generate_latest(metrics.registry).decode())


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"assistant_{name}", frozenset(labels.items())


def test_a_reply_is_counted_by_model_in_seconds() -> None:
    metrics = Metrics()
    metrics.reply_done(REPLY)
    metrics.reply_done(
        replace(REPLY, ttfa_ms=1200.0, interrupted=True, underruns=2, tokens=10, seconds_generating=1.0)
    )
    metrics.reply_done(replace(REPLY, model="other-2"))
    got = shown(metrics)
    assert got[key("replies_total", model="tiny-1")] == 2
    assert got[key("replies_total", model="other-2")] == 1
    assert got[key("replies_interrupted_total", model="tiny-1")] == 1
    assert got[key("underruns_total", model="tiny-1")] == 2
    assert got[key("tokens_total", model="tiny-1")] == 50
    assert got[key("ttfa_seconds_sum", model="tiny-1")] == pytest.approx(1.576)
    assert got[key("ttfa_seconds_bucket", model="tiny-1", le="0.4")] == 1
    assert got[key("ttfa_seconds_bucket", model="tiny-1", le="0.3")] == 0
    assert got[key("ttfa_seconds_bucket", model="tiny-1", le="+Inf")] == 2
    waited = key("ttfa_part_seconds_sum", model="other-2", part="endpoint.wait")
    assert got[waited] == pytest.approx(0.346)
    assert got[key("tokens_per_second_sum", model="tiny-1")] == pytest.approx(80 + 10)


def test_a_reply_that_nobody_heard_has_no_time_to_first_audio() -> None:
    metrics = Metrics()
    metrics.reply_done(replace(REPLY, ttfa_ms=None, tokens=0, seconds_generating=0.0))
    got = shown(metrics)
    assert got[key("replies_total", model="tiny-1")] == 1
    assert key("ttfa_seconds_count", model="tiny-1") not in got
    assert key("tokens_per_second_count", model="tiny-1") not in got


def test_a_turn_that_ended_before_the_voice_did_takes_nothing_from_a_sum() -> None:
    metrics = Metrics()
    metrics.reply_done(replace(REPLY, parts={"endpoint.wait": -50.0}))
    assert shown(metrics)[key("ttfa_part_seconds_sum", model="tiny-1", part="endpoint.wait")] == 0


def test_gauges_are_read_when_they_are_shown() -> None:
    metrics = Metrics()
    queues, held = {"asr": 1}, [10]
    probe = LagProbe(Clock(), Recorder())
    metrics.watch_sessions(lambda: len(held), 7)
    metrics.watch_cache(lambda: held[-1])
    metrics.watch_queues(lambda: queues)
    metrics.watch_loop(probe)
    metrics.watch_tasks(lambda: len(held) + 5)
    assert shown(metrics)[key("event_loop_lag_seconds")] == 0
    queues |= {"asr": 3, "llm": 2}
    held.append(4096)
    probe.lags_ms.extend([50.0, *[1.0] * 1999, 2.0])  # the first is older than ten seconds
    got = shown(metrics)
    assert got[key("sessions_in_use")] == 2
    assert got[key("sessions_capacity")] == 7
    assert got[key("tasks")] == 7
    assert got[key("kv_cache_bytes")] == 4096
    assert got[key("worker_queue_jobs", worker="asr")] == 3
    assert got[key("worker_queue_jobs", worker="llm")] == 2
    assert got[key("event_loop_lag_seconds")] == pytest.approx(0.002)


def test_sessions_errors_and_dropped_frames() -> None:
    metrics = Metrics()
    metrics.session_opened()
    metrics.session_closed(90.0)
    metrics.event_error("invalid_json")
    metrics.dropped_frames(3)
    got = shown(metrics)
    assert got[key("sessions_total")] == 1
    assert got[key("session_seconds_bucket", le="60.0")] == 0
    assert got[key("session_seconds_bucket", le="180.0")] == 1
    assert got[key("event_errors_total", code="invalid_json")] == 1
    assert got[key("dropped_frames_total")] == 3


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.session_opened()
    assert shown(other)[key("sessions_total")] == 0


async def test_the_server_counts_what_it_lets_in_and_what_it_refuses() -> None:
    async with serving(Echo(capacity=1)) as server:
        async with upgraded(server.port):
            await ask(server.port, handshake())
            await ask(server.port, handshake("Origin: http://evil.example"))
            await ask(server.port, handshake(key="?"))
            got = read((await ask(server.port, request("/metrics"))).body.decode())
        await server.application.left(0)
    assert got[key("sessions_in_use")] == 1
    assert got[key("sessions_total")] == 1
    for code in ("server_busy", "origin_not_allowed", "bad_handshake"):
        assert got[key("refusals_total", code=code)] == 1
    assert shown(server.metrics)[key("session_seconds_count")] == 1
    assert shown(server.metrics)[key("sessions_in_use")] == 0


def test_waits_are_shown_by_edge_and_nothing_else_that_is_recorded() -> None:
    metrics, recorder = Metrics(), Recorder(10)
    metrics.watch_waits(recorder)
    for name, ms in (("queue", 20), ("queue", 40), ("work", 500)):
        recorder.record(Span(name, "frames", 0, ms * 1_000_000))
    got = shown(metrics)
    assert got[key("queue_wait_seconds_count", edge="frames")] == 2
    assert got[key("queue_wait_seconds_sum", edge="frames")] == pytest.approx(0.06)
