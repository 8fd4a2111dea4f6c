"""`assistant demo`: one recording in, a spoken reply out, and the waterfall of the wait between."""

import asyncio
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from assistant.audio import find_clips, read_clip, write_wav
from assistant.commands.household import open_skills
from assistant.commands.preflight import check_sound_file
from assistant.config import read_config
from assistant.models.load import load_pool, locate
from assistant.models.store import ModelStore
from assistant.runtime import Clock, Recorder
from assistant.runtime.machine import peak_memory_mb, seconds_since_start
from assistant.session.sink import PacedSink
from assistant.trace.replay import Replayer
from assistant.trace.turns import ReplayedTurn
from assistant.trace.waterfall import waterfall

_VOICE_RATE = 24000


def run_demo(path: Path, output: Path, config_path: Path | None) -> None:
    """Replay the first clip at `path` and write what was heard of the reply to `output`."""
    config = read_config(config_path)
    clip = find_clips(path)[0]
    read_clip(clip)  # in advance, before the models take their time
    check_sound_file(output)
    typer.echo("Loading the models ...")
    clock = Clock()
    turns: list[ReplayedTurn] = []
    sink = PacedSink(clock)
    with open_skills(config, in_memory=True) as skills:
        pool = load_pool(config, locate(config, ModelStore()), clock, skills=skills.open)
        typer.echo(f"Listening to {clip.path}, {seconds_since_start():.1f} s after the start ...")
        try:
            replayer = Replayer(pool, config, clock, Recorder(), on_turn=turns.append)
            asyncio.run(replayer.play([clip], sink))
        finally:
            pool.close()
    _show(turns[0], output, joined(sink))


def joined(sink: PacedSink) -> NDArray[np.float32]:
    """What sounded at the sink, without the silence before it."""
    pieces = [audio for _, audio in sink.recorded]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _show(turn: ReplayedTurn, output: Path, audio: NDArray[np.float32]) -> None:
    if not turn.transcript:
        typer.echo("no speech")
        return
    write_wav(output, audio, _VOICE_RATE)
    typer.echo(f"\nYou said:  {turn.transcript}")
    typer.echo(f"Reply:     {turn.reply}")
    typer.echo(f"\n{waterfall(turn.parts)}\n")
    typer.echo(f"The spoken reply is in {output} ({len(audio) / _VOICE_RATE:.1f} s).")
    typer.echo(f"Peak memory {peak_memory_mb():.0f} MB.")
