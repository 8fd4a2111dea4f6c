"""Several trainings, and which of their adapters is kept."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm.train.adapter import Adapter
from llm.train.encode import Encoder
from llm.train.figures import WORST_PERPLEXITY, Figures, measure
from llm.train.grammar import Example
from llm.train.loop import Data, Settings, train
from llm.train.model import Llama

SETTINGS = (
    Settings(rate=1e-3),
    Settings(rate=1e-3, hold=4.0),
    Settings(rate=5e-4),
    Settings(rate=2e-3, hold=4.0),
    Settings(rank=8, rate=1e-3),
    Settings(rate=1e-3, epochs=6, hold=4.0),
)
"""Those that are tried, in this order while there is time."""


@dataclass(frozen=True)
class Run:
    """One training: its adapter, and the figures on the part that chooses."""

    settings: Settings
    adapter: Adapter
    chosen_by: Figures
    seconds: float


def try_settings(
    model: Llama,
    encoder: Encoder,
    data: Data,
    choose: Sequence[Example],
    settings: Sequence[Settings],
    log: Callable[[str], None],
    *,
    until_s: float,
    most_steps: int | None = None,
    now_s: Callable[[], float] = time.monotonic,
) -> list[Run]:
    """Train with each of the settings; none is begun that would probably not be over at `until_s`."""
    runs: list[Run] = []
    for one in settings:
        began = now_s()
        if runs and began + _expected_s(runs, one) > until_s:
            log(f"{one.name}: left out, there is no time for it")
            continue
        log(f"{one.name}:")
        adapter = train(model, data, one, log, most_steps)
        figures = measure(model, encoder, choose, adapter)
        runs.append(Run(one, adapter, figures, now_s() - began))
        log(f"  {runs[-1].seconds:.0f} s; score {figures.score():.3f}, perplexity {figures.perplexity:.2f}")
    return runs


def best(runs: Sequence[Run], base: Figures) -> Run:
    """The best score among those that keep the perplexity; if none does, the smallest perplexity."""
    keeping = [r for r in runs if r.chosen_by.perplexity <= WORST_PERPLEXITY * base.perplexity]
    if not keeping:
        return min(runs, key=lambda run: run.chosen_by.perplexity)
    return max(keeping, key=lambda run: run.chosen_by.score())


def _expected_s(runs: Sequence[Run], settings: Settings) -> float:
    return 1.2 * max(run.seconds * settings.epochs / run.settings.epochs for run in runs)
