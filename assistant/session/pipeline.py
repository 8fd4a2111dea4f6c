"""The assistant's graph, in one table: every stage a turn goes through and every channel between."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.runtime import Edge, Graph, Node

if TYPE_CHECKING:  # `assistant graph` prints it without loading the models' libraries
    from assistant.session import turn
    from assistant.session.ring import Frame
    from assistant.session.stages import Plan, Utterance
    from llm.decode.generate import Generated
    from llm.decode.responder import Prompt
    from tts.stream import SpeechChunk


@dataclass(frozen=True)
class Transcript:
    """What the user said, and the reply to it if that needs no language model."""

    text: str
    plan: "Plan | None" = None


@dataclass(frozen=True)
class Phrase:
    """A piece of the reply that is spoken as a whole."""

    text: str


@dataclass(frozen=True)
class Due:
    """Something is to be done about the turn that begins at `start_sample`, with its latest audio, or with
    that up to `end_sample`."""

    start_sample: int
    end_sample: int | None = None


@dataclass(frozen=True)
class CommittedWords:
    """Words of the turn at `start_sample` that the recognizer will not take back; None: nobody speaks."""

    start_sample: int | None
    text: str


@dataclass(frozen=True)
class WordsSoFar:
    """All words of a partial transcript of the turn at `start_sample`."""

    start_sample: int
    text: str


SOURCE = Node("source", "session", "loop", "delivers 20 ms frames, 16 kHz mono, as they are recorded")
DETECT = Node("detect", "session", "vad", "keeps the latest audio, scores voice every 32 ms")
TURN = Node("turn", "session", "loop", "the turn machine; starts, releases and cancels replies")
RECOGNIZE = Node("recognize", "session", "asr", "partial transcripts while the user speaks")
READ_AHEAD = Node("read_ahead", "session", "llm", "committed words into the KV cache")
REHEARSE = Node("rehearse", "session", "tts", "the reply to a command that is complete so far, into audio")
TRANSCRIBE = Node("transcribe", "turn", "asr", "the final transcript of the turn")
SCORE = Node("score", "turn", "asr", "how complete the turn sounds")
ASSEMBLE = Node("assemble", "reply", "loop", "a skill's plan, or history and transcript to token ids")
GENERATE = Node("generate", "reply", "llm", "the reply token by token, or the plan once released")
PHRASE = Node("phrase", "reply", "loop", "tokens to phrases that can be spoken")
SPEAK = Node("speak", "reply", "tts", "phrases to chunks of audio")
PLAY = Node("play", "reply", "loop", "waits for the release, paces the sink, knows what was heard")

FRAMES: "Edge[Frame]" = Edge("frames", (SOURCE,), DETECT, "Frame", 100, "drop_oldest")
EVENTS: "Edge[turn.Event]" = Edge("events", (SOURCE, DETECT, TRANSCRIBE, SCORE, PLAY), TURN, "turn.Event", 64)
PARTIALS: "Edge[Due]" = Edge("partials", (TURN,), RECOGNIZE, "Due", 1, "drop_oldest")
COMMITTED: "Edge[CommittedWords]" = Edge(
    "committed", (RECOGNIZE,), READ_AHEAD, "CommittedWords", 1, "drop_oldest"
)
SO_FAR: "Edge[WordsSoFar]" = Edge("so_far", (RECOGNIZE,), REHEARSE, "WordsSoFar", 1, "drop_oldest")
UTTERANCES: "Edge[Utterance]" = Edge("utterances", (TURN,), TRANSCRIBE, "Utterance", 1)
SCORES: "Edge[Due]" = Edge("scores", (TURN,), SCORE, "Due", 1, "drop_oldest")
TRANSCRIPTS: "Edge[Transcript | None]" = Edge(
    "transcripts", (TRANSCRIBE, TURN), ASSEMBLE, "Transcript | None", 1
)
PROMPTS: "Edge[Prompt | Plan]" = Edge("prompts", (ASSEMBLE,), GENERATE, "Prompt | Plan", 1)
GENERATED: "Edge[Generated]" = Edge("generated", (GENERATE,), PHRASE, "Generated", 16)
PHRASES: "Edge[Phrase]" = Edge("phrases", (PHRASE,), SPEAK, "Phrase", 4)
AUDIO: "Edge[SpeechChunk]" = Edge("audio", (SPEAK,), PLAY, "SpeechChunk", 32)

GRAPH = Graph(
    nodes=(
        SOURCE,
        DETECT,
        TURN,
        RECOGNIZE,
        READ_AHEAD,
        REHEARSE,
        TRANSCRIBE,
        SCORE,
        ASSEMBLE,
        GENERATE,
        PHRASE,
        SPEAK,
        PLAY,
    ),
    edges=(
        FRAMES,
        EVENTS,
        PARTIALS,
        COMMITTED,
        SO_FAR,
        UTTERANCES,
        SCORES,
        TRANSCRIPTS,
        PROMPTS,
        GENERATED,
        PHRASES,
        AUDIO,
    ),
)
