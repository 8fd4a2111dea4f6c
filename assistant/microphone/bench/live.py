"""Replies over an open loudspeaker, and users who speak over them, in live rooms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from asr.eval.score import WordErrors, total
from asr.recognizer import Recognizer
from assistant.audio import Clip
from assistant.microphone.bench.far_end import TEXTS, Part
from assistant.microphone.bench.live_figures import Turn, paired, transcripts, turns
from assistant.microphone.bench.live_room import Said, converse
from assistant.microphone.bench.narrator import narrator
from assistant.microphone.bench.near_end import asking, interrupting
from assistant.microphone.bench.rooms import Room

ROOMS = (
    Room(-10, 60, 0.2, seed=31),
    Room(-10, 150, 0.5, drive=3, seed=32),
    Room(0, 100, 0.4, seed=33),
    Room(0, 200, 0.3, drive=3, seed=34),
    Room(6, 130, 0.3, seed=35),
    Room(6, 80, 0.6, drive=3, seed=36),
)
"""All with a drift of 50 ppm. A delay is that of the air; the devices' buffers come on top."""
_AFTER_QUIET_S = 1.0
_INTO_REPLY_S = 1.5
_WHOLE_REPLY_S = 8.0  # TEXTS take the assistant's voice 8.3 to 10.9 s
_LAST_WORDS_HEARD = 3  # of four: the recognizer may miss one
_LONGEST_GAP_S = 1.0
_STARTED_S = 6.0  # by then the program listens


@dataclass(frozen=True)
class Conversation:
    """What was found in one room."""

    room: Room
    turns: tuple[Turn, ...]
    errors: tuple[WordErrors, ...]
    """In the words of each clip."""
    nobodys: tuple[str, ...]
    """Transcripts of what nobody said."""

    @property
    def undisturbed(self) -> list[Turn]:
        """Turns whose replies nobody interrupted."""
        following = [turn.over_reply for turn in self.turns[1:]] + [False]
        return [turn for turn, over in zip(self.turns, following, strict=True) if not over]

    @property
    def cut(self) -> list[Turn]:
        """Undisturbed replies that were cut off.

        A reply is cut off if it lasts less than 8 s, whatever words are heard; if fewer than three of its
        last four words are heard; or if there is a gap of more than a second in it.
        """
        return [turn for turn in self.undisturbed if _is_cut(turn)]

    @property
    def barge_ins(self) -> list[Turn]:
        """Turns that began over a reply."""
        return [turn for turn in self.turns if turn.over_reply]


def _is_cut(turn: Turn) -> bool:
    return (
        turn.reply_s < _WHOLE_REPLY_S
        or turn.last_words_heard < _LAST_WORDS_HEARD
        or turn.longest_gap_s > _LONGEST_GAP_S
    )


def conversations(
    tools: Path, folder: Path, clips: Sequence[Path], part: Part, each: int, recognizer: Recognizer
) -> Iterator[Conversation]:
    """In every room `each` questions whose replies are heard out, and then as many clips over replies."""
    questions, over = asking(clips, part), interrupting(clips, part)
    config = folder / "talk.toml"
    folder.mkdir(parents=True, exist_ok=True)
    with narrator(TEXTS[part]) as url:
        config.write_text(f'[llm.remote]\nurl = "{url}"\nmodel = "narrator"\n', encoding="utf-8")
        for number, room in enumerate(ROOMS):
            span = range(number * each, (number + 1) * each)
            said = script(
                [questions[at % len(questions)] for at in span], [over[at % len(over)] for at in span]
            )
            kept = folder / f"room-{number}"
            recorded = converse(tools, kept, room, said, ["--config", str(config)])
            heard = turns(recorded, TEXTS[part], recognizer)
            errors, nobodys = paired([turn.said for turn in heard], transcripts(recorded))
            yield Conversation(room, tuple(heard), tuple(errors), tuple(nobodys))


def script(questions: Sequence[Clip], over: Sequence[Clip]) -> list[Said]:
    """Each question when all is quiet; then each other clip over the reply to the one before."""
    said = [Said(clip, f"quiet+{_AFTER_QUIET_S}") for clip in questions]
    said[0] = Said(questions[0], str(_STARTED_S))
    return [*said, *(Said(clip, f"speaker+{_INTO_REPLY_S}") for clip in over)]


def table(found: Sequence[Conversation]) -> Table:
    """A row for each room."""
    made = Table(title="Live rooms")
    headings = ("echo dB", "delay", "T60", "replies", "cut", "nobody's", "barge-ins")
    for heading in (
        *headings,
        "<= 300",
        "<= 600",
        "<= 1000 ms",
        "decided to silent, p50 max",
        "WER %",
        "words",
    ):
        made.add_column(heading, justify="right")
    for each in found:
        room = each.room
        name = f"{room.gain_db:+.0f}{' clip' if room.drive else ''}"
        made.add_row(name, f"{room.delay_ms:.0f}", f"{room.t60_s}", *_cells([each]))
    made.add_row("all", "", "", *_cells(found), style="bold")
    return made


def _cells(found: Sequence[Conversation]) -> list[str]:
    barges = [turn for each in found for turn in each.barge_ins]
    decided = np.array([np.inf if turn.decided_ms is None else turn.decided_ms for turn in barges])
    fading = [
        turn.silent_ms - turn.decided_ms
        for turn in barges
        if turn.silent_ms and turn.decided_ms and turn.silent_ms > turn.decided_ms  # no pause of the reply's
    ]
    errors = total(
        error
        for each in found
        for turn, error in zip(each.turns, each.errors, strict=True)
        if turn.over_reply
    )
    return [
        str(sum(len(each.undisturbed) for each in found)),
        str(sum(len(each.cut) for each in found)),
        str(sum(len(each.nobodys) for each in found)),
        str(len(barges)),
        *(f"{100 * (decided <= ms).mean():.0f} %" if len(barges) else "-" for ms in (300, 600, 1000)),
        f"{np.median(fading):.0f} {max(fading):.0f}" if fading else "-",
        f"{100 * errors.wer:.1f}",
        str(errors.reference_words),
    ]


def show(found: Sequence[Conversation], console: Console) -> None:
    """The table, and each reply that was cut and each transcript of nobody's."""
    console.print(table(found))
    for each in found:
        for turn in each.cut:
            console.print(f"{each.room.gain_db:+.0f} dB: cut after {turn.reply_s:.1f} s: {turn.heard[-80:]}")
        for words in each.nobodys:
            console.print(f"{each.room.gain_db:+.0f} dB: nobody said: {words}")
