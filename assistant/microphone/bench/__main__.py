"""The microphone's side: `python -m assistant.microphone.bench WHAT ...`.

    echo CLIPS...               cancellers in simulated rooms, beside each other
    room TOOLS CLIPS...         talk in live rooms: replies that nobody interrupts, and barge-ins
    latency TOOLS CLIPS...      the wait in a live room, beside that of a replay
    cost TOOLS                  what source, sink and cancellers take of a core
    endurance TOOLS CLIPS...    minutes of conversation with faults

TOOLS is the folder of room.sh and room.py, which make a room with PulseAudio; CLIPS are folders of clips
whose index names their voices.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from assistant.audio import AudioError, ClipError
from assistant.microphone.bench import cost, endurance, latency, live, simulated
from assistant.microphone.bench.arms import ARMS
from assistant.microphone.bench.far_end import replies
from assistant.microphone.bench.live_room import server
from assistant.microphone.bench.near_end import asking
from assistant.microphone.echo.aec import unsupported_reason
from assistant.models.speech import asr_paths, load_recognizer
from assistant.models.store import ModelStore, ModelStoreError


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m assistant.microphone.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whats = parser.add_subparsers(dest="what", required=True)
    made = {name: whats.add_parser(name) for name in ("echo", "room", "latency", "cost", "endurance")}
    for name, what in made.items():
        if name != "echo":
            what.add_argument("tools", type=Path, help="The folder of room.sh.")
            what.add_argument("--keep", type=Path, help="Keep recordings and logs in this folder.")
        if name != "cost":
            what.add_argument("clips", nargs="+", type=Path, help="Folders of clips.")
            what.add_argument(
                "--part", choices=["choose", "report"], default="report", help="Voices and rooms."
            )
    echo = made["echo"]
    echo.add_argument("--alone", type=int, default=10, help="Replies of each room that nobody interrupts.")
    echo.add_argument(
        "--barge-ins", type=int, default=10, help="Replies of each room that a user interrupts."
    )
    echo.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    echo.add_argument("--json", type=Path, help="Write all results.")
    made["room"].add_argument("--each", type=int, default=5, help="Replies, and barge-ins, of each room.")
    made["latency"].add_argument("--turns", type=int, default=20)
    made["endurance"].add_argument("--minutes", type=float, default=10)
    return parser.parse_args(arguments)


def bench(options: argparse.Namespace, folder: Path, console: Console) -> int:
    """Measure and print; the exit code."""
    match options.what:
        case "echo":
            simulated.bench(options, console)
        case "room":
            recognizer = load_recognizer(asr_paths(ModelStore()))
            tools, each = options.tools, options.each
            found = live.conversations(tools, folder, options.clips, options.part, each, recognizer)
            live.show(list(found), console)
        case "latency":
            clips = asking(options.clips, options.part)[: options.turns]
            latency.show(*latency.waits(options.tools, folder, clips), console)
        case "cost":
            with server(options.tools) as environment:
                share = cost.share_of_core(np.concatenate(replies("report", 4)), environment)
            console.print(f"source, sink and cancellers: {100 * share:.1f} % of a core")
        case "endurance":
            clips = asking(options.clips, options.part)
            went_on = endurance.endure(options.tools, folder, clips, options.minutes)
            return 0 if endurance.show(went_on, folder, console) else 1
    return 0


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    options = parse(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=150)
    if reason := unsupported_reason():
        raise SystemExit(f"assistant.microphone.bench: {reason}")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as temporary:
            raise SystemExit(bench(options, getattr(options, "keep", None) or Path(temporary), console))
    except (AudioError, ClipError, ModelStoreError, OSError) as error:
        raise SystemExit(f"assistant.microphone.bench: {error}") from error


if __name__ == "__main__":
    main()
