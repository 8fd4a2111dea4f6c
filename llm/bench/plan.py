"""How much the bench does, and on what."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, cycle, islice

from llm.bench.sessions import CHUNK
from llm.bench.speculation import Kind, Question
from llm.eval.data import text
from llm.eval.predict import EvalError
from llm.gguf.file import GgufFile
from llm.text.chat import ChatTemplate, Message
from llm.text.conversation import SYSTEM_PROMPT
from llm.text.tokenizer import Tokenizer

_DATA = files("llm") / "data"
SESSIONS = 4


@dataclass(frozen=True)
class Plan:
    """Sizes, in tokens where nothing else is said."""

    rounds: int = 5
    context: int = 2048
    depths: tuple[int, ...] = (128, 1024)
    steps: int = 32
    prompt: int = 512
    held: int = 400
    new: int = 12
    questions: int = 25  # of each kind
    reply: int = 72
    reply_rounds: int = 3
    session_reply: int = 64
    neighbour: int = 1024

    @property
    def longest(self) -> int:
        """The longest sequence that the timings need."""
        return max(max(self.depths) + self.steps, self.prompt, self.held + self.new, self.neighbour + CHUNK)


FULL = Plan()
QUICK = Plan(
    rounds=1,
    context=1024,
    depths=(32, 128),
    steps=8,
    prompt=128,
    held=100,
    questions=3,
    reply=24,
    reply_rounds=1,
    session_reply=16,
    neighbour=256,
)


@dataclass(frozen=True)
class Material:
    """The questions, and in `timed` the text again and again, in a model's tokens."""

    timed: Sequence[int]
    questions: Sequence[Question]


def read_material(gguf: GgufFile, tokenizer: Tokenizer, plan: Plan) -> Material:
    """Questions of both kinds alternate. Raises GgufError, ChatTemplateError, and EvalError for a
    vocabulary without letters.
    """
    ids = tokenizer.encode(text())
    if len(ids) < 2:
        raise EvalError(f"{gguf.path}: the vocabulary has no tokens for English text")
    template = ChatTemplate.from_gguf(gguf, tokenizer)

    def ask(kind: Kind, name: str) -> list[Question]:
        lines = (_DATA / name).read_text(encoding="ascii").splitlines()[: plan.questions]
        system = Message("system", SYSTEM_PROMPT)
        return [Question(kind, line, template.ids([system, Message("user", line)])) for line in lines]

    both = zip(ask("chat", "free_chat.txt"), ask("repeat", "repeating.txt"), strict=True)
    timed = list(islice(cycle(ids), plan.longest + 1))
    return Material(timed, list(chain.from_iterable(both)))
