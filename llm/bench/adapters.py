"""`python -m llm.bench.adapters [MODEL]`: what LoRA adapters cost on a CPU, beside the model without.

Adapters are random, of all seven matrices of each layer: speed does not depend on what is in them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter, perf_counter_ns, process_time, thread_time_ns
from typing import Annotated

import numpy as np
import typer

from llm.bench.command import EXPECTED, default_model
from llm.bench.rounds import by_turns
from llm.bench.run import BenchError
from llm.bench.sessions import rate
from llm.cpu import fits
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode import Engine, Sampling
from llm.decode.engine import step
from llm.eval.data import text
from llm.gguf import LlamaConfig, open_gguf, read_config
from llm.gguf.config import layer_shapes
from llm.lora import Adapter, LowRank
from llm.lora.adapter import MAX_RANK, TARGETS
from llm.serve import SlotEngine
from llm.text import Tokenizer

_PROMPT, _STEPS = 128, 32

Rates = Mapping[str, Sequence[float]]
Clock = Callable[[], int]


def random_adapter(config: LlamaConfig, rank: int, seed: int) -> Adapter:
    """Factors of the sizes that trained ones have."""
    rng, shapes = np.random.default_rng(seed), layer_shapes(config)
    pairs = {}
    for layer in range(config.layers):
        for target in TARGETS:
            out, into = shapes[f"{target}.weight"]
            a = rng.normal(0, into**-0.5, (rank, into)).astype(np.float32)
            b = rng.normal(0, 0.01, (out, rank)).astype(np.float32)
            pairs[f"blk.{layer}.{target}.weight"] = LowRank(a, b)
    return Adapter(Path(f"rank {rank}"), f"{seed:064x}", pairs)


def alone(
    model: CpuModel, adapters: Mapping[str, Adapter | None], ids: Sequence[int], rounds: int, clock: Clock
) -> tuple[Rates, Rates]:
    """Tokens a second of one session: decoding, by turns token by token, and reading a prompt.

    Turns are short, as other programs disturb one or another of them.
    """
    with ExitStack() as stack:
        engines = {name: stack.enter_context(model.open(adapter=one)) for name, one in adapters.items()}

        def read(engine: Engine, count: int) -> float:
            engine.truncate(0)
            return _rate(clock, count, lambda: engine.extend(ids[:count]))

        def decoded(engine: Engine) -> float:
            return _rate(clock, 1, lambda: step(engine, ids[len(engine.tokens)]))

        whole = {name: partial(read, engine, 4 * _PROMPT) for name, engine in engines.items()}
        reading = by_turns(whole, rounds)
        for engine in engines.values():
            read(engine, _PROMPT)
        each = {name: partial(decoded, engine) for name, engine in engines.items()}
        return by_turns(each, rounds * _STEPS), reading


def _rate(clock: Clock, tokens: int, work: Callable[[], object]) -> float:
    start_ns = clock()
    work()
    return tokens * 1e9 / (clock() - start_ns)


def together(
    model: CpuModel,
    mixes: Mapping[str, Sequence[Adapter | None]],
    ids: Sequence[int],
    rounds: int,
    now_s: Callable[[], float],
) -> Rates:
    """Tokens a second of a session for each adapter of a mix, all at once."""

    def run(mix: Sequence[Adapter | None]) -> float:
        turns = cycle(mix)

        def open_session() -> SlotEngine:
            return model.open(adapter=next(turns))

        prompts = [ids[i : i + _PROMPT] for i in range(len(mix))]
        return rate(open_session, prompts, _STEPS, Sampling(), now_s)

    return by_turns({name: partial(run, mix) for name, mix in mixes.items()}, rounds)


def bench(
    model: Annotated[Path | None, typer.Argument(help="A GGUF file; by default the assistant's.")] = None,
    ranks: Annotated[list[int] | None, typer.Option("--rank", min=1, max=MAX_RANK, help="Repeat it.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the passes.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="By turns; medians count.")] = 9,
) -> None:
    """Measure tokens a second with and without adapters, by turns, and the ratio of each to without."""
    gguf = open_gguf(model or default_model())
    config = read_config(gguf)
    if not fits(config):
        raise BenchError("the compiled kernel is not there, or not for this processor or model")
    ids = Tokenizer.from_gguf(gguf).encode(text())
    settings = CpuConfig(
        sessions=2 + len(ranks or (8, 16)), threads=threads, kv="int8", prefix_bytes=0, kernel="compiled"
    )
    wanted = {f"rank {rank}": random_adapter(config, rank, seed=rank) for rank in ranks or (8, 16)}
    loaded = CpuModel(gguf, settings)
    # Of passes on one thread the time that other programs take need not be counted.
    clock, now_s = (thread_time_ns, process_time) if threads == 1 else (perf_counter_ns, perf_counter)
    decoding, reading = alone(loaded, {"without": None, **wanted}, ids, rounds, clock)
    _print("decode", decoding)
    _print(f"prefill of {4 * _PROMPT}", reading)
    *_, last = wanted.values()
    other = random_adapter(config, len(last.pairs["blk.0.attn_q.weight"].a), seed=0)
    mixes: dict[str, list[Adapter | None]] = {
        "without": [None, None],
        "one and without": [last, None],
        "two adapters": [last, other],
    }
    _print("two sessions in one batch", together(loaded, mixes, ids, rounds, now_s))


def _print(what: str, rates: Rates) -> None:
    for name, values in rates.items():
        ratio = median(values) / median(rates["without"])
        typer.echo(f"{what}, {name}: {median(values):.1f} tok/s, {ratio:.3f} of without")


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    try:
        typer.run(bench)
    except EXPECTED as error:
        typer.echo(f"llm.bench.adapters: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
