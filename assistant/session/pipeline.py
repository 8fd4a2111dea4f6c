"""The assistant's graph, in one table: every stage a turn goes through and every channel between."""

from assistant.runtime.graph import Edge, Graph, Node

GRAPH = Graph(
    nodes=(
        Node("source", "session", "loop", "delivers 20 ms frames, 16 kHz mono, as they are recorded"),
        Node("listen", "session", "vad", "keeps the audio of the turn, scores voice every 32 ms"),
        Node("turn", "session", "loop", "the turn machine; starts, commits and cancels replies"),
        Node("transcribe", "reply", "asr", "the final transcript of the turn"),
        Node("assemble", "reply", "loop", "history and transcript to token ids"),
        Node("think", "reply", "llm", "prefill, then the reply token by token"),
        Node("phrase", "reply", "loop", "tokens to phrases that can be spoken"),
        Node("speak", "reply", "tts", "phrases to chunks of audio"),
        Node("play", "reply", "loop", "waits for the commit, paces the sink, knows what was heard"),
    ),
    edges=(
        Edge("frames", ("source",), "listen", "Frame", 100, "drop_oldest"),
        Edge("events", ("listen", "transcribe", "think", "play"), "turn", "turn.Event", 64),
        Edge("turns", ("turn",), "transcribe", "Utterance", 1),
        Edge("transcripts", ("transcribe",), "assemble", "Transcript", 1),
        Edge("prompts", ("assemble",), "think", "Prompt", 1),
        Edge("generated", ("think",), "phrase", "Generated", 16),
        Edge("phrases", ("phrase",), "speak", "Phrase", 4),
        Edge("audio", ("speak",), "play", "SpeechChunk", 32),
    ),
)
