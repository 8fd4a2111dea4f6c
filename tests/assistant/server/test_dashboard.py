"""What the dashboard asks Prometheus for is in /metrics after a turn, of a replica and of one machine."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import Scene, Voice
from prometheus_client.parser import text_string_to_metric_families
from raw_client import ask, handshake, request, upgraded
from serving import Echo, serving
from world import World

from assistant.config import ServerConfig
from assistant.runtime import Span
from assistant.server.metrics import Metrics
from assistant.server.realtime import note_reply

DEPLOY = Path(__file__).parents[3] / "docs/deploy"
ELSEWHERE = {"vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"}
"""Of vLLM, as its documentation has them (Production Metrics)."""
Labels = dict[str, set[str]]


def dashboard() -> dict[str, Any]:
    return dict(json.loads((DEPLOY / "grafana.json").read_text()))


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def asked(expression: str) -> Labels:
    """The labels of each metric in an expression, by which it is selected and summed."""
    found: Labels = {}
    for by, rest in re.findall(
        r"(?:by \(([\w, ]+)\) \()?((?:rate\()?(?:assistant_|vllm:)\w+(?:\{[^}]*\})?)", expression
    ):
        name = re.search(r"[\w:]+$", rest.partition("{")[0])
        assert name
        selected = re.findall(r"(\w+)[=!]~?\"", rest)
        found.setdefault(name[0], set()).update(selected, filter(None, re.split(r",\s*", by)))
    assert len(found) == len(set(re.findall(r"(?:assistant_|vllm:)\w+", expression)))
    return found


async def shown(replica: str) -> Labels:
    """The labels of each sample that /metrics has after a turn and a refusal."""
    metrics = Metrics(replica)
    scene = Scene((Voice(320, 960, "Hello there"),), {"Hello there": "Hi. How are you?"}, 6000)
    world = World(scene)
    metrics.watch_waits(world.recorder)  # these three as `assistant serve` has them
    metrics.watch_cache(lambda: 1)
    metrics.watch_queues(lambda: {"llm": 0})
    await asyncio.to_thread(world.run)
    for record in world.records:
        note_reply(record, "tiny-1", metrics)
    world.recorder.record(Span("work", "generate", 0, 1))
    async with serving(Echo(capacity=1), metrics=metrics) as server:
        async with upgraded(server.port):
            await ask(server.port, handshake())
            text = (await ask(server.port, request("/metrics"))).body.decode()
        await server.application.left(0)
    found: Labels = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
            assert sample.labels.get("replica", "") == replica
    return found


async def test_every_expression_names_what_is_there() -> None:
    there = await shown("speech-2")
    every = [asked(expression) for expression in expressions()]
    assert len(every) >= 14
    for found in every:
        for name, labels in found.items():
            if name in ELSEWHERE:
                assert not labels
                continue
            assert name in there, f"{name} is not in /metrics"
            assert labels <= there[name], f"{name} has no {labels - there[name]}"


async def test_one_machine_has_the_same_names_and_no_such_label() -> None:
    alone, one = await shown(""), await shown("speech-2")
    assert alone == {name: labels - {"replica"} for name, labels in one.items()}


def test_a_mistake_in_an_expression_would_be_found() -> None:
    """The reading of expressions itself: by hand."""
    text = 'histogram_quantile(0.5, sum by (le, replica) (rate(assistant_a_bucket{replica=~"$r"}[5m])))'
    assert asked(text) == {"assistant_a_bucket": {"le", "replica"}}
    text = 'sum by (x) (rate(assistant_a_total[5m])) / max by (y) (assistant_b{z="1", w!~"2"})'
    assert asked(text) == {"assistant_a_total": {"x"}, "assistant_b": {"y", "z", "w"}}


def test_panels_do_not_overlap_and_ask_the_chosen_source_for_the_chosen_replicas() -> None:
    made = dashboard()
    (_, variable) = made["templating"]["list"]
    assert variable["query"]["query"] == "label_values(assistant_sessions_capacity, replica)"
    assert re.fullmatch(variable["allValue"], ""), "one machine, whose figures have no such label, is in All"
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in made["panels"]]
    cells = [(x + i, y + j) for x, y, w, h in places for i in range(w) for j in range(h)]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    assert {panel["datasource"]["uid"] for panel in made["panels"]} == {"${datasource}"}


def test_the_scrape_example_is_of_the_servers_port() -> None:
    jobs = {
        job["job_name"]: job
        for job in yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    }
    targets = [target for entry in jobs["assistant"]["static_configs"] for target in entry["targets"]]
    assert {int(target.rpartition(":")[2]) for target in targets} == {ServerConfig().port}


@pytest.mark.parametrize("code", ["server_busy", "origin_not_allowed"])
def test_a_label_of_its_own_stands_beside_the_replicas(code: str) -> None:
    metrics = Metrics(replica="speech-1")
    metrics.refused(code)
    labels = {"code": code, "replica": "speech-1"}
    assert metrics.registry.get_sample_value("assistant_refusals_total", labels) == 1
