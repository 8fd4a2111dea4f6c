"""Hugging Face's hub, asked in a child process: which file a reference means, down to the bit."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from assistant.models.catalog import PART, HubFile, ModelSpec, ModelStoreError
from assistant.spelling import nearest

PREFIX = "hub:"
UNKNOWN = "unknown"
"""The licence of a model of which none is stated."""

_CHILD = Path(__file__).with_name("hub_child.py")
_REFERENCE = re.compile(
    rf"{PREFIX}(?P<repo>{PART}/{PART})/(?P<file>(?:{PART}/)*{PART}\.gguf)(?:@(?P<revision>{PART}(?:/{PART})*))?"
)
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf")
_NETWORK = re.compile(r"(Connect|Timeout|Network|Proxy|Protocol|Read|SSL|LocalEntryNotFound)\w*: ")


class SourceError(Exception):
    """A download or an unpacking failed; the message is a clause without the model's name.

    `is_final` if it says what has to be mended, so that trying again is no remedy.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


def read_reference(text: str) -> HubFile:
    """The file that `hub:owner/repo/file.gguf[@revision]` names; raises ModelStoreError."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise ModelStoreError(
            f"{text!r} is not hub:OWNER/REPO/FILE.gguf, with @REVISION behind it or without"
        )
    if _SPLIT.search(match["file"]):
        raise ModelStoreError(f"{text}: a model in several files cannot be read: choose one in a single file")
    return HubFile(match["repo"], match["file"], match["revision"] or "main")


def _reference(source: HubFile) -> str:
    return f"{PREFIX}{source.repo}/{source.file}@{source.revision}"


def pinned(spec: ModelSpec) -> ModelSpec:
    """The model at the commit that its revision is now, with size and the SHA-256 that the hub states.

    The digest stays None if the hub states none. Raises SourceError.
    """
    assert isinstance(spec.source, HubFile)
    answer = _look_up(spec.source)
    commit, size, sha256, licence = (answer[key] for key in ("commit", "size", "sha256", "licence"))
    if not answer["there"]:
        place = f"{spec.source.repo} has no file {spec.source.file!r} at revision {spec.source.revision!r}"
        raise SourceError(place + nearest(spec.source.file, answer["models"]), is_final=True)
    if not (
        _is_hex(commit, 40) and type(size) is int and size > 0 and (sha256 is None or _is_hex(sha256, 64))
    ):
        raise SourceError(
            f"the hub's answer about {_reference(spec.source)} has no valid commit, size or digest"
        )
    stated = isinstance(licence, str) and re.fullmatch(r"[A-Za-z0-9.+_-]{1,40}", licence)
    return replace(
        spec,
        source=replace(spec.source, revision=commit),
        size=size,
        sha256=sha256,
        licence=licence if stated and spec.licence == UNKNOWN else spec.licence,
    )


def command(*arguments: str) -> list[str]:
    """What runs the child; -P keeps the folder of the script off its path."""
    return [sys.executable, "-P", str(_CHILD), *arguments]


def environment() -> dict[str, str]:
    """The user's own, mirrors and logins included, without bars and telemetry."""
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**os.environ, **quiet}


def failure(lines: list[str]) -> SourceError | None:
    """What the child's standard error says, if it is of the hub's; raises nothing."""
    refused = [line.removeprefix("REFUSED: ") for line in lines if line.startswith("REFUSED: ")]
    if refused:
        return SourceError(refused[-1], is_final=True)
    if any(_NETWORK.search(line) for line in lines):
        host = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        return SourceError(f"{host} does not answer, or breaks off: check the network")
    return None


def _look_up(source: HubFile) -> dict[str, Any]:
    words = command("look-up", source.repo, source.file, source.revision)
    ended = subprocess.run(
        words, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"[\w.]+Error: ", line)]
        reason = (errors or lines or ["it gave no reason"])[-1]
        raise failure(lines) or SourceError(f"could not ask the hub about {_reference(source)}: {reason!r}")
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) is not None
