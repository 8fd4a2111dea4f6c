"""`python -m llm.bench.remote URL`: what a server's prefix cache gives a conversation.

A conversation is asked turn by turn as `[llm.remote]` asks it, each request behind all of the one before; and
once more with another system prompt at each turn. That is the control: as many tokens, none of them cached.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx2
import typer

from llm.bench.prefix import TURNS, Measured, measure
from llm.bench.run import BenchError
from llm.remote.config import RemoteConfig, RemoteError
from llm.remote.sse import MalformedEvent


def table(measured: Mapping[str, Measured]) -> list[str]:
    """A line for each turn, with medians over the rounds; "-" is what the server does not tell."""
    lines = ["turn  prompt tokens  cached  first token ms, kept  broken"]
    turns = (zip(*measured[way].rounds, strict=True) for way in ("kept", "broken"))
    for number, (kept, broken) in enumerate(zip(*turns, strict=True), 1):
        tokens, cached = (
            _told([one.prompt_tokens for one in kept]),
            _told([one.cached_tokens for one in kept]),
        )
        ms, broken_ms = (median(one.first_token_ms for one in way) for way in (kept, broken))
        lines.append(f"{number:4}  {tokens:>13}  {cached:>6}  {ms:20.0f}  {broken_ms:6.0f}")
    return lines


def _told(counts: Sequence[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return f"{median(known):.0f}" if known else "-"


def _later_ms(measured: Measured) -> float:
    """The median from the second turn on: nothing of the first can be cached."""
    return median(one.first_token_ms for asked in measured.rounds for one in asked[1:])


def bench(
    url: Annotated[str, typer.Argument(help="Up to the version: http://127.0.0.1:8000/v1.")],
    model: Annotated[str, typer.Option(help="The server's name for the model.")] = "",
    key: Annotated[str, typer.Option(envvar="ASSISTANT_REMOTE_KEY", help="The server's key.")] = "",
    turns: Annotated[int, typer.Option(min=2, help="Of the conversation.")] = len(TURNS),
    rounds: Annotated[int, typer.Option(min=1, help="Kept and broken by turns; medians count.")] = 3,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write every request here.")] = None,
) -> None:
    """Print prompt and cached tokens and the time to the first token, with the prefix kept and broken."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        measured = asyncio.run(measure(RemoteConfig(url, model), turns, rounds, headers))
    except httpx2.HTTPError as error:
        raise BenchError(f"{url}: {error or type(error).__name__}") from None
    for line in table(measured):
        typer.echo(line)
    for way, one in measured.items():
        if one.hit_rate is not None:
            typer.echo(f"the server's prefix cache, {way}: {one.hit_rate:.1%} of the tokens")
    kept, broken = (_later_ms(measured[way]) for way in ("kept", "broken"))
    typer.echo(f"median from turn 2 on: {kept:.0f} ms kept, {broken:.0f} ms broken")
    if json_path:
        json_path.write_text(json.dumps({way: asdict(one) for way, one in measured.items()}, indent=1))


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    try:
        typer.run(bench)
    except (BenchError, RemoteError, MalformedEvent, OSError) as error:
        typer.echo(f"llm.bench.remote: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
