"""The evaluation: what is read with what, errors, times and sums, by hand from scripted recognizers."""

import json

import numpy as np
import pytest
from scripted_models import (
    SECOND,
    Part,
    Said,
    ScriptedFull,
    ScriptedRecognizers,
    ScriptedStream,
    Text,
    Ticker,
)

from asr.eval.degrade import degrade
from asr.eval.evaluate import Plan, Recording, evaluate, transcribe, worst
from asr.eval.nonspeech import false_transcripts
from asr.eval.score import WordErrors
from asr.eval.summary import report, summary

TONE = np.sin(np.arange(SECOND) * 0.2).astype(np.float32)


def recognizers(
    streaming: list[tuple[Part | Text, float]],
    final: list[tuple[Part | Text, float]],
    full: list[tuple[Text, float]],
) -> ScriptedRecognizers:
    ticker = Ticker()
    streams = ScriptedStream(ticker, streaming), ScriptedStream(ticker, final)
    return ScriptedRecognizers(*streams, ScriptedFull(ticker, full))


def finished(scripted: ScriptedRecognizers) -> bool:
    return not (scripted.streaming.steps or scripted.final.steps or scripted.full.steps)


# a: 1 s; b: 2 s, where speech begins at 0.25 s; c: 1 s
CLIPS = [
    Recording("a.wav", TONE, "Turn on the light."),
    Recording("b.wav", np.tile(TONE, 2), "What time is it in Rome?", SECOND // 4),
    Recording("c.wav", TONE, "Stop."),
]
WORDS_A = (Said("Turn", 0, 0.25), Said("on", 0.25, 0.5), Said("the", 0.5, 0.625), Said("light", 0.625, 0.75))
ROME = "What time is it in Rome?"
WORDS_B = tuple(Said(word, n / 4, (n + 1) / 4) for n, word in enumerate(ROME.split()))
FULL = [(Text("Turn on the light.", WORDS_A), 100), (Text(ROME, WORDS_B), 200)]
FULL_C = (Text("Stop.", (Said("Stop.", 0.5, 0.75),)), 100)
STREAMING: list[tuple[Part | Text, float]] = [
    (Part("", ""), 10),
    (Text("turn on the light"), 50),
    (Part("", "what"), 20),
    (Part("", "what time"), 40),
    (Text("What time is in chrome"), 60),  # "it" is lost, and "Rome" misheard
    (Part("", "stop"), 10),
    (Text("Stop it. Stop it now, all of you."), 50),  # seven words put in
]
PLAN = Plan(("streaming", "full"), ("clean",), 800)


def script() -> ScriptedRecognizers:
    return recognizers(list(STREAMING), [], [*FULL, FULL_C])


def test_errors_by_hand() -> None:
    scripted = script()
    results = evaluate(CLIPS, scripted, PLAN, scripted.full.ticker.clocks)
    assert list(results) == [("streaming", "clean"), ("full", "clean")]
    streaming, full = results["streaming", "clean"], results["full", "clean"]
    assert [clip.name for clip in streaming] == ["a.wav", "b.wav", "c.wav"]
    assert [clip.words.wer for clip in streaming] == [0, 2 / 6, 7]
    assert [clip.words.wer for clip in full] == [0, 0, 0]
    assert [clip.hallucinated for clip in streaming] == [(), (), ("it stop it now all of you",)]
    assert streaming[1].kinds.names == WordErrors(1, 0, 0, 1)
    assert streaming[1].kinds.others == WordErrors(0, 0, 1, 5)
    assert [clip.audio_s for clip in streaming] == [1, 2, 1]
    assert [clip.latency is None for clip in streaming + full] == [False] * 3 + [True] * 3


def test_the_summary_by_hand() -> None:
    scripted = recognizers(
        [
            (Part("", "Turn"), 20),
            (Text("Turn on the light"), 50),
            (Part("", "What's"), 20),  # at 0.8 s
            (Part("What time", "his"), 40),  # at 1.6 s
            (Text("What time is it in home"), 60),
        ],
        [],
        list(FULL),
    )
    results = evaluate(CLIPS[:2], scripted, PLAN, scripted.full.ticker.clocks)
    assert finished(scripted)
    found = summary(results["streaming", "clean"])
    assert (found["clips"], found["audio_s"], found["wer"]) == (2, 3, 1 / 10)
    assert found["cer"] == 1 / (17 + 23)
    assert found["words"] == {"wer": 0.1, **dict(zip(KINDS, (1, 0, 0, 10), strict=True))}
    assert found["names"] == {"wer": 1, **dict(zip(KINDS, (1, 0, 0, 1), strict=True))}
    assert found["numbers"] == {"wer": 0, **dict(zip(KINDS, (0, 0, 0, 0), strict=True))}
    assert found["others"] == {"wer": 0, **dict(zip(KINDS, (0, 0, 0, 9), strict=True))}
    assert found["wall_real_time_factor"] == pytest.approx(0.19 / 3)
    assert found["cpu_real_time_factor"] == pytest.approx(0.38 / 3)
    assert found["ms"] == {"p50": 95, "p95": pytest.approx(117.5)}  # of 70 and 120
    assert found["final_ms"] == {"p50": 55, "p95": 59.5}
    # a: 800 + 20 from the beginning of "Turn"; b: 800 + 20 from the label at 250
    assert found["first_partial_ms"] == {"p50": 695, "p95": pytest.approx(807.5), "clips": 2}
    # b: 1640 - 250 and 1640 - 500; the rest at 2060: 1310, 1060, 810, 560. a, at 1050: 800, 550, 425, 300.
    assert found["stable_by_partial_ms"] == {"p50": 1265, "p95": pytest.approx(1377.5), "words": 2}
    assert found["stable_word_ms"]["words"] == 10
    assert found["stable_word_ms"]["p50"] == pytest.approx((800 + 810) / 2)
    # a shows 1 + 3 words. b: "What's", then "What time his" for it, then four for "his".
    assert (found["words_shown"], found["words_revised"]) == (4 + 1 + 3 + 4, 2)
    assert found["revision_rate"] == 2 / 12
    assert (found["stable_words"], found["stable_retracted"], found["stable_contradicted"]) == (2, 0, 0)
    assert found["partials_per_s"] == 1
    assert found["partial_ms"] == {"p50": 20, "p95": pytest.approx(38)}
    full = summary(results["full", "clean"])
    assert (full["wer"], full["ms"]["p50"], full["cpu_real_time_factor"]) == (0, 150, pytest.approx(0.2))
    assert "revision_rate" not in full


KINDS = ("substitutions", "insertions", "deletions", "reference_words")


def test_each_reader_hears_each_condition_and_words_end_where_they_do_in_the_clean_clip() -> None:
    final: list[tuple[Part | Text, float]] = [(Text("Turn"), 10), (Text("Turn on the light"), 10)]
    scripted = recognizers(
        [], final, [(Text("Turn on a light"), 1), (Text("The kite", WORDS_B[:2]), 1), FULL[0]]
    )
    plan = Plan(("final", "full"), ("noisy", "telephone"), 2000)
    results = evaluate(CLIPS[:1], scripted, plan, scripted.full.ticker.clocks)
    assert finished(scripted)
    assert list(results) == [(name, sound) for sound in plan.conditions for name in plan.modes]
    noisy, telephone, clean = scripted.full.heard
    assert np.array_equal(noisy, degrade(TONE, "noisy", "a.wav"))
    assert np.array_equal(telephone, degrade(TONE, "telephone", "a.wav"))
    assert np.array_equal(clean, TONE)
    assert [clips[0].transcript.text for clips in results.values()] == [
        "Turn",
        "Turn on a light",
        "Turn on the light",
        "The kite",
    ]
    settled = [results["final", sound][0].latency for sound in plan.conditions]
    assert [each.at_final_ms for each in settled if each] == [
        pytest.approx((1010 - 250,)),
        pytest.approx((760, 510, 385, 260)),
    ]


def test_nobody_reads_who_is_not_asked_to() -> None:
    scripted = recognizers([], [], [(Text("Stop."), 1)])
    results = evaluate(CLIPS[2:], scripted, Plan(("full",), ("far",), 480))
    assert finished(scripted)
    assert list(results) == [("full", "far")]


def test_the_report_survives_json() -> None:
    scripted = script()
    found = report(evaluate(CLIPS, scripted, PLAN, scripted.full.ticker.clocks))
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"streaming", "full"}
    assert set(found["streaming"]) == {"clean"}
    cell = found["streaming"]["clean"]
    assert cell["summary"]["hallucinated"] == ["c.wav"]
    assert cell["summary"]["repeated"] == []
    assert [clip["file"] for clip in cell["clips"]] == ["a.wav", "b.wav", "c.wav"]
    clip = cell["clips"][1]
    assert (clip["reference"], clip["transcript"]) == ("What time is it in Rome?", "What time is in chrome")
    assert (clip["ms"], clip["cpu_ms"], clip["final_ms"], clip["partials"]) == (120, 240, 60, 2)
    assert clip["first_partial_ms"] == 820 - 250
    assert clip["stable_ms"] == []
    assert "first_partial_ms" not in found["full"]["clean"]["clips"][1]


