"""The bench's arithmetic on a virtual clock and by hand, its file of results, and its bad input."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from llama_files import SMALL, write_llama
from rich.console import Console

from llm.bench import __main__ as bench
from llm.bench import llama as bench_llama
from llm.bench.entry import Entry, Goal
from llm.bench.llama import LlamaCpp, LlamaCppError
from llm.bench.plan import FULL
from llm.bench.report import report, table, write_json
from llm.bench.rounds import Timing, by_turns
from llm.bench.run import Results
from llm.bench.speculation import Pair, Question, Reply, copied, entries, replies
from llm.bench.speed import decode, follow_up, prompt
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode.engine import ContextFull
from llm.decode.generate import GenerateConfig
from llm.decode.speculate import Speculated
from llm.gguf.file import open_gguf
from llm.text.tokenizer import Tokenizer

MODEL = "smollm2-135m-instruct-q4_1"


class Clock:
    """Stands still but for what engines take; remembers how often silence was kept."""

    def __init__(self) -> None:
        self.ns = 0
        self.slept: list[float] = []

    def timing(self, rounds: int) -> Timing:
        return Timing(rounds, lambda: self.ns, self.slept.append)


class PacedEngine:
    """Takes `ms` a token, times the next of `pace` for each call; after token t it holds t + 1 likeliest."""

    context = 4096

    def __init__(self, clock: Clock, ms: float, pace: Iterator[float] | None = None) -> None:
        self.tokens: list[int] = []
        self.calls: list[int] = []
        self._clock, self._ms, self._pace = clock, ms, pace

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> np.ndarray:
        if len(self.tokens) + len(tokens) > self.context:
            raise ContextFull(len(self.tokens) + len(tokens), self.context)
        factor = next(self._pace) if self._pace else 1.0
        self._clock.ns += round(1e6 * self._ms * len(tokens) * factor)
        self.calls.append(len(tokens))
        self.tokens += tokens
        return np.eye(300, k=1, dtype=np.float32)[self.tokens[len(self.tokens) - logits_for :]]

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def shift(self, start: int, stop: int) -> None:
        raise AssertionError("nothing is to be cut")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    return write_llama(folder / "small.gguf", replace(SMALL, head_dim=16, context=1024))


@pytest.fixture
def no_llama(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if llama-cpp-python were not installed."""
    bench_llama.library.cache_clear()
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.setitem(sys.modules, "llama_cpp.llama_cpp", None)
    yield
    bench_llama.library.cache_clear()


@pytest.fixture(scope="module")
def llama_cpp() -> Iterator[None]:
    """llama-cpp-python, if it is there, without the files that it opens and leaves open."""
    pytest.importorskip("llama_cpp")
    yield
    utils = importlib.import_module("llama_cpp._utils")
    utils.outnull_file.close()
    utils.errnull_file.close()


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["llm.bench", *arguments])
    with pytest.raises(SystemExit) as exit_:
        bench.main()
    code = exit_.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def test_by_turns_warms_up_and_reverses() -> None:
    order: list[str] = []

    def contender(name: str) -> Callable[[], float]:
        def measure() -> float:
            order.append(name)
            return float(len(order))

        return measure

    values = by_turns({"a": contender("a"), "b": contender("b")}, 3)
    assert "".join(order) == "baabbaab"
    assert values == {"a": (3.0, 6.0, 7.0), "b": (4.0, 5.0, 8.0)}


