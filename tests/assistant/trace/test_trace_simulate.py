"""Simulating a trace whose every time was worked out by hand; see `hand_trace`."""

import json
from pathlib import Path
from typing import NoReturn

import pytest
from hand_trace import (
    ANSWERED_MS,
    CHUNK_MS,
    FINAL_MS,
    RELEASED_MS,
    SPOKEN_MS,
    VOICE_END_MS,
    changed,
    lines,
    slower_voice,
    write,
)

from assistant.models.pool import Models
from assistant.session.parts import Part
from assistant.trace.errors import TraceError
from assistant.trace.simulate import Simulation, WhatIf, simulate
from assistant.trace.told import told
from assistant.trace.trace import read_trace


class ModelsWantedError(Exception):
    """The real models were asked for."""


def no_models() -> NoReturn:
    raise ModelsWantedError


def simulated(folder: Path, *, strict: bool = False) -> Simulation:
    return simulate(read_trace(folder), no_models, strict=strict)


def parts(simulation: Simulation) -> dict[str, Part]:
    (turn,) = simulation.turns
    return {part.name: part for part in turn.parts}


def test_every_time_is_as_worked_out_by_hand(tmp_path: Path) -> None:
    simulation = simulated(write(tmp_path / "t"))
    (turn,) = simulation.turns
    assert (turn.transcript, turn.reply, turn.heard) == ("Yes?", "Yes.", "Yes.")
    assert simulation.unrecorded == {} and simulation.failures == 0
    assert turn.ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)
    found = parts(simulation)
    assert found["endpoint.wait"].ms == pytest.approx(RELEASED_MS - VOICE_END_MS, abs=0.01)
    assert found["asr.final"].ms == 0
    assert found["asr.final"].hidden_ms == pytest.approx(FINAL_MS, abs=0.01)
    assert found["tts.first_chunk"].ms == pytest.approx(SPOKEN_MS - RELEASED_MS, abs=0.01)
    assert found["tts.first_chunk"].hidden_ms == pytest.approx(CHUNK_MS - (SPOKEN_MS - RELEASED_MS), abs=0.01)
    assert found["playback.start"].ms == pytest.approx(ANSWERED_MS - SPOKEN_MS, abs=0.01)


def test_a_slower_voice_is_waited_for_and_named(tmp_path: Path) -> None:
    before, after = simulated(write(tmp_path / "a")), simulated(write(tmp_path / "b", slower_voice(30)))
    grown = {
        name: part.ms - parts(before)[name].ms
        for name, part in parts(after).items()
        if abs(part.ms - parts(before)[name].ms) > 0.01
    }
    assert grown == {"tts.first_chunk": pytest.approx(30, abs=0.01)}


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    folder = write(tmp_path / "t")
    first, second = (json.dumps(told(simulated(folder))) for _ in range(2))
    assert first == second


def test_steps_at_once_on_too_few_cores_slow_each_other(tmp_path: Path) -> None:
    """The score (60 ms from 1142 on) and the prompt (50 ms) share one core: the prompt is read at 1242."""
    simulation = simulated(write(tmp_path / "t", cores=1))
    # from 1142 on both; the detector takes part of it as well: windows that come at 1160, 1200 and 1220
    wide, narrow = parts(simulated(write(tmp_path / "u"))), parts(simulation)
    late = sum(part.ms for part in narrow.values()) - sum(part.ms for part in wide.values())
    assert late > 40
    assert narrow["llm.prefill"].ms + narrow["llm.prefill"].hidden_ms > 90


def test_what_was_not_recorded_is_asked_of_the_real_models_and_counted(tmp_path: Path) -> None:
    less = [line for line in lines() if line.get("stage") != "asr.final"]
    simulation = simulated(write(tmp_path / "t", less))
    # A transcript that takes no time lets the turn be scored earlier than it was: other audio.
    assert simulation.unrecorded == {"asr.final": 1, "score": 1}
    assert simulation.failures == 1  # the models of this test cannot be loaded; the score nobody waits for


def test_strict_refuses_what_was_not_recorded(tmp_path: Path) -> None:
    less = [line for line in lines() if line.get("stage") != "asr.final"]
    with pytest.raises(TraceError, match=r"not recorded: asr\.final \(1\), score \(1\)"):
        simulated(write(tmp_path / "t", less), strict=True)


def test_a_call_that_was_cancelled_gives_what_it_gave(tmp_path: Path) -> None:
    """Nobody asks for more of it than was recorded, so that no model is needed; else one is."""
    cut = changed(lines(), "tts.speak", whole=False)
    simulation = simulated(write(tmp_path / "t", cut))
    assert simulation.unrecorded == {"tts.speak": 1}
    assert simulation.turns[0].ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)


def test_real_models_answer_in_their_place(tmp_path: Path) -> None:
    class Scorer:
        def probability(self, turn: object) -> float:
            return 0.999

    class Hearing:
        scorer = Scorer()

    folder = write(tmp_path / "t", changed(lines(), "score", input="of other audio"))
    models = Models(language=None, hearing=Hearing())  # type: ignore[arg-type]
    simulation = simulate(read_trace(folder), lambda: models)
    assert simulation.unrecorded == {"score": 1}
    assert simulation.turns[0].ttfa_ms == pytest.approx(ANSWERED_MS - VOICE_END_MS, abs=0.01)


@pytest.mark.parametrize(
    ("what_if", "answered_ms"),
    [
        (WhatIf(scale={"tts": 2}), ANSWERED_MS + CHUNK_MS),
        # Prompt and token take 35 ms in place of 70: the speech is there at 1207 and waits for the release.
        (WhatIf(scale={"llm": 0.5}), RELEASED_MS + 20),
        (WhatIf(scale={"tt": 2, "llm.prefil": 2}), None),
        (WhatIf(cores=16), ANSWERED_MS),
    ],
)
def test_what_if(tmp_path: Path, what_if: WhatIf, answered_ms: int | None) -> None:
    trace = read_trace(write(tmp_path / "t"))
    if answered_ms is None:
        with pytest.raises(TraceError, match=r"has no 'tt'; there are asr\.final, "):
            simulate(trace, no_models, what_if)
        return
    (turn,) = simulate(trace, no_models, what_if).turns
    assert turn.ttfa_ms == pytest.approx(answered_ms - VOICE_END_MS, abs=0.01)


def test_an_input_that_cannot_be_given_again_is_refused(tmp_path: Path) -> None:
    asked = {"is": "input", "session": "s", "at": 0, "what": "ReplyRequested", "fields": {}}
    with pytest.raises(TraceError, match="an input ReplyRequested cannot be simulated"):
        simulated(write(tmp_path / "t", [*lines(), asked]))
