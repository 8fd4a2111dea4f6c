"""Whether a language model suits this machine: its speed here, beside what speech takes."""

from dataclasses import dataclass
from statistics import median

from assistant.config import LlmConfig
from assistant.models.engine import load_model, warm_up
from llm.eval.data import prompts, text
from llm.eval.quick import QuickSpeed, quick_speed
from llm.gguf import GgufFile
from llm.text import ChatTemplate, Message, Tokenizer

# The default voice at speed 1 on the first 40 of `llm.eval.data.sentences`: 232 s with their pauses.
# On the replies of the default model to `prompts` it was 16.5: the text is the harder case.
SPEECH_CHARS_PER_S = 19.0
# The densest of those sentences took 1.42 times as many tokens a second as all together.
DENSEST = 1.42
# Tokens until `PhraseSplitter` lets the first phrase go: the median of the same sentences; 6 in the replies.
FIRST_PHRASE_TOKENS = 8


@dataclass(frozen=True)
class Suitability:
    """A model's measured speed, and what a spoken conversation takes of it.

    speech_tokens_per_s: of the model's own tokens, while the voice speaks. turn_tokens: of the prompt, for
    what the user said last, chat template included.
    """

    device: str
    speed: QuickSpeed
    speech_tokens_per_s: float
    turn_tokens: int

    @property
    def ratio(self) -> float:
        """How many times as fast as speech it writes."""
        return self.speed.decode_tokens_per_s / self.speech_tokens_per_s

    @property
    def first_phrase_s(self) -> float:
        """From the transcript until the first phrase can be spoken, if nothing of the turn was read ahead."""
        read = self.turn_tokens / self.speed.prefill_tokens_per_s
        return read + FIRST_PHRASE_TOKENS / self.speed.decode_tokens_per_s

    @property
    def verdict(self) -> str:
        """Whether replies keep ahead of the voice."""
        if self.ratio < 1:
            return "too slow: every longer reply is spoken with gaps"
        if self.ratio < DENSEST:
            return "just fast enough: there can be gaps in dense sentences"
        return "fast enough for speech without gaps"


def measure_suitability(gguf: GgufFile, config: LlmConfig) -> Suitability:
    """Load the model as a conversation would and time it for a few seconds.

    Raises GgufError, TokenizerError, ChatTemplateError, EngineOutOfMemory and CudaBroken.
    """
    tokenizer = Tokenizer.from_gguf(gguf)
    template = ChatTemplate.from_gguf(gguf, tokenizer)
    ids = tokenizer.encode(text())
    loaded = load_model(config, gguf)
    engine = loaded.model.open()
    try:
        if loaded.device == "cuda":  # where the first pass of a kind is compiled
            warm_up(engine)
        speed = quick_speed(engine, ids)
    finally:
        engine.close()
    return Suitability(
        loaded.device,
        speed,
        SPEECH_CHARS_PER_S * len(ids) / len(text()),
        _turn_tokens(template, config.system_prompt),
    )


def suitability_lines(found: Suitability) -> list[str]:
    """What was measured, and the verdict."""
    speed, need = found.speed, found.speech_tokens_per_s
    place = {"cpu": "CPU", "cuda": "GPU"}[found.device]
    reads = f"reads {speed.prefill_tokens_per_s:.3g} tokens a second in a prompt of {speed.prompt_tokens}"
    first = f"{found.turn_tokens} tokens to read and {FIRST_PHRASE_TOKENS} to write"
    return [
        f"on the {place} it {reads}, and writes {speed.decode_tokens_per_s:.3g} a second",
        f"speech takes about {need:.2g} tokens a second; it writes {found.ratio:.2g} times as many",
        f"the first phrase of a reply takes about {found.first_phrase_s:.2g} s: {first}",
        found.verdict,
    ]


def _turn_tokens(template: ChatTemplate, system_prompt: str) -> int:
    """The median over everyday prompts of what they add to the system prompt, which is read in advance."""
    system = [Message("system", system_prompt)]
    before = len(template.ids(system, add_generation_prompt=False))
    return round(median(len(template.ids([*system, Message("user", said)])) - before for said in prompts()))
