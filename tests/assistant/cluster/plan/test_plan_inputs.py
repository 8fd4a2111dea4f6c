"""Cost files and machines as people write them."""

import json
from pathlib import Path

import pytest
from made_costs import costs, turn

from assistant.cluster.plan.costs import Passes, Shared, read_costs, with_rest, write_costs
from assistant.cluster.plan.errors import PlanError
from assistant.cluster.plan.machine import costs_on, gpus, machine_of

SHIPPED = Path("assistant/cluster/plan")


def test_costs_come_back_as_they_were_written(tmp_path: Path) -> None:
    made = costs(turn(tokens=9), turn(by_words=False))
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(write_costs(made)))
    assert read_costs(path) == made


def test_cpu_time_is_summed_per_second_and_turn() -> None:
    """By hand: 2 s of speech with 8 partials of 30 ms; 2 s of reply for 30 + 3 times 10 ms."""
    found = costs(turn(partials=8, partial_ms=30.0), listen=Shared(0.05, 0.02)).cpu_ms
    assert found["listening, per second"] == 50
    assert found["listening beside others, per second"] == 20
    assert found["partial transcripts, per second of speech"] == 120
    assert found["final transcripts and scores, per turn"] == 60
    assert found["reading prompts, per turn"] == 20
    assert found["writing, per turn"] == 150
    assert found["speaking, per second of reply"] == 30


@pytest.mark.parametrize(
    ("change", "rest_ms"),
    [({}, 0.0), ({"ttfa_ms": 250.0}, 20.0), ({"by_words": False, "decide_ms": 300.0, "ttfa_ms": 335.0}, 5.0)],
)
def test_the_rest_is_what_steps_and_decision_leave(change: dict[str, object], rest_ms: float) -> None:
    """By hand: ready after 40 + 60 + 20 + 5 times 10 + 30, or decided after 300, and 30 to sound."""
    assert with_rest(turn(**change), Passes(10.0, 1.0)).rest_ms == pytest.approx(rest_ms)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 0}, "another format"),
        ({"turns": []}, "no turns"),
        ({"listen": {"first": -1, "more": 0}}, "no number"),
        ({"loop": {"first": "much", "more": 0}}, "no number"),
        ({"memory": {"models_mb": 1}}, "no cost file"),
        ({"more": 1}, "no cost file"),
    ],
)
def test_a_cost_file_that_is_none_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({**write_costs(costs()), **change}))
    with pytest.raises(PlanError, match=said) as raised:
        read_costs(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", '{"format": 1, "turns": 3}'])
def test_other_json_is_no_cost_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(PlanError, match=r"cost file|JSON|turns"):
        read_costs(path)
    with pytest.raises(PlanError, match="cannot be read"):
        read_costs(tmp_path / "missing.json")


def test_a_machine_is_read() -> None:
    machine = machine_of("cores=16,gpu=h200,memory=64")
    assert (machine.cores, machine.memory_gb) == (16, 64.0)
    assert machine.gpu is gpus()["h200"]
    assert machine_of("cores=2").gpu is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "none of"),
        ("gpu=h200", "no cores"),
        ("cores=0", "1 to 1024"),
        ("cores=nan", "1 to 1024"),
        ("cores=2.5", "whole"),
        ("cores=many", "1 to 1024"),
        ("cores=2,cores=3", "twice"),
        ("cores=2,gpu=b200", "h200"),
        ("cores=2,disk=3", "none of"),
        ("cores=2,memory=inf", "1 to 65536"),
    ],
)
def test_a_machine_that_is_none_is_told(words: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        machine_of(words)


def test_a_gpu_takes_the_passes_and_nothing_else() -> None:
    gpu = costs_on(machine_of("cores=4,gpu=h200"), costs())
    assert gpu.passes.ms(1) == pytest.approx(0.363)
    assert 64 / gpu.passes.ms(64) * 1e3 == pytest.approx(62_500, rel=0.01)
    assert gpu.turns[0].prompt_ms == pytest.approx(2.6)
    assert gpu.turns[0].final_ms == 60.0
    assert costs_on(machine_of("cores=4"), costs()) == costs()


def test_every_figure_of_a_gpu_has_a_source() -> None:
    for gpu in gpus().values():
        assert {name.split(".")[0] for name in gpu.sources} == {"passes", "prompt_ms", "host_cores"}


def test_shipped_costs_can_be_read() -> None:
    files = [path for path in SHIPPED.glob("*.json") if path.name != "gpus.json"]
    assert files
    for path in files:
        found = read_costs(path)
        assert len(found.turns) >= 10
        assert found.commit
        assert found.machine["cpu"]
