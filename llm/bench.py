"""`python -m llm.bench MODEL`: this engine beside llama.cpp, in one run on the same cores, by turns."""

import hashlib
import json as json_module
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from llm.bench_entry import LLAMA_CPP, Entry
from llm.bench_llama import LlamaCpp, LlamaCppError, library, system_info
from llm.bench_machine import machine
from llm.bench_plan import FULL, QUICK, SESSIONS, Material, Plan, read_material
from llm.bench_quality import draws, perplexities
from llm.bench_rounds import Timing
from llm.bench_sessions import fairness, throughput
from llm.bench_speculation import details, entries, replies
from llm.bench_speed import INT8, OURS, THEIRS, decode, follow_up, load, prompt
from llm.chat import ChatTemplateError
from llm.cpu import CpuConfig, CpuModel
from llm.engine import ContextFull, Engine
from llm.eval import EvalError
from llm.generate import GenerateConfig
from llm.gguf import GgufError, GgufFile, open_gguf
from llm.sample import BrokenLogits
from llm.tokenizer import Tokenizer, TokenizerError

DEFAULT_MODEL = "smollm2-135m-instruct-q4_1"


class BenchError(RuntimeError):
    """The bench cannot begin; the message says what is missing."""


EXPECTED: tuple[type[Exception], ...] = (
    BenchError,
    BrokenLogits,
    ChatTemplateError,
    ContextFull,
    EvalError,
    GgufError,
    LlamaCppError,
    OSError,  # only the file of results: what else is read raises an error of its own
    TokenizerError,
)


@dataclass(frozen=True)
class Results:
    """All that was measured, and one record for each reply; `without` says why there is no llama.cpp."""

    entries: tuple[Entry, ...]
    replies: tuple[dict[str, Any], ...]
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

    def open(self, **changes: Any) -> CpuModel:
        """The model with other settings; nothing is copied from a prefix store where it is to be computed."""
        exact = changes.get("weights") == "f32"  # half a gigabyte that is wanted once
        return CpuModel.load(self.gguf, replace(self.config, **changes), None if exact else self.cache)


def run(path: Path, plan: Plan, threads: int, timing: Timing, say: Callable[[str], None]) -> Results:
    """Measure everything; `say` gets the name of each part as it begins.

    Raises GgufError, TokenizerError, ChatTemplateError, EvalError, LlamaCppError, BrokenLogits, and
    BenchError for a model whose context is too short.
    """
    gguf = open_gguf(path)
    tokenizer = Tokenizer.from_gguf(gguf)
    config = CpuConfig(context=plan.context, threads=threads, prefix_bytes=0)
    with tempfile.TemporaryDirectory() as cache:
        material = read_material(gguf, tokenizer, plan)
        subject = Subject(gguf, tokenizer, material, plan, config, timing, Path(cache))
        without = _obstacle()
        say("loading")
        found = load(path, config, subject.cache, timing, theirs=without is None)
        found += _one_session(subject, say, theirs=without is None)
        spoken, records = _speculation(subject, say)
        say("drawing")
        found += [*spoken, draws(tokenizer, plan.draws)]
        say(f"{SESSIONS} sessions")
        found += _sessions(subject)
    return Results(tuple(found), tuple(records), without)


def _obstacle() -> str | None:
    try:
        library()
    except LlamaCppError as error:
        return str(error)
    return None


def _one_session(subject: Subject, say: Callable[[str], None], *, theirs: bool) -> list[Entry]:
    plan, timing, ids = subject.plan, subject.timing, subject.material.timed
    with ExitStack() as stack:
        ours = stack.enter_context(subject.open().open())
        if ours.context < plan.longest:
            raise BenchError(
                f"{subject.gguf.path}: a context of {ours.context} tokens; {plan.longest} are needed"
            )
        engines: dict[str, Engine] = {OURS: ours, INT8: stack.enter_context(subject.open(kv="int8").open())}
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
        found += follow_up(engines, ids, plan.held, plan.new, timing)
        say("perplexity")
        reference = stack.enter_context(subject.open(weights="f32").open())
        return found + perplexities(engines, reference, subject.material.text)


