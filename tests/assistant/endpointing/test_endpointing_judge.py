"""Figures of turns written by hand, which are known on paper."""

import numpy as np
import pytest
from labelled_points import point

from assistant.endpointing.fit import Fit, Fits
from assistant.endpointing.judge import PATIENCE, auc, judge
from assistant.endpointing.points import Turn
from assistant.endpointing.policy import WORDS_MS
from assistant.endpointing.report import figures
from assistant.session.turn import TurnConfig
from assistant.trace.pauses import NO_PAUSE

RNG = np.random.default_rng(5)
MARK = np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 0])
FITS = Fits(
    closing=Fit(np.array([1.0, 0.0]), 1.0),
    sound=Fit(np.array([1.0, 0.0]), 1.0),
    words=Fit(MARK, 1.0),
    both=Fit(np.array([1.0, 0.0, 0.0]), 1.0),
)
"""Log-odds by the words are those of the closing mark; the sound adds nothing to them."""
TURNS = [
    Turn("One, two.", 0, True, (point(600, "list", closing=9.0, sound=1.0), point(closing=9.0))),
    Turn("One, three.", 0, True, (point(600, "list", closing=-9.0), point(closing=9.0, sound=1.0))),
    Turn("Four.", 0, False, (point(100, closing=-9.0), point(closing=9.0, sound=1.0))),
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
    assert [row.patience for row in judged.trade_off] == list(PATIENCE)
    for row in judged.trade_off:
        assert row.with_pauses is not None and row.without is not None
        assert (row.with_pauses.cut, row.with_pauses.turns) == (1, 2)
        assert row.with_pauses.share.low == pytest.approx(0.0945, abs=1e-4), "Wilson's of 1 in 2"
        assert (row.without.cut, row.without.turns) == (0, 1)
        assert row.p50_ms is not None and row.p50_ms.value == WORDS_MS
        assert row.by_kind == {"list": (1, 2), NO_PAUSE: (0, 1)}


def test_the_report_names_every_kind_and_patience() -> None:
    text = "\n".join(figures("choose", judge(TURNS, FITS, TurnConfig())))
    assert text.startswith("\nchoose: 3 turns, 3 ends and 2 pauses")
    assert "0.750" in text
    assert text.count("1 of 2 (9% to 91%)") == len(PATIENCE)
    assert text.splitlines()[-2].split()[:4] == ["list", "1", "of", "2"]
