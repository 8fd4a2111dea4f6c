"""`python -m tests.cases FOLDER`: run every case of a folder, and print what was expected and what came.

The folder holds `index.json`, a list of objects with "file", "command", "expected" and "kind", and the files.
Each command runs by `sh` in a copy of the folder, with this checkout's `assistant`. The last line is
`passed N of M`; cases that only a reader can judge are counted as not passed, and said to be so.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.judge import Ran, judge

ROOT = Path(__file__).resolve().parents[1]
_SHOWN = 400  # characters of what was printed


def main() -> int:
    """Run the cases; the exit status is 0 if all passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", metavar="TEXT", help="cases whose file, kind or command holds it")
    parser.add_argument(
        "--timeout", type=float, default=120, metavar="S", help="for each command; default 120"
    )
    args = parser.parse_args()
    cases = json.loads((args.folder / "index.json").read_text(encoding="utf-8-sig"))
    if args.only:
        cases = [
            case for case in cases if args.only in " ".join((case["file"], case["kind"], case["command"]))
        ]
    counts = Counter(_show(case, args.folder, args.timeout) for case in cases)
    if counts["look"]:
        print(f"{counts['look']} to be judged by a reader")
    print(f"passed {counts['passed']} of {len(cases)}")
    return int(counts["passed"] < len(cases))


def _show(case: dict[str, Any], folder: Path, timeout: float) -> str:
    ran = run(case["command"], folder, timeout)
    file = folder / case["file"]
    written = file.read_text(encoding="utf-8-sig", errors="replace") if file.suffix == ".txt" else ""
    verdict = judge(case["command"], case["expected"], ran, written)
    got = " | ".join(line.strip() for line in ran.output.splitlines() if line.strip())
    shortened = got if len(got) <= _SHOWN else f"{got[: _SHOWN // 2]} ... {got[-_SHOWN // 2 :]}"
    print(f"{verdict}: {case['file']} ({case['kind']})")
    print(f"  expected: {case['expected']}\n  got:      {shortened} [exit {ran.code}]", flush=True)
    return verdict


def run(command: str, folder: Path, timeout: float) -> Ran:
    """Run `command` in a copy of `folder`; after `timeout` seconds end it with all that it started."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                (out, err), code = process.communicate(), None
    return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())