@pytest.mark.parametrize(
    ("ours", "theirs", "goals", "ratio", "ok"),
    [
        ((90.0, 120.0, 100.0), (50.0, 40.0, 60.0), (Goal("ratio", ">=", 2.0),), 2.0, True),
        ((90.0, 99.0, 100.0), (50.0,), (Goal("ratio", ">=", 2.0),), 1.98, False),
        ((30.0,), (100.0,), (Goal("ours", "<=", 40.0), Goal("ratio", "<=", 1 / 3)), 0.3, True),
        ((40.0,), (100.0,), (Goal("ours", "<=", 40.0), Goal("ratio", "<=", 1 / 3)), 0.4, False),
        ((30.0,), None, (Goal("ours", "<=", 40.0), Goal("ratio", "<=", 1 / 3)), None, None),
        ((41.0,), None, (Goal("ours", "<=", 40.0), Goal("ratio", "<=", 1 / 3)), None, False),
        ((1.0,), (0.0,), (Goal("ratio", ">=", 1.0),), None, None),
        ((1.0,), (2.0,), (), 0.5, None),
        ((float("nan"),), None, (Goal("ours", ">=", 0.001),), None, False),
    ],
)
def test_ratio_and_goals(
    ours: tuple[float, ...],
    theirs: tuple[float, ...] | None,
    goals: tuple[Goal, ...],
    ratio: float | None,
    ok: bool | None,
) -> None:
    entry = Entry("a name", "tok/s", ours, theirs, goals)
    assert entry.ratio == pytest.approx(ratio)
    assert entry.ok is ok


def test_decode_counts_only_the_tokens_after_the_depth() -> None:
    clock = Clock()
    engines = {"ours": PacedEngine(clock, 4), "f32": PacedEngine(clock, 5), "theirs": PacedEngine(clock, 10)}
    int8, exact = decode(engines, range(40), 20, 8, clock.timing(3))
    assert (int8.name, int8.unit) == ("decode at 20 tokens", "tok/s")
    assert int8.ours == pytest.approx((250.0,) * 3)
    assert int8.theirs == pytest.approx((100.0,) * 3)
    assert (int8.ratio, int8.ok) == (pytest.approx(2.5), True)
    assert exact.ours == pytest.approx((200.0,) * 3)
    assert exact.ok is None
    assert engines["ours"].tokens == list(range(28))
    assert len(clock.slept) == 3 * 4  # each, in three rounds and one to warm up


def test_prefill_reads_the_whole_prompt_each_time() -> None:
    clock = Clock()
    pace = iter([9.0, 1.0, 4.0, 2.0])  # the first is not counted
    engines = {"ours": PacedEngine(clock, 1, pace)}
    [entry] = prompt(engines, range(40), 20, clock.timing(3))
    assert engines["ours"].calls == [20] * 4
    assert entry.ours == pytest.approx((1000.0, 250.0, 500.0))
    assert entry.to_dict()["ours"] == pytest.approx(500.0)
    assert (entry.theirs, entry.ratio, entry.ok) == (None, None, None)


def test_a_follow_up_turn_reads_only_what_is_new() -> None:
    clock = Clock()
    engines = {"ours": PacedEngine(clock, 2), "theirs": PacedEngine(clock, 7)}
    [entry] = follow_up(engines, range(40), 25, 12, clock.timing(2))
    for engine in engines.values():
        assert engine.calls == [25, 12, 1, 12, 1, 12]  # before each turn the last token held is read again
    assert entry.ours == pytest.approx((24.0, 24.0))
    assert entry.theirs == pytest.approx((84.0, 84.0))
    assert entry.ok is True


def test_copied_is_the_share_of_long_runs() -> None:
    prompt = [1, 2, 3, 4, 5]
    assert copied(prompt, [1, 2, 3, 4, 5]) == 1.0
    assert copied(prompt, [9, 2, 3, 4, 9, 4, 5, 9]) == 3 / 8  # 4, 5 alone are too short
    assert copied(prompt, [2, 3]) == 0.0
    assert copied(prompt, []) == 0.0


def pair(kind: str, plain: tuple[int, ...], speculative: tuple[int, ...], seconds: float) -> Pair:
    question = Question("chat" if kind == "chat" else "repeat", "?", [1, 2, 3, 4])
    return Pair(question, Reply(plain, seconds, None), Reply(speculative, 1.0, Speculated(4, 2, 2, 0)))


