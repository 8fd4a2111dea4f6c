from tests.conformance.matrix import Outcome, report, table

OUTCOMES = [
    Outcome("a", "typed", "ok", seconds=1.5),
    Outcome("b", "typed", "failed", "not done in 45 s"),
    Outcome("a", "spoken", "n/a", "no microphone"),
    Outcome("b", "spoken", "n/a", "no microphone"),
]


def test_a_reason_is_told_once():
    assert table(OUTCOMES).splitlines() == [
        "| scenario | a | b |",
        "| --- | --- | --- |",
        "| a spoken turn | n/a (1) | n/a (1) |",
        "| a typed turn | ok | failed (2) |",
        "",
        "1. no microphone",
        "2. not done in 45 s",
    ]


def test_what_was_not_tried_is_empty():
    assert table(OUTCOMES[:1]).splitlines() == ["| scenario | a |", "| --- | --- |", "| a typed turn | ok |"]
    assert table([OUTCOMES[0], OUTCOMES[3]]).splitlines()[2] == "| a spoken turn |  | n/a (1) |"


def test_the_report_has_versions_and_times():
    told = report(OUTCOMES[:1], {"a": ("package==1.0",)})

    assert told["clients"] == {"a": ("package==1.0",)}
    wanted = {"client": "a", "scenario": "typed", "result": "ok", "why": "", "seconds": 1.5}
    assert told["outcomes"] == [wanted]
