"""`assistant replay`: clips in, a line a turn and a report out."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import typer

from assistant.commands.household import open_skills
from assistant.commands.preflight import check_file, readable_clips
from assistant.commands.record import recorded
from assistant.config import Config, read_config
from assistant.models.load import load_pool, locate
from assistant.models.store import ModelStore
from assistant.runtime import Clock, Recorder
from assistant.trace.perfetto import PerfettoError, write_perfetto
from assistant.trace.provenance import model_digests
from assistant.trace.replay import Line, Replay, Replayer, dealt
from assistant.trace.summary import ReportError, report, summary, turn_taking_lines, write_json
from assistant.trace.turns import ReplayedTurn


def run_replay(
    paths: list[Path],
    json: Path | None,
    perfetto: Path | None,
    otel: Literal["console", "otlp"] | None,
    conversation: bool,
    sessions: int,
    record: Path | None,
    config_path: Path | None,
) -> None:
    """Replay every clip under `paths`; raises the typed errors of what cannot be read or loaded."""
    config = read_config(config_path)
    config = replace(config, llm=replace(config.llm, sessions=max(sessions, config.llm.sessions)))
    clips = readable_clips(paths)
    check_file(json, ReportError)
    check_file(perfetto, PerfettoError)
    recorder = Recorder()
    with ExitStack() as stack:
        if otel:
            from assistant.trace.otel import exporter  # noqa: PLC0415  # optional, and slow to import

            recorder.exporters.append(stack.enter_context(exporter(otel)).export)
        lines = dealt(clips, conversation=conversation, sessions=sessions)
        result = play(lines, config, recorder, record=record, on_turn=print_turn)
    if json:
        write_json(json, report(result, model_digests(config)))
    if perfetto:
        write_perfetto(recorder.spans, perfetto)
    _print_summary(result)


def play(
    lines: Sequence[Line],
    config: Config,
    recorder: Recorder,
    *,
    record: Path | None = None,
    on_turn: Callable[[ReplayedTurn], None],
    say: Callable[[str], None] = typer.echo,
) -> Replay:
    """Load the models and replay `lines`; the trace goes to the folder `record`, as `say` is told.

    Raises TraceError.
    """
    clock = Clock()
    with (
        recorded(record, config, clock, recorder, say) as recording,
        open_skills(config, in_memory=True) as skills,
    ):
        tap = recording.tap if recording else None
        pool = load_pool(config, locate(config, ModelStore()), clock, tap, skills.open)
        try:
            replayer = Replayer(pool, config, clock, recorder, recording=recording, on_turn=on_turn)
            return asyncio.run(replayer.replay(lines))
        finally:
            pool.close()


def print_turn(turn: ReplayedTurn) -> None:
    """What came of a clip, in a few lines."""
    if not turn.transcript:
        typer.echo(f"{turn.file}: no speech")
        return
    waited = "no reply was heard" if turn.ttfa_ms is None else f"{turn.ttfa_ms:.0f} ms"
    notes = "".join(f" ({note})" for note in turn.notes)
    typer.echo(f"{turn.file}: {waited}{notes}\n  heard: {turn.transcript}\n  reply: {turn.reply}")


def _print_summary(result: Replay) -> None:
    numbers = summary(result)
    ttfa, lag = numbers["ttfa_ms"], numbers["event_loop_lag_ms"]
    if ttfa["p50"] is None:
        return
    typer.echo(f"\n{numbers['turns']} turns, {numbers['replies']} replies")
    typer.echo(f"time to first audio: p50 {ttfa['p50']:.0f} ms, p95 {ttfa['p95']:.0f} ms")
    for line in turn_taking_lines(numbers):
        typer.echo(line)
    if numbers["wer"] is not None:
        typer.echo(f"word error rate {numbers['wer']:.1%}")
    typer.echo(f"{numbers['underruns']} gaps in replies, {numbers['dropped_frames']} frames dropped")
    if numbers["cpu_cores"] is not None:
        typer.echo(f"{numbers['sessions']} at once, {numbers['cpu_cores']:.2f} cores busy on average")
    typer.echo(f"event loop late by {lag['p95']:.1f} ms (p95), {lag['max']:.1f} ms at the most")
