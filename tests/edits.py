"""The changes that `tests.mutations` makes: ten that the gate has to catch, and ten that have to pass."""

from dataclasses import dataclass, field
from pathlib import Path

REPLY = "assistant/session/reply.py"
LISTENING = "assistant/session/listening.py"
TURN = "assistant/session/turn.py"
USER_TURN = "assistant/session/user_turn.py"
PIPELINE = "assistant/session/pipeline.py"
SINK = "assistant/session/sink.py"
POOL = "assistant/models/pool.py"
SPEECH = "assistant/session/turn_speech.py"


@dataclass(frozen=True)
class Change:
    """In `file`, `before` becomes `after`, at each of the `times` that it stands there."""

    file: str
    before: str
    after: str
    times: int = 1


@dataclass(frozen=True)
class Edit:
    """Changes of the program; `expected` is what the gate has to name first, "" where it has to pass.

    `stalled` where no recorded turn shows it, and the trace made by hand does.
    """

    name: str
    changes: tuple[Change, ...]
    expected: str = ""
    stalled: bool = field(default=False, kw_only=True)


def edited(edit: Edit, root: Path) -> dict[Path, str]:
    """What the files below `root` hold after the edit; raises ValueError if one is not as it was."""
    texts: dict[Path, str] = {}
    for change in edit.changes:
        path = root / change.file
        text = texts.get(path) or path.read_text(encoding="utf-8")
        if (found := text.count(change.before)) != change.times:
            raise ValueError(
                f"{edit.name}: {change.file} has {found} times, not {change.times}: {change.before}"
            )
        texts[path] = text.replace(change.before, change.after)
    return texts


MUTATIONS = (
    Edit(
        # At the voice's boundary: the recorded voice answers in the place of tts/stream.py.
        "the first chunk of a phrase takes 30 ms more",
        (
            Change(
                REPLY,
                "        async for phrase in self._phrases:\n",
                "        async for phrase in self._phrases:\n"
                "            await self._clock.sleep_until(self._clock.now_ns() + 30_000_000)\n",
            ),
        ),
        "tts.first_chunk",
    ),
    Edit(
        "nothing is read ahead",
        (Change(LISTENING, "            if wanted():\n", "            if False:\n"),),
        "llm.prefill",
    ),
    Edit(
        # All work begins later, so the turn ends later, too: its words are known later.
        "prepare_ms is 100 ms longer",
        (Change(TURN, "prepare_ms: int = 32\n", "prepare_ms: int = 132\n"),),
        "asr.final (begins)",
    ),
    Edit(
        # A word is a token or two; where a clause ends before it, the first phrase stays as it was.
        "the first phrase waits for one more word",
        (Change("tts/phrases.py", "first_max_words: int = 5 ", "first_max_words: int = 6 "),),
        "llm.first_phrase",
    ),
    Edit(
        # What a lock around both would do. Of a lone turn, the first phrase is there before the voice begins.
        "the language model runs on the voice's one thread",
        (Change(POOL, ".open(self._workers.llm, self._clock)", ".open(self._workers.tts, self._clock)"),),
        "tts.first_chunk",
    ),
    Edit(
        "the buffer of the playback is twice as long",
        (Change(SINK, "now_ns() + self._latency_ns", "now_ns() + 2 * self._latency_ns"),),
        "playback.start",
    ),
    Edit(
        "the final pass begins when the turn is decided",
        (
            Change(
                USER_TURN,
                "        async for utterance in self.utterances:\n",
                "        async for utterance in self.utterances:\n"
                "            await asyncio.wait([self._scoring])\n",
            ),
        ),
        "asr.final",
    ),
    Edit(
        # No edge of the graph fills in the recorded turns. Where the detector stalls, frames have to wait.
        "one frame may wait for the voice detector",
        (Change(PIPELINE, '"Frame", 100, ', '"Frame", 1, '),),
        "dropped_frames",
        stalled=True,
    ),
    Edit(
        "a reply's audio is dropped where there is no room",
        (Change(PIPELINE, '"SpeechChunk", 32)', '"SpeechChunk", 32, "drop_oldest")'),),
        "heard",
    ),
    Edit(
        "the turn is scored before it is transcribed",
        (
            Change(
                USER_TURN,
                "                final = await self._hearing.recognizer.final(utterance)\n",
                "                await self._hearing.scorer.probability(self._audio(None))\n"
                "                final = await self._hearing.recognizer.final(utterance)\n",
            ),
        ),
        "asr.final",
    ),
)

HARMLESS = (
    Edit("a local variable has another name", (Change(REPLY, "silent_so_far", "was_silent", 2),)),
    Edit("a private function has another name", (Change(REPLY, "_duration_ns(", "_length_ns(", 3),)),
    Edit("a comment", (Change(SPEECH, "# Guards\n", "# Guards: when a row of the table fits\n"),)),
    Edit(
        "another docstring",
        (Change(REPLY, '"""Silence, now."""', '"""Fall silent, now, and stay so."""'),),
    ),
    Edit(
        "a line in the log",
        (
            Change(REPLY, "import asyncio\n", "import asyncio\nimport logging\n"),
            Change(
                REPLY,
                "        self._released.set()\n",
                "        self._released.set()\n"
                '        logging.getLogger(__name__).info("reply %d is released", self.number)\n',
            ),
        ),
    ),
    Edit(
        "another order of imports",
        (
            Change(
                LISTENING,
                "from assistant.runtime import Channel, Urgency\nfrom assistant.session import turn\n",
                "from assistant.session import turn\nfrom assistant.runtime import Channel, Urgency\n",
            ),
        ),
    ),
    Edit(
        "an annotation",
        (Change(REPLY, "splitter = PhraseSplitter()\n", "splitter: PhraseSplitter = PhraseSplitter()\n"),),
    ),
    Edit(
        "a constant that nobody uses",
        (Change(SINK, "\n\ndef duration_ns", "\n_MOST_MS = 1000\n\n\ndef duration_ns"),),
    ),
    Edit(
        "a value with a name of its own",
        (
            Change(
                REPLY,
                "                    self._ahead_ns += _duration_ns(chunk)\n",
                "                    lasts_ns = _duration_ns(chunk)\n"
                "                    self._ahead_ns += lasts_ns\n",
            ),
        ),
    ),
    Edit(
        "an empty line",
        (Change(USER_TURN, "            text = final.text\n", "            text = final.text\n\n"),),
    ),
)
