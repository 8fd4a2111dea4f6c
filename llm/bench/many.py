"""`python -m llm.bench.many [MODEL]`: what sessions write together, through the engine, on a CPU or a GPU.

Each session is a thread that takes its tokens as the assistant does, so that what the host does for a token,
and how sessions wait for each other, is in the figures.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, cast

import typer

from llm.bench.command import EXPECTED, default_model
from llm.bench.sessions import rate
from llm.cuda import Device
from llm.decode import CudaBroken, EngineOutOfMemory, Sampling
from llm.eval import Place, place_of
from llm.eval.data import text
from llm.gguf import GgufFile, open_gguf
from llm.serve import SlotEngine
from llm.text import Tokenizer

CONTEXT = 128
"""Tokens that each session has read."""

_EXPECTED: tuple[type[Exception], ...] = (*EXPECTED, CudaBroken, EngineOutOfMemory)


def open_model(gguf: GgufFile, place: Place, sessions: int) -> Callable[[], SlotEngine]:
    """What opens a session of a model there; prompts are read, not remembered."""
    if place == "cpu":
        from llm.cpu.model import CpuConfig, CpuModel  # noqa: PLC0415  # as in eval_engines: neither needs the other's

        return CpuModel(gguf, CpuConfig(sessions=sessions, kv="int8", prefix_bytes=0)).open
    from llm.cuda.model import CudaConfig, CudaModel  # noqa: PLC0415

    return CudaModel(gguf, CudaConfig(sessions=sessions, prefix_bytes=0)).open


def bench(
    model: Annotated[Path | None, typer.Argument(help="A GGUF file; by default the assistant's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    sessions: Annotated[list[int] | None, typer.Option(min=1, help="How many at once; repeat it.")] = None,
    tokens: Annotated[int, typer.Option(min=1, max=1024, help="Length of each session's reply.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    rounds: Annotated[int, typer.Option(min=1, help="By turns; the median counts.")] = 3,
) -> None:
    """Measure tokens a second of all sessions together, and how many times one session's that is."""
    counts = sorted({1, *(sessions or (8, 64))})
    place = place_of(cast(Device, device))
    gguf = open_gguf(model or default_model())
    ids = Tokenizer.from_gguf(gguf).encode(text())
    prompts = [ids[i : i + CONTEXT] for i in range(counts[-1])]
    sampling = Sampling(repetition_penalty=1.1, temperature=temperature)
    open_session = open_model(gguf, place, counts[-1])
    found: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds + 1):
        for count in counts:
            found[count].append(rate(open_session, prompts[:count], tokens, sampling))
    for count, rates in found.items():
        here, one = median(rates[1:]), median(found[1][1:])  # the first is to warm up
        typer.echo(f"{place}, {count} sessions: {here:.0f} tok/s, {here / one:.2f} times one")


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    try:
        typer.run(bench)
    except _EXPECTED as error:
        typer.echo(f"llm.bench.many: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
