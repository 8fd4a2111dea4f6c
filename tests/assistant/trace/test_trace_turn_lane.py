"""The turn machine's lane: what came of each pause, and how replies ended."""

from hand_trace import Line, ns

from assistant.runtime import Span
from assistant.trace.observed import Silence
from assistant.trace.trace import Call, RecordedSession, Step
from assistant.trace.turn_lane import turn_items


def session(
    *replies: Line, silences: tuple[Silence, ...] = (), inputs: tuple[Line, ...] = ()
) -> RecordedSession:
    return RecordedSession("s", 0, replies=list(replies), sink=list(silences), inputs=list(inputs))


def reply(number: int, decided_ms: float, at_ms: float, **how: bool) -> Line:
    plain = {"reopened": False, "interrupted": False}
    return {"number": number, "decided": ns(decided_ms), "at": ns(at_ms), **plain, **how}


def prepared(number: int, at_ms: float) -> Span:
    return Span("queue", "utterances", ns(at_ms), ns(at_ms) + 1, "s", number)


def voice(*intervals_ms: tuple[float, float]) -> list[tuple[int, int]]:
    return [(ns(start), ns(end)) for start, end in intervals_ms]


def told(
    of: RecordedSession, spans: list[Span], voiced: list[tuple[int, int]]
) -> list[tuple[str, float, float]]:
    return [(each.name, each.start_ns / 1e6, each.end_ns / 1e6) for each in turn_items(of, [], spans, voiced)]


def test_a_pause_after_which_the_user_goes_on_was_prepared_for_in_vain() -> None:
    spans = [prepared(0, 1080), prepared(1, 2080)]
    assert told(session(reply(1, 2300, 4000)), spans, voice((100, 1000), (1500, 2000))) == [
        ("pause", 1000, 1500),
        ("prepare", 1080, 1080),
        ("goes on", 1500, 1500),
        ("pause", 2000, 2300),
        ("prepare", 2080, 2080),
        ("decided", 2300, 2300),
    ]


def test_a_voice_before_anything_is_heard_reopens_the_turn() -> None:
    of = session(reply(0, 1300, 1500, reopened=True, interrupted=True), reply(1, 2300, 4000))
    spans = [prepared(0, 1080), prepared(1, 2080)]
    found = told(of, spans, voice((100, 1000), (1400, 2000)))
    assert [each for each in found if each[0] not in ("pause", "prepare")] == [
        ("decided", 1300, 1300),
        ("reopened", 1500, 1500),
        ("decided", 2300, 2300),
    ]
    assert ("pause", 1000, 1300) in found and ("pause", 2000, 2300) in found


def test_a_barge_in_is_when_the_loudspeaker_fell_silent() -> None:
    stops = tuple(Silence(ns(at), "stop", 0) for at in (900, 2000, 5000))
    found = told(session(reply(0, 1300, 2010, interrupted=True), silences=stops), [], [])
    assert found == [("decided", 1300, 1300), ("barged in", 2000, 2000)]


def test_a_reply_that_was_held_before_it_was_stopped_fell_silent_then() -> None:
    """It was held for a backchannel before, and went on."""
    whats = {1500: "pause", 1800: "resume", 1900: "pause", 2400: "stop"}
    silences = tuple(Silence(ns(at), what, 0) for at, what in whats.items())
    found = told(session(reply(0, 1300, 2410, interrupted=True), silences=silences), [], [])
    assert found == [("decided", 1300, 1300), ("barged in", 1900, 1900)]


def test_a_backchannel_over_a_reply_is_prepared_for_until_the_reply_goes_on() -> None:
    whats = {2190: "pause", 2600: "resume"}
    silences = tuple(Silence(ns(at), what, 0) for at, what in whats.items())
    spans = [prepared(0, 1080), prepared(1, 2480)]
    voiced = voice((100, 1000), (2000, 2400), (9000, 9500))
    found = told(session(reply(0, 1300, 5000), silences=silences), spans, voiced)
    assert [each for each in found if each[1] > 1300] == [("pause", 2400, 2600), ("prepare", 2480, 2480)]


def test_a_reply_that_the_client_cancelled_was_not_barged_into() -> None:
    inputs = ({"at": ns(1990), "what": "ReplyCancelled"},)
    found = told(session(reply(0, 1300, 2010, interrupted=True), inputs=inputs), [], [])
    assert [name for name, *_ in found] == ["decided", "ReplyCancelled", "cancelled"]


def test_a_turn_that_a_client_ended_has_no_pause() -> None:
    assert told(session(reply(0, 1081, 2000)), [prepared(0, 1080)], []) == [
        ("prepare", 1080, 1080),
        ("decided", 1081, 1081),
    ]


def test_scores_are_where_they_were_known() -> None:
    calls = [
        Call("s", stage, "", (Step(ns(1), ns(2 + more), 1, p),))
        for more, (stage, p) in enumerate({"score": 0.254, "asr.final": {}}.items())
    ]
    words = Span("words", "transcribe", ns(1), ns(1), "s", 0, {"log_odds": -1.26})
    found = [(each.name, each.start_ns, each.told) for each in turn_items(session(), calls, [words], [])]
    assert found == [
        ("reads complete", ns(1), {"log_odds": "-1.3"}),
        ("sounds complete", ns(2), {"p": "0.25"}),
    ]
