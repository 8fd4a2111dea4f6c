"""The whole bench, part by part, with no more models loaded at once than a part compares."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from llm.bench.entry import Entry
from llm.bench.llama import LlamaCpp, LlamaCppError
from llm.bench.plan import SESSIONS, Material, Plan, read_material
from llm.bench.rounds import Timing
from llm.bench.sessions import fairness, throughput
from llm.bench.speculation import entries, replies
from llm.bench.speed import F32, OURS, THEIRS, decode, follow_up, load, prompt
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.engine import Engine
from llm.decode.generate import GenerateConfig
from llm.gguf.config import read_config
from llm.gguf.file import GgufFile, open_gguf
from llm.serve.kv_type import KvType
from llm.text.tokenizer import Tokenizer


class BenchError(RuntimeError):
    """The bench cannot begin; the message says what is missing."""


@dataclass(frozen=True)
class Results:
    """All that was measured; `without` says why there is no llama.cpp."""

    entries: tuple[Entry, ...]
    without: str | None


@dataclass(frozen=True)
class Subject:
    """What is measured, with what, and where its prepared graphs lie while the bench runs."""

    gguf: GgufFile
    tokenizer: Tokenizer
    material: Material
    plan: Plan
    config: CpuConfig
    timing: Timing
    cache: Path

    def open(self, kv: KvType = "int8", sessions: int = 1) -> CpuModel:
        """The model as users have it, but without a prefix store: what is timed must be computed."""
        return CpuModel(self.gguf, replace(self.config, kv=kv, sessions=sessions), self.cache)


def run(path: Path, plan: Plan, threads: int, timing: Timing, say: Callable[[str], None]) -> Results:
    """Measure everything; `say` gets the name of each part as it begins.

    Raises GgufError, TokenizerError, ChatTemplateError, EvalError, LlamaCppError, BrokenLogits, and
    BenchError for a model whose context is too short.
    """
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    if (context := read_config(gguf).context) < plan.longest:
        raise BenchError(f"{path}: a context of {context} tokens; {plan.longest} are needed")
    config = CpuConfig(context=plan.context, threads=threads, prefix_bytes=0)
    with tempfile.TemporaryDirectory() as cache:
        material = read_material(gguf, tokenizer, plan)
        subject = Subject(gguf, tokenizer, material, plan, config, timing, Path(cache))
        without = _llama_cpp_missing(path, config)
        say("loading")
        found = load(path, config, subject.cache, timing, theirs=without is None)
        found += _one_session(subject, say, theirs=without is None)
        found += _speculation(subject, say)
        say(f"{SESSIONS} sessions")
        found += _sessions(subject)
    return Results(tuple(found), without)


def _llama_cpp_missing(path: Path, config: CpuConfig) -> str | None:
    """Why there can be no llama.cpp to compare with."""
    try:
        LlamaCpp(path, config.context, config.threads or 1).close()
    except LlamaCppError as error:
        return str(error)
    return None


def _one_session(subject: Subject, say: Callable[[str], None], *, theirs: bool) -> list[Entry]:
    plan, timing, ids = subject.plan, subject.timing, subject.material.timed
    with ExitStack() as stack:
        ours = stack.enter_context(subject.open().open())
        engines: dict[str, Engine] = {OURS: ours, F32: stack.enter_context(subject.open(kv="f32").open())}
        if theirs:
            config = subject.config
            llama = LlamaCpp(subject.gguf.path, ours.context, config.threads or 1)
            engines[THEIRS] = stack.enter_context(llama)
        found: list[Entry] = []
        for depth in plan.depths:
            say(f"decoding at {depth} tokens")
            found += decode(engines, ids, depth, plan.steps, timing)
        say("reading a prompt")
        found += prompt(engines, ids, plan.prompt, timing)
        return found + follow_up(engines, ids, plan.held, plan.new, timing)


def _speculation(subject: Subject, say: Callable[[str], None]) -> list[Entry]:
    timing = replace(subject.timing, rounds=subject.plan.reply_rounds)
    config = GenerateConfig(max_tokens=subject.plan.reply)  # the assistant's own, but for a shorter --quick
    with subject.open().open() as engine:
        say("replies with and without speculation")
        return entries(replies(engine, subject.tokenizer, subject.material.questions, config, timing))


def _sessions(subject: Subject) -> list[Entry]:
    plan, timing = subject.plan, subject.timing
    prompts = [question.prompt for question in subject.material.questions[:SESSIONS]]
    model = subject.open(sessions=SESSIONS)
    neighbour = subject.material.timed[: plan.neighbour]
    return [
        throughput(model, prompts, plan.session_reply, timing),
        fairness(model, prompts[0], neighbour, plan.session_reply, timing),
    ]
