"""Fit what ends a turn, and say how good it is: `python -m assistant.endpointing FOLDER...`.

Each FOLDER has labelled clips and an index.json with their file, text, voice, sample_rate, speech_end_sample,
pauses and pause_kinds. Our own requests, which are spoken first, are fitted on, too.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from assistant.audio import AudioError, Clip, ClipError
from assistant.config import Config
from assistant.endpointing import report
from assistant.endpointing.clips import Part, parts_of
from assistant.endpointing.corpus import REQUESTS, read_requests, write_corpus
from assistant.endpointing.fit import NAMES, counted, fit_all
from assistant.endpointing.hear import Hearing
from assistant.endpointing.judge import judge
from assistant.endpointing.points import Point, Turn, turn_of
from assistant.models.store import ModelStoreError
from assistant.text_file import read_text

_SEED = 7
_RECORDED = "all clips of the folders"


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    options = _parse(sys.argv[1:])
    try:
        _run(options)
    except (AudioError, ClipError, ModelStoreError, OSError) as error:
        raise SystemExit(f"assistant.endpointing: {error}") from error


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m assistant.endpointing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="Labelled clips.")
    parser.add_argument("--report", action="store_true", help="Judge on the report's part, too: once.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write weights and figures.")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> None:
    config = Config()
    hearing = Hearing(config)
    with tempfile.TemporaryDirectory(prefix="requests-") as own:
        write_corpus(Path(own), read_requests(read_text(REQUESTS)), _SEED)
        parts = parts_of([*options.folders, Path(own)])
        if not options.report:
            del parts["report"]
        heard = {part: _heard(part, clips, hearing) for part, clips in parts.items()}
        recorded = [turn for of in heard.values() for clip, turn in of if clip.path.parent != Path(own)]
    turns: dict[str, list[Turn]] = {part: [turn for _, turn in of] for part, of in heard.items()}
    fits = fit_all(_points(turns["fit"]), _points(turns["choose"]))
    judged = {part: judge(of, fits, config.turn) for part, of in {**turns, _RECORDED: recorded}.items()}
    for line in report.constants(fits):
        print(line)
    for part, of in judged.items():
        print(*report.figures(part, of), sep="\n")
    if options.json:
        found = {
            "weights": dict(zip(NAMES, fits.words.weights.tolist(), strict=True)),
            "sound": fits.both.weights[[-1, 0, 1]].tolist(),
            "reading": fits.read.weights[[-1, 0, 1]].tolist(),
            "read_sound": fits.heard.weights[[-1, 0, 1]].tolist(),
            "penalties": [fits.words.penalty, fits.both.penalty, fits.read.penalty, fits.heard.penalty],
            "parts": {part: asdict(of) for part, of in judged.items()},
        }
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _heard(part: Part, clips: Sequence[Clip], hearing: Hearing) -> list[tuple[Clip, Turn]]:
    print(f"{part}: {len(clips)} clips", file=sys.stderr)
    return [(clip, turn_of(clip, hearing)) for clip in clips]


def _points(turns: Sequence[Turn]) -> list[Point]:
    return [point for turn in turns for point in counted(turn.points)]


if __name__ == "__main__":
    main()