def test_speed_up_and_identity_by_hand() -> None:
    first = [pair("chat", (5, 6), (5, 6), 1.0), pair("repeat", (1, 2, 3, 4), (1, 2, 3, 4), 2.0)]
    second = [pair("chat", (5, 6), (5, 7), 0.5), pair("repeat", (1, 2, 3, 4), (1, 2, 3, 4), 4.0)]
    identity, repeat, chat = entries([first, second])
    assert (identity.ours, identity.theirs, identity.ok) == ((1.0,), (2.0,), False)
    assert repeat.ours == pytest.approx((4.0, 4.0))
    assert repeat.theirs == pytest.approx((2.0, 1.0))
    assert repeat.ratio == pytest.approx(4 / 1.5)
    assert repeat.ok
    assert "accepted 4 of 8 drafted, 2.00 tokens a pass; 1 of 1 replies" in repeat.note
    assert chat.ratio == pytest.approx(2 / 3)
    assert chat.ok is False


def test_replies_are_timed_from_the_prompt_on_and_told_apart(small: Path) -> None:
    """The scripted engine counts up."""
    tokenizer, clock = Tokenizer.from_gguf(open_gguf(small)), Clock()
    config = GenerateConfig(max_tokens=6, stop=())
    questions = [Question("chat", "?", [10, 11]), Question("repeat", "!", [20, 21, 22, 20, 21])]
    rounds = replies(PacedEngine(clock, 2), tokenizer, questions, config, clock.timing(2))
    assert [len(pairs) for pairs in rounds] == [2, 2]
    plain = rounds[0][0].plain
    assert plain.ids == (12, 13, 14, 15, 16, 17)
    assert plain.seconds == pytest.approx(5 * 0.002)  # the prompt gives the first token
    assert all(each.identical for pairs in rounds for each in pairs)
    assert not Pair(questions[0], plain, Reply((12, 13, 99), 1.0, None)).identical


def test_the_file_of_results(tmp_path: Path) -> None:
    entry = Entry("load", "s", (0.5, 0.7, 0.6), (0.2,), (Goal("ours", "<=", 1.0),), note="warm")
    odd = Entry("perplexity", "", (float("inf"),), None, (Goal("ratio", "<=", 1.01),), "float32")
    (model := tmp_path / "m.gguf").write_bytes(b"abc")
    results = Results((entry, odd), "not installed")
    now = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    write_json(out := tmp_path / "out.json", report(results, model, 2, now, quick=True))
    read = json.loads(out.read_text())
    assert read["entries"][0] == {
        "name": "load",
        "unit": "s",
        "ours": 0.6,
        "theirs": 0.2,
        "ratio": pytest.approx(3.0),
        "goal": "ours <= 1",
        "ok": True,
        "against": "llama.cpp",
        "note": "warm",
        "rounds": {"ours": [0.5, 0.7, 0.6], "theirs": [0.2]},
    }
    assert {key: read["entries"][1][key] for key in ("ours", "theirs", "ratio", "ok", "against")} == {
        "ours": None,
        "theirs": None,
        "ratio": None,
        "ok": None,
        "against": "float32",
    }
    assert (read["date"], read["threads"], read["quick"]) == ("2026-11-22T12:30:00+00:00", 2, True)
    assert read["model"]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert read["llama_cpp"] == {"missing": "not installed", "built_for": None}
    assert read["machine"]["packages"]["numpy"] == np.__version__
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.gguf", "out.json"]


def test_the_table_marks_what_is_missed() -> None:
    console = Console(width=120)
    good = Entry("decode", "tok/s", (150.0, 140.0, 160.0), (75.0,), (Goal("ratio", ">=", 1.5),))
    bad = Entry("prefill", "tok/s", (150.0,), (75.0,), (Goal("ratio", ">=", 2.5),), note="cold")
    unknown = Entry("wait", "ms", (15.0,), None, (Goal("ratio", "<=", 1 / 3),))
    with console.capture() as capture:
        console.print(table([good, bad, unknown]))
    lines = [line.split() for line in capture.get().splitlines()]
    assert lines[1] == ["decode,", "tok/s", "150", "(140-160)", "75", "2", "ratio", ">=", "1.5", "yes"]
    assert lines[2] == ["prefill,", "tok/s", "150", "75", "2", "ratio", ">=", "2.5", "MISSED"]
    assert lines[3] == ["cold"]
    assert lines[4] == ["wait,", "ms", "15", "-", "-", "ratio", "<=", "0.3333", "-"]


