"""Cancellers in simulated rooms, beside each other."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console

from asr.recognizer import Recognizer
from asr.vad import Vad
from assistant.microphone.bench.arms import run_arm, seconds
from assistant.microphone.bench.far_end import replies
from assistant.microphone.bench.figures import detections, erle, voice, words
from assistant.microphone.bench.near_end import interrupting
from assistant.microphone.bench.report import Result, table
from assistant.microphone.bench.rooms import Room
from assistant.microphone.bench.scenes import Scene, scene
from assistant.models.speech import VAD, asr_paths, fetch, load_recognizer
from assistant.models.store import ModelStore
from assistant.trace.summary import write_json

ROOMS = (
    Room(-10, 60, 0.2, seed=41),
    Room(-10, 150, 0.5, drive=3, seed=42),
    Room(0, 100, 0.4, seed=43),
    Room(0, 200, 0.3, drive=3, seed=44),
    Room(6, 130, 0.3, seed=45),
    Room(6, 80, 0.6, drive=3, seed=46),
)
"""Of the report, all with a drift of 50 ppm."""
CHOOSING_ROOMS = (
    Room(-10, 60, 0.3, seed=1),
    Room(0, 100, 0.2, seed=2),
    Room(0, 200, 0.6, drive=2, seed=3),
    Room(6, 60, 0.4, drive=3, seed=4),
    Room(6, 140, 0.5, seed=5),
)


def scenes(options: argparse.Namespace) -> Iterator[Scene]:
    """A conversation in each room: replies that nobody interrupts, and then others with barge-ins."""
    count = options.alone + options.barge_ins
    spoken = replies(options.part, count)
    clips = interrupting(options.clips, options.part)
    rooms = ROOMS if options.part == "report" else CHOOSING_ROOMS
    every = max(1, len(clips) // max(1, options.barge_ins * len(rooms)))
    for number, room in enumerate(rooms):
        wanted = range(number * options.barge_ins, (number + 1) * options.barge_ins)
        over = [clips[at * every % len(clips)] for at in wanted]
        yield scene(room, spoken, [None] * options.alone + over)


def measure(name: str, of: Scene, vad: Vad, recognizer: Recognizer) -> Result:
    """One arm on one scene."""
    cleaned = run_arm(name, of)
    linear, detector = erle(of, cleaned.listen), erle(of, cleaned.detect)
    return Result(
        name,
        of.room.gain_db,
        of.room.drive > 0,
        tuple(detections(of, voice(vad, cleaned.detect))),
        tuple(first for first, _ in linear[:1]),
        tuple(later for _, later in linear),
        tuple(later for _, later in detector),
        tuple(words(of, recognizer, cleaned.listen)),
        1000 * cleaned.busy_s / seconds(of),
    )


def bench(options: argparse.Namespace, console: Console) -> None:
    """Measure and print. Raises AudioError, ClipError and ModelStoreError."""
    store = ModelStore()
    vad = Vad(fetch(store, [VAD])[VAD])
    recognizer = load_recognizer(asr_paths(store))
    results = [measure(name, each, vad, recognizer) for each in scenes(options) for name in options.arms]
    order = {name: place for place, name in enumerate(options.arms)}
    console.print(table(sorted(results, key=lambda result: order[result.arm])))
    if options.json:
        write_json(options.json, {"results": [asdict(result) for result in results]})
