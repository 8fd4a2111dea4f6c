"""A GPU that may run out of memory, which is forgiven, or break, which is not.

Once its context is lost, torch ends the process, by an abort, when page-locked memory is given back. So what
holds any is kept from then on, and the process is left without taking it down.
"""

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from threading import RLock
from typing import TypeVar

import torch

from llm.decode.engine import CudaBroken, EngineOutOfMemory

T = TypeVar("T")

# What torch says of an error of the CUDA runtime, of a library on it, and Triton of one of the driver. Any
# may be of an earlier kernel, and leaves a context in which no call succeeds: there is no telling apart.
_OF_CUDA = ("CUDA error", "Triton Error [CUDA]")


class Gpu:
    """A device on which one call at a time runs. May be used from several threads.

    One at a time, because nothing may be launched or allocated while another thread captures a CUDA graph.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._lock = RLock()
        self._broken: str | None = None
        self._held: list[object] = []

    def hold(self, *things: object) -> None:
        """Keep these, which have page-locked memory, to the end if the device fails."""
        self._held += things

    @property
    def ready(self) -> bool:
        """False once the device has failed."""
        return self._broken is None

    def check(self) -> None:
        """Raise CudaBroken if the device has failed."""
        if self._broken is not None:
            raise CudaBroken(self._broken)

    def run(self, what: str, call: Callable[[], T]) -> T:
        """What `call`, which is `what` and may be called twice, gives.

        Raises EngineOutOfMemory where there is not enough even without the memory that torch keeps for
        later, CudaBroken for any other error of the device, and then at once for every later call.
        """
        on_device = torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()
        with self._lock, on_device:
            self.check()
            try:
                return call()
            except (CudaBroken, EngineOutOfMemory):
                raise  # judged in a call within this one
            except RuntimeError as error:
                self._judge(error)
            # Out here nothing refers to the tensors of the call that failed.
            try:
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                return call()
            except (CudaBroken, EngineOutOfMemory):
                raise
            except RuntimeError as error:
                self._judge(error)
                raise EngineOutOfMemory(f"{what}: {_one_line(error)}") from error

    def _judge(self, error: RuntimeError) -> None:
        """Return if it is for want of memory; raise CudaBroken if it is the device's, or the error itself."""
        if isinstance(error, torch.OutOfMemoryError) or "out of memory" in _one_line(error):
            return
        if _of_device(error):
            self._broken = _one_line(error)
            self._held.append(error)  # with what the call that failed had in its hands
            _FAILED.append(self)
            if self._lost():
                atexit.register(_leave)
            raise CudaBroken(self._broken) from error
        raise error

    def _lost(self) -> bool:
        """Whether no call to the device will succeed."""
        if self.device.type != "cuda":
            return False
        try:
            torch.cuda.synchronize(self.device)
        except RuntimeError:
            return True
        return False


_FAILED: list[Gpu] = []
"""Kept, with all that they hold, until the process ends."""


def _leave() -> None:
    """End the process here, with exit code 1: it has not done what it was to do, and cannot be taken down."""
    try:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    finally:
        os._exit(1)


def _of_device(error: RuntimeError) -> bool:
    return isinstance(error, torch.AcceleratorError) or any(text in str(error) for text in _OF_CUDA)


def _one_line(error: RuntimeError) -> str:
    """Its first line: advice on how to debug CUDA follows."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
