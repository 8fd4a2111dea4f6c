"""Feeding a recording in chunks: what is heard when, and when it is shown, on a scripted clock."""

import numpy as np
import pytest
from scripted_models import SECOND, Part, Said, ScriptedFull, ScriptedStream, Text, Ticker

from asr.eval.feed import feed_stream, feed_whole


def audio(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SECOND), np.float32)


def test_a_partial_comes_after_each_chunk_and_the_final_text_after_all() -> None:
    ticker = Ticker()
    steps = [
        (Part("", "turn"), 30),
        (Part("turn", "on it"), 50),
        (Text("Turn on.", (Said("Turn", 0, 1),)), 20),
    ]
    transcriber = ScriptedStream(ticker, steps)
    reading = feed_stream(transcriber, audio(1.2), 480, ticker.clocks)
    assert transcriber.steps == []
    assert transcriber.heard == [7680, 15360, 19200]
    assert (reading.text, reading.words) == ("Turn on.", (Said("Turn", 0, 1),))
    assert [partial.stable for partial in reading.shown] == [(), ("turn",)]
    assert [partial.unstable for partial in reading.shown] == [("turn",), ("on", "it")]
    assert [partial.compute_ms for partial in reading.shown] == [30, 50]
    assert [partial.shown_ms for partial in reading.shown] == [510, 1010]
    assert (reading.wall_ms, reading.cpu_ms, reading.final_ms, reading.final_shown_ms) == (100, 200, 20, 1220)


def test_a_reader_slower_than_speech_falls_behind() -> None:
    ticker = Ticker()
    steps = [(Part("", "a"), 700), (Part("", "b"), 100), (Part("", "c"), 10), (Text("c"), 5)]
    reading = feed_stream(ScriptedStream(ticker, steps), audio(1.6), 500, ticker.clocks)
    # The second chunk ends at 1000 ms, while the first is read until 1200; the third at 1500, in time again.
    assert [partial.shown_ms for partial in reading.shown] == [1200, 1300, 1510]
    assert reading.final_shown_ms == 1605


@pytest.mark.parametrize("samples", [0, 1, 7680])
def test_a_clip_no_longer_than_a_chunk_has_no_partial(samples: int) -> None:
    ticker = Ticker()
    transcriber = ScriptedStream(ticker, [(Text("Stop."), 8)])
    reading = feed_stream(transcriber, np.zeros(samples, np.float32), 480, ticker.clocks)
    assert transcriber.heard == [samples]
    assert (reading.text, reading.shown, reading.wall_ms) == ("Stop.", (), 8)
    assert reading.final_shown_ms == samples / 16 + 8


def test_the_full_reader_hears_everything_at_once() -> None:
    ticker = Ticker()
    transcriber = ScriptedFull(ticker, [(Text("Stop.", (Said("Stop.", 0.5, 0.75),)), 40)])
    reading = feed_whole(transcriber, audio(2), ticker.clocks)
    assert [len(heard) for heard in transcriber.heard] == [32000]
    assert (reading.wall_ms, reading.cpu_ms, reading.final_ms, reading.final_shown_ms) == (40, 80, 40, 2040)
    assert (reading.text, reading.words, reading.shown) == ("Stop.", (Said("Stop.", 0.5, 0.75),), ())
