"""What the command lines of `llm.bench` have in common: the assistant's model, and errors of one line."""

import shutil
import subprocess
import sys
from pathlib import Path

from llm.bench.llama import LlamaCppError
from llm.bench.run import BenchError
from llm.decode.engine import ContextFull
from llm.decode.sample import BrokenLogits
from llm.eval.predict import EvalError
from llm.gguf.file import GgufError
from llm.text.chat import ChatTemplateError
from llm.text.tokenizer import TokenizerError

DEFAULT_MODEL = "smollm2-135m-instruct-q4_1"

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
