"""A sweep as text: what was tried, what was chosen, and what that is worth."""

from collections.abc import Iterator, Sequence

from assistant.trace.tune import judge
from assistant.trace.tune.judge import Figures, Interval
from assistant.trace.tune.plot import plot
from assistant.trace.tune.settings import toml
from assistant.trace.tune.sweep import Sweep
from assistant.trace.tune.tune import Judged, Tuned


def lines(tuned: Tuned, sweep: Sweep) -> Iterator[str]:
    """All of it, the result last."""
    fit, judged = tuned.fit[0].turns, tuned.present.figures.turns
    left_out = f", {sweep.unlabelled} clips without the end of speech left out" if sweep.unlabelled else ""
    yield f"{fit + judged} turns: {fit} to choose on, {judged} with other sentences to judge on{left_out}"
    yield from _work(tuned, sweep)
    yield f"\nOn the {fit} turns to choose on (not the result):"
    yield from scatter(tuned.fit, tuned.chosen)
    yield from _front(tuned)
    yield f"\nOn the {judged} turns to judge on, with 95 % intervals:"
    yield from _table(tuned.present, tuned.after)
    yield from _kinds(tuned.present, tuned.after)
    yield ""
    yield from _verdict(tuned)


def _work(tuned: Tuned, sweep: Sweep) -> Iterator[str]:
    simulated = f"{sweep.simulations} simulations, {sweep.spared} more known to be the same"
    yield f"{len(tuned.tried)} settings, the present ones among them: {simulated}"
    if sweep.asked:
        asked = ", ".join(f"{stage} {count}" for stage, count in sorted(sweep.asked.items()))
        yield f"not recorded, by the real models and the cost model: {asked}"
    if sweep.failures:
        yield f"{sweep.failures} failures of models in the simulations"


def scatter(tried: Sequence[Figures], chosen: int) -> Iterator[str]:
    """Turns cut into over the mean wait, of the settings that were tried; the present ones first."""
    shown = [(index, of.mean_ms, of.cut_rate) for index, of in enumerate(tried) if of.mean_ms is not None]
    if not shown:
        return
    marks = {**dict.fromkeys(judge.front(tried), "o"), 0: "P", chosen: "C"}
    marked = [(marks.get(index, "."), wait, rate) for index, wait, rate in shown]
    marked.sort(key=lambda of: " .oPC".index(of[0]))
    yield from plot(marked, "P present, C chosen, o Pareto front")


def _front(tuned: Tuned) -> Iterator[str]:
    yield f"  {'':<9}{'mean':>6}{'p50':>7}{'p95':>7}{'cut into':>10}{'cost':>7}  settings"
    for index in dict.fromkeys([0, *judge.front(tuned.fit), tuned.chosen]):
        yield _row(tuned, index, "chosen" if index == tuned.chosen else "" if index else "present")


def _row(tuned: Tuned, index: int, mark: str) -> str:
    of = tuned.fit[index]
    settings = " ".join(f"{key}={value}" for key, value in tuned.tried[index].items())
    waits = f"{_ms(of.mean_ms):>6}{_ms(of.p50_ms):>7}{_ms(of.p95_ms):>7}"
    return f"  {mark:<9}{waits}{of.cut:>4} of {of.turns:<3}{of.cost_ms:>6.0f}  {settings}"


def _table(present: Judged, chosen: Judged) -> Iterator[str]:
    yield f"  {'':<24}{'present':>24}{'chosen':>24}"
    both = (present, chosen)
    counts = [f"{of.figures.cut} of {of.figures.turns}" for of in both]
    yield _pair("cut into", *counts)
    yield _pair("", *(f"{_percent(of.cut_rate)}" for of in both))
    yield _pair("wait, p50 (ms)", *(_interval(of.p50_ms) for of in both))
    yield _pair("wait, p95 (ms)", *(_interval(of.p95_ms) for of in both))
    yield _pair("turns waited for", *(str(_answered(of.figures)) for of in both))
    if any(of.figures.unanswered for of in both):
        yield _pair("never answered", *(str(of.figures.unanswered) for of in both))
    yield _pair("cost of a turn (ms)", *(f"{of.figures.cost_ms:.0f}" for of in both))


def _kinds(present: Judged, chosen: Judged) -> Iterator[str]:
    yield "\n  cut into, of the pauses that were reached (no pause: elsewhere, of the turns)"
    for kind in sorted(present.by_kind.keys() | chosen.by_kind.keys()):
        counts = [of.by_kind.get(kind, (0, 0)) for of in (present, chosen)]
        yield _pair(kind, *(f"{cut} of {reached}" for cut, reached in counts))


def _verdict(tuned: Tuned) -> Iterator[str]:
    gain, plan = tuned.gain, tuned.plan
    priced = f"a turn cut into counting as a wait of {plan.cut_ms:.0f} ms"
    if tuned.chosen == 0:
        yield f"Keep the present settings: none that was tried costs less, {priced}."
        return
    found = f"{gain.value:+.0f} ms a turn (95 %: {gain.low:+.0f} to {gain.high:+.0f}), {priced}"
    if not tuned.is_better:
        yield f"Keep the present settings: {found}: within the noise, or no gain. Chosen was:"
    else:
        yield f"The chosen settings are better: {found}:"
    yield from toml(tuned.tried[tuned.chosen]).splitlines()


def _pair(name: str, present: str, chosen: str) -> str:
    return f"  {name:<24}{present:>24}{chosen:>24}"


def _answered(of: Figures) -> int:
    return of.turns - of.cut - of.unanswered


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _percent(of: Interval) -> str:
    return f"{of.value:.0%} ({of.low:.0%} to {of.high:.0%})"


def _interval(of: Interval | None) -> str:
    return "-" if of is None else f"{of.value:.0f} ({of.low:.0f} to {of.high:.0f})"