def test_the_worst_clips_come_first_and_right_ones_not_at_all() -> None:
    clips = evaluate(CLIPS, script(), PLAN)["streaming", "clean"]
    assert [clip.name for clip in worst(clips, 10)] == ["c.wav", "b.wav"]
    assert [clip.name for clip in worst(clips, 1)] == ["c.wav"]


def test_of_nothing_there_are_no_figures() -> None:
    nothing = summary(evaluate([], script(), PLAN)["streaming", "clean"])
    assert (nothing["wer"], nothing["cpu_real_time_factor"], nothing["ms"]["p50"]) == (0, 0, None)
    silence = [Recording("s.wav", TONE, "")]
    scripted = recognizers([(Part("", ""), 1), (Text("You know."), 1)], [], [(Text(""), 1)])
    clip = evaluate(silence, scripted, PLAN)["streaming", "clean"][0]
    assert (clip.words.wer, clip.latency and clip.latency.stable_ms) == (2, ())


def test_text_for_a_sound_in_which_nothing_is_said() -> None:
    texts = iter([(Text(" "), 1), (Text("You"), 1), (Text("..."), 1), (Text("Thank you."), 1)])
    scripted = recognizers([], [], list(texts))
    sounds = {
        name: np.full(4, level, np.float32) for level, name in enumerate(("hum", "hiss", "click", "chord"))
    }
    clocks = scripted.full.ticker.clocks
    found = false_transcripts(
        sounds,
        lambda audio: transcribe("full", scripted, audio, 480, clocks).text,
        lambda audio: audio[0] == 3,
    )
    assert found.to_dict() == {
        "clips": 4,
        "false": 2,
        "false_behind_vad": 1,
        "texts": {"hiss": "You", "chord": "Thank you."},
        "behind_vad": ["chord"],
    }
