"""The model card that is written beside an adapter, and the tables of figures in it."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from llm.train.cases import Part
from llm.train.figures import WORST_PERPLEXITY, Figures
from llm.train.grammar import Example
from llm.train.runs import Run

_CARD = files("llm.train") / "data" / "card.md"


def card(
    base: str,
    parts: Mapping[Part, Sequence[Example]],
    runs: Sequence[Run],
    kept: Run,
    figures: Mapping[str, Figures],
    *,
    replay: int,
    held: int,
    adapter_bytes: int,
) -> str:
    """The card as Markdown."""
    return _CARD.read_text(encoding="utf-8").format(
        base=base,
        megabytes=adapter_bytes / 1e6,
        rank=kept.settings.rank,
        alpha=kept.settings.alpha,
        batch=kept.settings.batch,
        seed=kept.settings.seed,
        replay=replay,
        held=held,
        sizes=_sizes_table(parts),
        runs=_runs_table(runs),
        kept=kept.settings.name,
        worst=WORST_PERPLEXITY,
        figures=figures_table(figures),
    )


def figures_table(columns: Mapping[str, Figures], *, groups: bool = False) -> str:
    """A row for each kind, and for each group within if asked for; a column for each model."""
    first, *_ = columns.values()
    names = [*first.kinds, *(name for name in first.groups if groups and name not in first.kinds)]
    rows = [[name, *(str({**f.groups, **f.kinds}[name]) for f in columns.values())] for name in names]
    rows += [
        ["claims, where it cannot or does not know", *(str(f.claims) for f in columns.values())],
        ["calls, where there is no command", *(str(f.stray_calls) for f in columns.values())],
        ["words of a reply", *(f"{f.words:.1f}" for f in columns.values())],
        ["perplexity", *(f"{f.perplexity:.2f}" for f in columns.values())],
    ]
    return _table(["right", *columns], rows)


def replies_text(cases: Sequence[Example], columns: Mapping[str, Figures]) -> str:
    """A JSON object a line: what was said, what was wanted, and what each model replied."""
    lines = []
    for i, example in enumerate(cases):
        said = [message.content for message in example.messages]
        replied = {name: figures.replies[i] for name, figures in columns.items()}
        lines.append(json.dumps({"group": example.group, "said": said, "wanted": example.reply, **replied}))
    return "".join(f"{line}\n" for line in lines)


def _sizes_table(parts: Mapping[Part, Sequence[Example]]) -> str:
    kinds = list(dict.fromkeys(example.kind for found in parts.values() for example in found))
    rows = [
        [kind, *(str(sum(example.kind == kind for example in found)) for found in parts.values())]
        for kind in kinds
    ]
    return _table(["examples", *parts], rows)


def _runs_table(runs: Sequence[Run]) -> str:
    rows = [
        [
            run.settings.name,
            f"{run.chosen_by.score():.3f}",
            f"{run.chosen_by.perplexity:.2f}",
            f"{run.seconds:.0f}",
        ]
        for run in runs
    ]
    return _table(["settings", "score on choose", "perplexity", "seconds"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
