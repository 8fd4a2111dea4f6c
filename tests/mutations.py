"""`python -m tests.mutations`: does `assistant trace gate` catch what it should, and pass what is harmless?

Each edit of `tests.edits` is made in a copy of the program, and the copy's gate holds the traces against
their baseline. Printed are the lines that differ, and what the gate names; the last line is `passed N of M`.
"""

import argparse
import difflib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.assistant.hand_trace import slow_window, write
from tests.edits import HARMLESS, MUTATIONS, Edit, edited

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("kernels", "asr", "llm", "tts", "assistant")
_PART = slice(33, 60)  # of a line of the gate's table
_WORSE, _PASSED = "worse first: ", "nobody waits longer"
_STALLED_MS = 100


@dataclass(frozen=True)
class Ran:
    """What came of a gate."""

    code: int
    out: str
    err: str

    @property
    def first(self) -> str:
        """What got worse first, as the gate says it; "" if it says nothing."""
        last = self.out.splitlines()[-1:]
        return last[0].removeprefix(_WORSE) if last and last[0].startswith(_WORSE) else ""

    @property
    def named(self) -> dict[str, int]:
        """How many turns each part of the table got worse in."""
        rows = [line for line in self.out.splitlines()[1:] if not line.endswith("  better")]
        return Counter(row[_PART].strip() for row in rows if "/" in row[: _PART.start])


def main() -> int:
    """Run the gate on each edit; the exit status is 0 if it was right on all."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__.splitlines()[0])
    parser.add_argument("traces", type=Path, nargs="?", default=ROOT / "traces")
    parser.add_argument("--baseline", type=Path, help="by default baseline.json in the folder of traces")
    parser.add_argument("--only", metavar="TEXT", default="", help="edits whose name holds it")
    args = parser.parse_args()
    edits = [edit for edit in (*MUTATIONS, *HARMLESS) if args.only in edit.name]
    with tempfile.TemporaryDirectory() as folder:
        stalled = Path(folder)
        write(stalled / "stalled", slow_window(15, _STALLED_MS))
        update(stalled)
        passed = sum(
            show(edit, stalled if edit.stalled else args.traces, None if edit.stalled else args.baseline)
            for edit in edits
        )
    print(f"passed {passed} of {len(edits)}")
    return int(passed < len(edits))


def show(edit: Edit, traces: Path, baseline: Path | None = None) -> bool:
    """Run the gate on `edit` and print what it changed and what came; whether the gate was right."""
    ran = gate(edit, traces, baseline)
    right = is_right(edit, ran)
    print(f"{'ok' if right else 'FAILED'}: {edit.name}")
    for line in differing(edit):
        print(f"    {line}")
    if edit.expected:
        print(f"    expected: {edit.expected}; exit code {ran.code}, first: {ran.first}")
        print(f"    named: {', '.join(f'{part} {turns}' for part, turns in ran.named.items())}", flush=True)
    else:
        print(f"    expected: to pass; exit code {ran.code}", flush=True)
    if not right:
        print(ran.out + ran.err, flush=True)
    return right


def is_right(edit: Edit, ran: Ran) -> bool:
    """Whether the gate names what is expected before all else, or, where nothing is, prints no table."""
    if edit.expected:
        return ran.code == 1 and ran.first.startswith(f"{edit.expected} in ")
    return ran.code == 0 and ran.out.count("\n") == 1 and _PASSED in ran.out


def differing(edit: Edit) -> Iterator[str]:
    """The lines that the edit takes out and puts in."""
    for path, text in edited(edit, ROOT).items():
        before, after = path.read_text(encoding="utf-8").splitlines(), text.splitlines()
        yield str(path.relative_to(ROOT))
        yield from (line for line in difflib.ndiff(before, after) if line[0] in "+-")


def gate(edit: Edit, traces: Path, baseline: Path | None = None) -> Ran:
    """Run the gate on `traces` in a copy of the program with `edit`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for package in _PACKAGES:  # with what is compiled: the dates stay, but for what is edited
            shutil.copytree(ROOT / package, root / package)
        for path, text in edited(edit, root).items():
            path.write_text(text, encoding="utf-8")
        return _run(root, traces, baseline, ["--strict"] * edit.strict)


def update(traces: Path) -> None:
    """Write the baseline of `traces` as the program here has it."""
    ran = _run(ROOT, traces, None, ["--update", "--strict"])
    assert ran.code == 0, ran.err


def _run(root: Path, traces: Path, baseline: Path | None, options: list[str]) -> Ran:
    against = ["--baseline", str((baseline or traces / "baseline.json").resolve())]
    main = "from assistant.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", main, "trace", "gate", str(traces.resolve()), *against, *options],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


if __name__ == "__main__":
    sys.exit(main())