@pytest.mark.usefixtures("no_llama")
def test_all_of_it_on_a_small_model(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert run_main(monkeypatch, str(small), "--quick", "--threads", "1", "--json", str(out)) == 0
    read = json.loads(out.read_text())
    names = [entry["name"] for entry in read["entries"]]
    assert len(set(names)) == len(names) == 15
    assert all(entry["ours"] is not None for entry in read["entries"])
    beside_llama = [entry for entry in read["entries"] if entry["against"] == "llama.cpp"]
    assert len(beside_llama) == 10
    assert all(entry["theirs"] is None and entry["ratio"] is None for entry in beside_llama)
    assert "llama-cpp-python" in read["llama_cpp"]["missing"]
    shown = capsys.readouterr().out
    assert "decode at 128 tokens, tok/s" in shown
    assert "Ours only: llama-cpp-python (extra `bench`) is not there" in shown


@pytest.mark.usefixtures("no_llama")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"PK\3\4 something else", "GGUF"),
        ("short", "1088 are needed"),
    ],
)
def test_a_model_that_cannot_be_measured_is_one_line(
    content: bytes | str | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "m.gguf"
    if content == "short":
        write_llama(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    assert run_main(monkeypatch, str(path)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("llm.bench: ")
    assert str(path) in captured.err
    assert said in captured.err


@pytest.mark.parametrize("where", [".", "missing/out.json"])
def test_a_file_that_cannot_be_written_is_told_at_once(
    where: str,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_main(monkeypatch, str(small), "--json", str(tmp_path / where)) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_without_a_name_the_assistant_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert run_main(monkeypatch) == 1
    assert "name a GGUF file" in capsys.readouterr().err
    command = tmp_path / "assistant"
    for script, said in (
        (f"echo {tmp_path}/no.gguf", "no.gguf: cannot be read"),
        ("exit 1", "name a GGUF file"),
    ):
        command.write_text(f'#!/bin/sh\n[ "$*" = "models path {MODEL}" ] && {script}\n')
        command.chmod(0o755)
        assert run_main(monkeypatch) == 1
        assert said in capsys.readouterr().err


def test_the_questions_are_fifty() -> None:
    data = Path(bench.__file__).parents[1] / "data"
    lines = [(data / name).read_text().splitlines() for name in ("free_chat.txt", "repeating.txt")]
    assert [len(each) for each in lines] == [FULL.questions] * 2
    assert len(set(lines[0] + lines[1])) == 50


@pytest.mark.models
@pytest.mark.usefixtures("llama_cpp")
def test_llama_cpp_is_asked_the_same(model_path: Callable[[str], Path]) -> None:
    """It and our engine, on the same file: the same likeliest tokens after the same calls."""
    path = model_path(MODEL)
    ids = Tokenizer.from_gguf(gguf := open_gguf(path)).encode("The cat sat on the mat. " * 20)
    ours = CpuModel(gguf, CpuConfig(context=256, threads=1)).open()
    with LlamaCpp(path, 256, 1) as theirs:
        for engine in (ours, theirs):
            engine.extend(ids[:60], 0)
            engine.truncate(50)
        assert list(theirs.tokens) == ids[:50]
        both = [np.array(engine.extend(ids[50:70], 10)) for engine in (ours, theirs)]
        assert both[0].shape == both[1].shape == (10, 49152)
        assert (both[0].argmax(1) == both[1].argmax(1)).all()
        assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.99
        for engine in (ours, theirs):
            engine.shift(7, 14)
        assert list(theirs.tokens) == ids[:7] + ids[14:70]
        after = [engine.extend(ids[70:72], 1)[0].copy() for engine in (ours, theirs)]
        assert np.corrcoef(*after)[0, 1] > 0.99
        with pytest.raises(ContextFull):
            theirs.extend([1] * 300)
        assert len(theirs.tokens) == 65


@pytest.mark.usefixtures("llama_cpp")
def test_a_file_that_llama_cpp_refuses(tmp_path: Path) -> None:
    (path := tmp_path / "no.gguf").write_bytes(b"GGUF")
    with pytest.raises(LlamaCppError, match=r"cannot load .*no\.gguf"):
        LlamaCpp(path, 64, 1)


def test_help_needs_no_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llm.bench", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "--quick" in done.stdout
