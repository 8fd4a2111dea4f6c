"""The recorder: what it keeps, what it passes on, and what it costs the garbage collector."""

import gc

from assistant.runtime import Clock, Recorder, Span, Tracer


def spans(count: int) -> list[Span]:
    return [
        Span(f"s{i}", "node", i, i + 2_500_000, f"c{i % 2}", i % 3 or None, {"p": i / 2} if i % 2 else {})
        for i in range(count)
    ]


def test_spans_come_back_as_they_were_recorded() -> None:
    recorder = Recorder()
    exported: list[Span] = []
    recorder.exporters.append(exported.append)
    for span in spans(5):
        recorder.record(span)
    assert recorder.spans == exported == spans(5)
    assert recorder.spans[0].ms == 2.5


def test_the_oldest_go_when_it_is_full() -> None:
    recorder = Recorder(capacity=3)
    for span in spans(10):
        recorder.record(span)
    assert [span.name for span in recorder.spans] == ["s7", "s8", "s9"]


def test_spans_kept_are_no_work_for_the_garbage_collector() -> None:
    recorder = Recorder()
    gc.collect()
    before = len(gc.get_objects())
    for span in spans(10_000):
        recorder.record(span)
    gc.collect()  # forgets the tuples inside
    gc.collect()  # and then those around them
    assert len(gc.get_objects()) - before < 100


def test_a_tracer_records_until_now_for_its_session_and_reply() -> None:
    now_ns = [0]
    recorder = Recorder()
    tracer = Tracer(Clock(lambda: now_ns[0]), recorder, "line-3")
    now_ns[0] = 70
    tracer.record("queue", "frames", 20)
    reply = tracer.of_reply(0)  # not None
    now_ns[0] = 90
    reply.record("failed", "generate", 90, why="no memory")
    assert recorder.spans == [
        Span("queue", "frames", 20, 70, "line-3"),
        Span("failed", "generate", 90, 90, "line-3", 0, {"why": "no memory"}),
    ]
