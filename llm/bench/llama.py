"""llama.cpp as an engine, by its C interface, so that it does not pay for its Python one.

Its settings are its own defaults (keys and values in 16 bits, flash attention where it thinks best, weights
repacked for the processor) but for the context, the threads and silence.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import ContextFull

_BATCH = 2048  # tokens in one call at most, llama.cpp's default


class LlamaCppError(RuntimeError):
    """llama.cpp is not installed, or cannot do what is asked; the message says why."""


class LlamaCpp:
    """One sequence; see `llm.decode.engine.Engine`. Logits are valid up to the next call."""

    def __init__(self, path: Path, context: int, threads: int) -> None:
        """Load `path`; raises LlamaCppError."""
        self._lib = lib = library()
        self._model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        if not self._model:
            raise LlamaCppError(f"llama.cpp cannot load {path}")
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_batch = context, _BATCH
        params.n_threads = params.n_threads_batch = threads
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            lib.llama_model_free(self._model)
            raise LlamaCppError(f"llama.cpp has no room for {context} tokens of {path}")
        self.context = context
        self._memory = lib.llama_get_memory(self._context)
        self._vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model))
        self._tokens: list[int] = []
        self._fill_batch()

    @property
    def tokens(self) -> Sequence[int]:
        """See Engine."""
        return self._tokens

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine; raises LlamaCppError, too. At most 2048 tokens whose logits are wanted."""
        total = len(self._tokens) + len(tokens)
        if total > self.context:
            raise ContextFull(total, self.context)
        for start in range(0, len(tokens), _BATCH):
            part = tokens[start : start + _BATCH]
            self._decode(part, min(logits_for, len(part)) if start + len(part) == len(tokens) else 0)
        if logits_for == 0:
            return np.empty((0, self._vocabulary), np.float32)
        logits = self._lib.llama_get_logits(self._context)  # waits until they are computed
        return np.ctypeslib.as_array(logits, (logits_for, self._vocabulary))

    def _decode(self, tokens: Sequence[int], logits_for: int) -> None:
        count = len(tokens)
        self._ids[:count] = tokens
        self._positions[:count] = np.arange(len(self._tokens), len(self._tokens) + count)
        self._wanted[:count] = 0
        self._wanted[count - logits_for : count] = 1
        self._batch.n_tokens = count
        if code := self._lib.llama_decode(self._context, self._batch):
            raise LlamaCppError(f"llama_decode failed with {code} after {len(self._tokens)} tokens")
        self._lib.llama_synchronize(self._context)
        self._tokens.extend(tokens)

    def truncate(self, length: int) -> None:
        """See Engine."""
        self._lib.llama_memory_seq_rm(self._memory, 0, length, -1)
        del self._tokens[length:]

    def shift(self, start: int, stop: int) -> None:
        """See Engine."""
        self._lib.llama_memory_seq_rm(self._memory, 0, start, stop)
        self._lib.llama_memory_seq_add(self._memory, 0, stop, -1, start - stop)
        del self._tokens[start:stop]

    def close(self) -> None:
        """Free everything."""
        self._lib.llama_batch_free(self._batch)
        self._lib.llama_free(self._context)
        self._lib.llama_model_free(self._model)

    def __enter__(self) -> "LlamaCpp":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill_batch(self) -> None:
        """All that is the same in every call is written once."""
        self._batch = self._lib.llama_batch_init(_BATCH, 0, 1)
        self._ids = np.ctypeslib.as_array(self._batch.token, (_BATCH,))
        self._positions = np.ctypeslib.as_array(self._batch.pos, (_BATCH,))
        self._wanted = np.ctypeslib.as_array(self._batch.logits, (_BATCH,))
        for i in range(_BATCH):
            self._batch.n_seq_id[i] = 1
            self._batch.seq_id[i][0] = 0


@cache
def library() -> ModuleType:
    """llama-cpp-python's binding of the C interface, with its log off; raises LlamaCppError."""
    try:
        lib = import_module("llama_cpp.llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:  # the last two: its shared library does not load
        raise LlamaCppError(f"llama-cpp-python (extra `bench`) is not there: {error}") from None
    lib.llama_log_set(_silent(lib), ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


@cache
def _silent(lib: ModuleType) -> object:
    """Kept for good, since llama.cpp holds no reference."""

    def log(_level: int, _text: bytes, _data: object) -> None:
        pass

    callback: object = lib.llama_log_callback(log)
    return callback


def system_info() -> str:
    """Which instruction sets llama.cpp was built for."""
    info: bytes = library().llama_print_system_info()
    return info.decode().strip(" |")
