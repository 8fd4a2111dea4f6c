"""A sequence on the GPU whose tokens are sampled there, several in a row."""

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.llama import multi_step
from llm.cuda.multi_step import MultiStepRunner, Steps
from llm.decode.engine import ContextFull, EngineOutOfMemory
from llm.decode.sample import BrokenLogits, Sampling
from llm.lora.adapter import Adapter
from llm.serve.sessions import Sessions, SlotEngine


class CudaEngine(SlotEngine):
    """A sequence on the GPU with multi-step decoding; see `llm.decode.engine.MultiStepEngine`.

    A step is the same to the bit as `extend` by its token, whatever other sequences are in the pass.
    """

    def __init__(
        self, runner: MultiStepRunner, sessions: Sessions[Any], slot: int, adapter: Adapter | None = None
    ) -> None:
        super().__init__(sessions, slot, adapter)
        self._runner = runner

    def can_sample(self, sampling: Sampling) -> bool:
        """See MultiStepEngine. Nucleus sampling needs all probabilities sorted, which the device has not."""
        return sampling.temperature == 0 or sampling.top_p == 1

    def decode_steps(
        self, token: int, steps: int, *, seen: Sequence[int], sampling: Sampling, lookahead: int = 0
    ) -> list[int]:
        """See MultiStepEngine. Raises EngineOutOfMemory and CudaBroken."""
        held = len(self._tokens)
        if held + steps > self.context:
            raise ContextFull(held + steps, self.context)
        if steps < 1 or not 0 <= token < self._sessions.vocabulary:
            raise ValueError(
                f"{steps} steps from token {token}, of a vocabulary of {self._sessions.vocabulary}"
            )
        assert not self._closed, "a closed sequence"
        lookahead = min(lookahead, self.context - held - steps, multi_step.MAX_STEPS)
        try:
            steps = self._reserve(held, min(steps, multi_step.MAX_STEPS))
            run = Steps(self._slot, held, [token], 1, steps, lookahead, seen, sampling)
            chosen: list[int] = self._runner.batcher.read(run).tolist()
        except BaseException:
            self.truncate(held)
            raise
        if not chosen:
            self.truncate(held)
            raise BrokenLogits(nan, self._sessions.vocabulary)
        self._tokens += [token, *chosen[:-1]]
        if not self._runner.has_run(self._slot):  # pages of steps not run, or behind a broken one
            self._store.truncate(self._slot, len(self._tokens))
        return chosen

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine."""
        self._forget()
        return super().extend(tokens, logits_for)

    def truncate(self, length: int) -> None:
        """See Engine."""
        self._forget()
        super().truncate(length)

    def close(self) -> None:
        """See SlotEngine."""
        self._forget()
        super().close()

    def _forget(self) -> None:
        if not self._closed:  # else the place is another's
            self._runner.forget(self._slot)

    def _reserve(self, held: int, steps: int) -> int:
        """The steps that there are pages for: all, or half of them and so on, as the reply may end before."""
        while True:
            try:
                self._store.reserve(self._slot, held, held + steps)
            except EngineOutOfMemory:
                self.truncate(held)
                if steps == 1:
                    raise
                steps //= 2
            else:
                return steps
