"""`assistant serve --wyoming` in a process of its own, with the real models."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import pytest
from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120


@pytest.mark.models
async def test_it_serves_both_protocols_until_it_is_told_to_end() -> None:
    words = ("serve", "--port", "0", "--wyoming", "tcp://127.0.0.1:0", "--log", "json")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from assistant.cli import main; main()",
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        assert lines[0].startswith("listening on ws://127.0.0.1:")
        found = re.fullmatch(r"wyoming at tcp://127\.0\.0\.1:(\d+)\n", lines[2])
        assert found, lines
        async with AsyncTcpClient("127.0.0.1", int(found[1]), read_timeout=PATIENCE_S) as talking:
            await talking.write_event(Transcript("What is the capital of France?").event())
            answer = await talking.read_event()
        assert answer is not None and answer.type == "handled" and "Paris" in answer.data["text"]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert b'"service": "handle"' in err and b"Paris" not in err and b"Traceback" not in err
