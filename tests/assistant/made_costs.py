"""Costs that are easy to reckon with: one core for each step, round milliseconds."""

from dataclasses import replace
from typing import Any

from assistant.cluster.plan.costs import Costs, Memory, Passes, Shared, TurnCost

TURN = TurnCost(
    lead_s=0.5,
    speech_s=2.0,
    partials=0,
    partial_ms=0.0,
    finals=1,
    final_ms=60.0,
    scores=0,
    score_ms=0.0,
    read_ahead_ms=0.0,
    prepared=1,
    prompt_ms=20.0,
    first_tokens=5,
    tokens=15,
    first_chunk_ms=30.0,
    chunks=4,
    chunk_ms=10.0,
    reply_s=2.0,
    begin_ms=40.0,
    decide_ms=0.0,
    by_words=True,
    start_ms=30.0,
    rest_ms=0.0,
    tail_s=0.0,
    ttfa_ms=230.0,
)


def turn(**changes: Any) -> TurnCost:  # noqa: ANN401  # of its fields
    return replace(TURN, **changes)


def costs(*turns: TurnCost, **changes: Any) -> Costs:  # noqa: ANN401  # of its fields
    made = Costs(
        date="2026-11-30",
        commit="0000000",
        machine={"cpu": "a processor", "threads": 2},
        turns=turns or (TURN,),
        listen=Shared(0.0, 0.0),
        loop=Shared(0.0, 0.0),
        llm_width=1.0,
        passes=Passes(10.0, 1.0),
        crowding=1.0,
        memory=Memory(500.0, 25.0),
        spread={},
    )
    return replace(made, **changes)
