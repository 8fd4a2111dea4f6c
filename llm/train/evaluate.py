"""`python -m llm.train.evaluate`: the base model, and it with an adapter, on examples nobody trained with."""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from llm.gguf.file import open_gguf
from llm.train.adapter import read_adapter
from llm.train.card import figures_table, replies_text
from llm.train.cases import PARTS, examples
from llm.train.encode import Encoder
from llm.train.figures import measure
from llm.train.model import read_llama


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write figures and replies if asked to."""
    options = _options().parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gguf = open_gguf(options.model)
    model, encoder = read_llama(gguf, device), Encoder(gguf)
    cases = examples(options.seed)[options.part]
    if options.most is not None:
        cases = random.Random(options.seed).sample(cases, min(options.most, len(cases)))
    columns = {"base": measure(model, encoder, cases)}
    if options.adapter is not None:
        adapter = read_adapter(options.adapter, model.config).to(device)
        columns["base with the adapter"] = measure(model, encoder, cases, adapter)
    print(figures_table(columns, groups=True))
    if options.json is not None:
        written = {name: figures.to_dict() for name, figures in columns.items()}
        options.json.write_text(json.dumps(written, indent=2), encoding="utf-8")
    if options.replies is not None:
        options.replies.write_text(replies_text(cases, columns), encoding="utf-8")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m llm.train.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file of the architecture llama")
    parser.add_argument("--adapter", type=Path, help="a folder with an adapter in PEFT's form")
    parser.add_argument("--part", choices=PARTS, default="report")
    parser.add_argument("--most", type=int, help="only so many of the examples, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--replies", type=Path, help="write every reply to this file, a JSON object a line")
    return parser


if __name__ == "__main__":
    main()
