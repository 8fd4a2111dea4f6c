"""`python -m llm.train`: train with several settings, keep, measure and write the best adapter."""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from llm.gguf.file import open_gguf
from llm.train.adapter import WEIGHTS_FILE, read_adapter, write_adapter
from llm.train.card import card, figures_table, replies_text
from llm.train.cases import Part, examples
from llm.train.encode import Encoder
from llm.train.figures import Figures, measure
from llm.train.grammar import Example
from llm.train.loop import Data
from llm.train.model import read_llama
from llm.train.replay import own_replies
from llm.train.runs import SETTINGS, Run, best, try_settings

_LEFT_S = 60.0  # of the time, for the report and the files


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write everything to one folder."""
    options = _options().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    log = _logger(options.out / "log.txt", began)
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gguf = open_gguf(options.model)
    model, encoder = read_llama(gguf, device), Encoder(gguf)
    parts = _parts(options)
    own = own_replies(model, encoder, options.replay, options.seed)
    data = Data([*map(encoder.encode, parts["fit"]), *own.learnt], own.held)
    log(f"{len(data.learnt)} examples, {len(own.learnt)} of them replay; {len(data.held)} held; {device}")
    base = {part: measure(model, encoder, parts[part]) for part in ("choose", "report")}
    log(f"base: score {base['choose'].score():.3f}, perplexity {base['choose'].perplexity:.2f}")
    runs = try_settings(
        model,
        encoder,
        data,
        parts["choose"],
        SETTINGS[: options.settings],
        log,
        until_s=began + 60 * options.minutes - _LEFT_S,
        most_steps=options.steps,
    )
    kept = best(runs, base["choose"])
    log(f"kept: {kept.settings.name}")
    write_adapter(kept.adapter, options.out, options.base)
    adapter = read_adapter(options.out, model.config).to(device)
    figures = {
        "base": base["report"],
        "base with the adapter": measure(model, encoder, parts["report"], adapter),
    }
    size = (options.out / WEIGHTS_FILE).stat().st_size
    text = card(
        options.base,
        parts,
        runs,
        kept,
        figures,
        replay=len(own.learnt),
        held=len(own.held),
        adapter_bytes=size,
    )
    (options.out / "README.md").write_text(text, encoding="utf-8")
    _write_figures(options.out, runs, figures, parts["report"])
    log(figures_table(figures, groups=True))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m llm.train", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file of the architecture llama")
    parser.add_argument("--out", type=Path, required=True, help="a folder for adapter, card, figures and log")
    parser.add_argument("--base", default="HuggingFaceTB/SmolLM2-135M-Instruct", help="the base model's name")
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="no training begins that would last longer"
    )
    parser.add_argument(
        "--replay",
        type=int,
        default=1600,
        help="prompts that the base model answers; it continues half as many texts",
    )
    parser.add_argument("--settings", type=int, help="try only the first so many")
    parser.add_argument("--steps", type=int, help="end each training after so many, to see that it works")
    parser.add_argument("--every", type=int, default=1, help="take only every n-th example, likewise")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _parts(options: argparse.Namespace) -> Mapping[Part, Sequence[Example]]:
    return {part: found[:: options.every] for part, found in examples(options.seed).items()}


def _logger(path: Path, began: float) -> Callable[[str], None]:
    path.write_text("", encoding="utf-8")

    def log(line: str) -> None:
        stamped = f"{time.monotonic() - began:7.1f} s  {line}"
        print(stamped, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{stamped}\n")

    return log


def _write_figures(
    folder: Path, runs: Sequence[Run], figures: Mapping[str, Figures], cases: Sequence[Example]
) -> None:
    """figures.json, and every reply of the report in replies.jsonl, for people to read."""
    written = {
        "runs": [{**asdict(run.settings), "choose": run.chosen_by.to_dict()} for run in runs],
        "report": {name: found.to_dict() for name, found in figures.items()},
    }
    (folder / "figures.json").write_text(json.dumps(written, indent=2), encoding="utf-8")
    (folder / "replies.jsonl").write_text(replies_text(cases, figures), encoding="utf-8")


if __name__ == "__main__":
    main()