def _speculation(subject: Subject, say: Callable[[str], None]) -> tuple[list[Entry], list[dict[str, Any]]]:
    timing = replace(subject.timing, rounds=subject.plan.reply_rounds)
    config = GenerateConfig(max_tokens=subject.plan.reply)  # the assistant's own, but for a shorter --quick
    with subject.open().open() as engine:
        say("replies with and without speculation")
        rounds = replies(engine, subject.tokenizer, subject.material.questions, config, timing)
    with subject.open(weights="f32").open() as reference:
        return entries(rounds), details(rounds, subject.tokenizer, reference, config)


def _sessions(subject: Subject) -> list[Entry]:
    plan, timing = subject.plan, subject.timing
    prompts = [question.prompt for question in subject.material.questions[:SESSIONS]]
    model = subject.open(sessions=SESSIONS)
    neighbour = subject.material.timed[: plan.neighbour]
    return [
        throughput(model, prompts, plan.session_reply, timing),
        fairness(model, prompts[0], neighbour, plan.session_reply, timing),
    ]


def report(results: Results, path: Path, threads: int, now: datetime, *, quick: bool) -> dict[str, Any]:
    """Everything that --json writes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "threads": threads,
        "quick": quick,
        "model": {"name": path.name, "sha256": digest},
        "llama_cpp": {
            "missing": results.without,
            "built_for": None if results.without else system_info(),
        },
        "entries": [entry.to_dict() for entry in results.entries],
        "replies": list(results.replies),
    }


def table(found: Sequence[Entry]) -> Table:
    """For people: medians, and in brackets the least and the most of the rounds."""
    shown = Table("", "ours", "theirs", "ratio", "goal", "met", box=None, pad_edge=False)
    for entry in found:
        name = f"{entry.name}, {entry.unit}" if entry.unit else entry.name
        beside = "" if entry.against == LLAMA_CPP else f"beside: {entry.against}"
        below = [f"  {line}" for line in (beside, entry.note) if line]
        shown.add_row(
            "\n".join([name, *below]),
            _figure(entry.ours),
            _figure(entry.theirs),
            "-" if entry.ratio is None else f"{entry.ratio:.3g}",
            "\n".join(map(str, entry.goals)),
            {True: "yes", False: "MISSED", None: "-" if entry.goals else ""}[entry.ok],
        )
    return shown


def _figure(rounds: Sequence[float] | None) -> str:
    if not rounds:
        return "-"
    middle = f"{median(rounds):.4g}"
    return middle if len(rounds) == 1 else f"{middle} ({min(rounds):.4g}-{max(rounds):.4g})"


def default_model() -> Path:
    """Where the assistant keeps its model, by its own command, since this package does not know it."""
    folders = f"{Path(sys.executable).parent}"
    command = shutil.which("assistant", path=folders) or shutil.which("assistant")
    if command is None:
        raise BenchError("no `assistant` command to ask for the default model: name a GGUF file")
    done = subprocess.run(
        [command, "models", "path", DEFAULT_MODEL], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"`assistant models path {DEFAULT_MODEL}` failed: name a GGUF file")
    return Path(done.stdout.strip())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write all of it or nothing; raises OSError."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(json_module.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def bench(
    model: Annotated[Path | None, typer.Argument(help="A GGUF file; by default the assistant's.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A little of everything, to see that it works.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="For both engines.")] = 2,
) -> None:
    """Measure this engine beside llama.cpp, and say which goals are met."""
    if json and (json.is_dir() or not json.parent.is_dir()):
        raise BenchError(f"{json}: cannot be written (is a folder, or lies in none)")
    path = model or default_model()
    errors = Console(stderr=True)
    timing = Timing((QUICK if quick else FULL).rounds)
    results = run(path, QUICK if quick else FULL, threads, timing, lambda part: errors.print(f"{part} ..."))
    if json:
        write_json(json, report(results, path, threads, datetime.now(UTC), quick=quick))
    console = Console() if sys.stdout.isatty() else Console(width=150)
    console.print(table(results.entries))
    if results.without:
        console.print(f"Ours only: {results.without}", markup=False)


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    try:
        typer.run(bench)
    except EXPECTED as error:
        typer.echo(f"llm.bench: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
