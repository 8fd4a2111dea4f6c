"""Figures of turns written by hand, which are known on paper."""

import numpy as np
import pytest
from labelled_points import point

from assistant.endpointing.fit import Fit, Fits
from assistant.endpointing.judge import PATIENCE, SILENCES_MS, auc, judge
from assistant.endpointing.points import Turn
from assistant.endpointing.policy import WORDS_MS
from assistant.endpointing.report import figures
from assistant.session.turn import TurnConfig
from assistant.trace.tune.worth import ALL, WITH_PAUSES, WITHOUT

RNG = np.random.default_rng(5)
MARK = np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 0])
FITS = Fits(
    closing=Fit(np.array([1.0, 0.0]), 1.0),
    sound=Fit(np.array([1.0, 0.0]), 1.0),
    words=Fit(MARK, 1.0),
    both=Fit(np.array([1.0, 0.0, 0.0]), 1.0),
    read=Fit(np.array([1.0, 0.0, 0.0]), 1.0),
    heard=Fit(np.array([1.0, 0.0, 0.0]), 1.0),
)
"""Log-odds by the words are those of the closing mark; neither sound nor reading adds to them."""
TURNS = [
    Turn("One, two.", 0, ("list",), (point(600, "list", closing=9.0, sound=1.0), point(closing=9.0))),
    Turn("One, three.", 0, ("list",), (point(600, "list", closing=-9.0), point(closing=9.0, sound=1.0))),
    Turn("Four.", 0, (), (point(100, closing=-9.0), point(closing=9.0, sound=1.0))),
]


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    scores, ends = RNG.integers(0, 6, 40).astype(float), (RNG.random(40) < 0.4).astype(float)
    pairs = [(end, pause) for end in scores[ends == 1] for pause in scores[ends == 0]]
    expected = np.mean([float(end > pause) + 0.5 * (end == pause) for end, pause in pairs])
    assert auc(scores, ends) == pytest.approx(expected)
    assert np.isnan(auc(np.zeros(3), np.ones(3)))


def test_ends_and_pauses_are_counted_and_told_apart() -> None:
    """Of two pauses one is below the three ends, and one is level with them."""
    judged = judge(TURNS, FITS, TurnConfig())
    assert (judged.turns, judged.ends, judged.pauses) == (3, 3, 2), "100 ms are a gap of the detector"
    words = judged.telling["words"]
    assert words.auc.value == pytest.approx(0.75)
    assert 0.5 <= words.auc.low <= 0.75 <= words.auc.high <= 1
    assert words.log_loss == pytest.approx(9 / 5, abs=0.001)
    assert judged.telling["Smart Turn"].auc.value == pytest.approx((0 + 0.5 + 2 * 0.5 + 2 * 1) / 6)


def test_the_trade_off_counts_turns_cut_into_and_the_waits_of_the_others() -> None:
    judged = judge(TURNS, FITS, TurnConfig())
    assert len(judged.trade_off) == len(PATIENCE) + len(SILENCES_MS)
    for patience in PATIENCE:
        found = judged.trade_off[f"patience {patience:g}"]
        assert found["list"] == found[WITH_PAUSES]
        assert (found["list"].cut, found["list"].turns) == (1, 2)
        assert found["list"].share.low == pytest.approx(0.0945, abs=1e-4), "Wilson's of 1 in 2"
        assert (found[WITHOUT].cut, found[WITHOUT].turns) == (0, 1)
        assert found[ALL].p50_ms is not None and found[ALL].p50_ms.value == WORDS_MS


def test_silence_alone_cuts_into_what_is_longer() -> None:
    """Both pauses last 600 ms, and silence is counted in windows of 32."""
    found = judge(TURNS, FITS, TurnConfig()).trade_off
    assert (found["silence, 500 ms"][ALL].cut, found["silence, 800 ms"][ALL].cut) == (2, 0)
    assert found["silence, 800 ms"][ALL].mean_ms == 800


def test_the_report_names_every_kind_and_policy() -> None:
    text = "\n".join(figures("choose", judge(TURNS, FITS, TurnConfig())))
    assert text.startswith("\nchoose: 3 turns, 3 ends and 2 pauses")
    assert "0.750" in text
    of_lists = text[text.index("\n  list ") :]
    assert of_lists.count("1 of 2 (9% to 91%)") == len(PATIENCE)
    assert of_lists.splitlines()[-1].startswith("  silence, 800 ms"), "the last kind, the last policy"
