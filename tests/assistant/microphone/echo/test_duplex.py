from dataclasses import replace
from math import inf

import pytest

from assistant.microphone.echo.duplex import NO_ECHO, UNKNOWN, Duplex, Evidence, Segment, judge


def evidence(cancelled_db: float = 20, microphone: float = -35, count: int = 10) -> Evidence:
    segments = tuple(Segment(microphone, microphone - cancelled_db) for _ in range(count))
    return Evidence(segments, silence_dbfs=-70, delay_ms=50)


DEAF = Duplex("half duplex", "because")
CANCELLING = Duplex("cancelling", "20 dB of the loudspeaker's echo are cancelled")


@pytest.mark.parametrize("before", [UNKNOWN, CANCELLING, DEAF, NO_ECHO])
@pytest.mark.parametrize(
    ("found", "mode"),
    [
        (evidence(20), "cancelling"),
        (evidence(20, microphone=-75), "no echo"),
        (replace(evidence(20), delay_ms=401), "half duplex"),
        (replace(evidence(20), delay_ms=400), "cancelling"),
        (replace(evidence(20), unsupported="not installed"), "half duplex"),
        (replace(evidence(20, microphone=-75), unsupported="not installed"), "no echo"),
        (replace(evidence(20), is_copy=True), "half duplex"),
        (evidence(5.9), "half duplex"),
    ],
)
def test_the_verdict_on_five_seconds(before: Duplex, found: Evidence, mode: str) -> None:
    after = judge(before, found)
    assert after.mode == mode and after.reason


@pytest.mark.parametrize("before", [UNKNOWN, CANCELLING, DEAF, NO_ECHO])
def test_less_than_five_seconds_decide_nothing(before: Duplex) -> None:
    assert judge(before, evidence(2, count=9)) == before
    assert judge(before, evidence(20, microphone=-75, count=9)) == before


def test_it_listens_again_only_when_cancelling_clearly_works() -> None:
    assert judge(CANCELLING, evidence(7)).mode == "cancelling"
    assert judge(DEAF, evidence(7)) == DEAF
    assert judge(DEAF, evidence(10)).mode == "cancelling"


def test_a_user_over_half_of_the_sound_does_not_hide_that_it_works() -> None:
    echo, over = Segment(-35, -60), Segment(-30, -31)
    assert judge(UNKNOWN, Evidence((echo, over) * 5, -70, delay_ms=50)).mode == "cancelling"


@pytest.mark.parametrize(("silence", "mode"), [(-41, "no echo"), (-50, "half duplex"), (-inf, "half duplex")])
def test_a_noisy_room_with_headphones_is_no_failing_canceller(silence: float, mode: str) -> None:
    """Where the reference is found nowhere, only what is louder than the room's own noise is an echo."""
    segments = tuple(Segment(-40, -40) for _ in range(10))
    assert judge(UNKNOWN, Evidence(segments, silence)).mode == mode


def test_the_reason_stays_the_same_sentence_while_it_lasts() -> None:
    first = judge(UNKNOWN, evidence(3.4))
    assert judge(first, evidence(2.2)) == first
    assert first.reason.startswith("only 3 dB")
