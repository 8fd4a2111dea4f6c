"""The engine for GPUs: a model, the pages of several sequences, and whoever runs the passes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.formats import PAGE, PagedCache, Shape, Weights, empty_cache
from kernels.llama import multi_step
from kernels.llama.reference import ReferenceRunner
from kernels.llama.staging import Download
from llm.cuda.cache import PagedStore
from llm.cuda.engine import CudaEngine
from llm.cuda.errors import Gpu
from llm.cuda.multi_step import MultiStepRunner, make_decoder
from llm.cuda.served import Form, describe
from llm.cuda.weights import read_weights, unsupported_reason
from llm.decode.served import Unsupported, rows_of
from llm.gguf.config import read_config
from llm.gguf.file import GgufFile
from llm.gguf.rope import rope_frequencies
from llm.lora import Adapter, merge
from llm.serve.adapters import Choice, chosen
from llm.serve.batch import SHORT, Batcher, Logits, Part
from llm.serve.cache import BudgetTooSmall
from llm.serve.calibrate import calibration_tokens, scales_of
from llm.serve.rows import read_rows
from llm.serve.sessions import Sessions, SlotEngine

MAX_ROWS = 64
"""Rows of a pass that is not one prompt's; more are read in several."""

_PROMPT = 512  # tokens of a prompt's pass: the largest that GraphRunner captures
_PROMPT_BESIDE = 256  # when others decode, who then wait for half as long


@dataclass(frozen=True)
class CudaConfig:
    """How a model is run."""

    context: int = 2048
    sessions: int = 1
    waiting: int = 8
    """How many may queue for a session's place before the next is refused."""
    kv: Literal["f16", "int8"] = "f16"
    prefix_bytes: int = 256 * 2**20
    """For beginnings of prompts that nobody holds any more."""
    kv_bytes: int | None = None
    """For all keys and values; None: as much as all sessions take when they are full, and prefix_bytes."""
    device: str = "cuda"
    """On "cpu" passes run in plain torch: slowly, to test what is around them."""

    def __post_init__(self) -> None:
        if min(self.context, self.sessions) < 1 or min(self.waiting, self.prefix_bytes) < 0:
            raise ValueError(
                f"context and sessions must be positive, waiting and prefix_bytes not negative: {self}"
            )


class Runner(Protocol):
    """What runs passes over a cache; see `kernels.llama.reference.ReferenceRunner`."""

    def decode(
        self,
        tokens: NDArray[np.int32],
        slots: NDArray[np.int32],
        positions: NDArray[np.int32],
        wanted: NDArray[np.int32],
    ) -> Tensor:
        """Read up to MAX_ROWS tokens of any slots; float32 logits [len(wanted), vocabulary] of some rows."""
        ...

    def prefill(self, slot: int, start: int, tokens: NDArray[np.int32], logits_for: int) -> Tensor:
        """Read tokens of a slot from position `start` on; logits [logits_for, vocabulary] of the last."""
        ...


class CudaModel:
    """A loaded model and the places of its sessions. May be used from several threads."""

    def __init__(self, gguf: GgufFile, config: CudaConfig, adapter: Adapter | None = None) -> None:
        """Read a model, and take memory for all its keys and values.

        `adapter` is merged into the weights, for all sessions; what it changes is rounded to 8 bits.

        Raises GgufError, BudgetTooSmall, ValueError for a model that no kernel takes, EngineOutOfMemory and
        CudaBroken.
        """
        self.config, self.model, self.adapter = config, read_config(gguf), adapter
        if adapter is not None:
            gguf = merge(gguf, adapter)
        self.context = min(config.context, self.model.context)
        self.unsupported: tuple[Unsupported, ...] = ()
        if (reason := unsupported_reason(self.model)) is not None:
            raise ValueError(f"{gguf.path}: {reason}")
        device = torch.device(config.device)
        self._gpu = Gpu(device)
        calibration = calibration_tokens(gguf)[: self.model.context] if config.kv == "int8" else []
        rotations = max(self.context, len(calibration))
        loaded = self._gpu.run("weights", partial(read_weights, gguf, self.model, rotations, device))
        scales = None
        if calibration:
            scales = self._gpu.run("calibration", partial(_scales, loaded, calibration, device))
        weights = replace(loaded, cos=loaded.cos[: self.context], sin=loaded.sin[: self.context])
        pages, stored = page_counts(config, weights.shape, self.context)
        cache = self._gpu.run(
            "keys and values",
            lambda: empty_cache(
                weights.shape,
                slots=config.sessions,
                context=self.context,
                pages=pages,
                device=device,
                scales=scales,
            ),
        )
        frequencies = rope_frequencies(gguf, self.model)
        self.store = self._gpu.run(
            "the table of pages",
            lambda: PagedStore(self._gpu, cache, most_stored=stored, frequencies=frequencies),
        )
        self._runner = self._gpu.run(
            "the passes' buffers", partial(_make_runner, weights, cache, config.sessions)
        )
        self._download = Download()
        multi_step = self._multi_step(weights, cache)
        self._gpu.hold(self.store, self._runner, self._download, multi_step)
        self.sessions = Sessions(
            config.sessions,
            waiting=config.waiting,
            context=self.context,
            vocabulary=self.model.vocabulary,
            store=self.store,
            batcher=Batcher(self._run, ragged=True, alone=_PROMPT, chunk=_PROMPT_BESIDE),
            describe=describe(
                weights, self.model, context=self.context, kv=config.kv, triton=device.type == "cuda"
            ),
            engine=None if multi_step is None else partial(CudaEngine, multi_step),
        )

    @property
    def ready(self) -> bool:
        """False once the GPU has failed: only a new process can use it then, others raise CudaBroken."""
        return self._gpu.ready

    def open(self, wait_s: float = 0.0, adapter: Choice = "default") -> SlotEngine:
        """A new sequence; waits up to `wait_s` for a place. Raises EngineBusy, CudaBroken and AdapterMerged.

        Its `extend` and `shift` may raise EngineOutOfMemory, for that call only, and CudaBroken.
        """
        self._gpu.check()
        return self.sessions.open(wait_s, chosen(adapter, self.adapter, merged="the GPU"))

    def _multi_step(self, weights: Weights, cache: PagedCache) -> MultiStepRunner | None:
        """Multi-step decoding, where the kernels take the model."""
        if (reason := multi_step.unsupported_reason(weights, self._gpu.device)) is not None:
            self.unsupported = (Unsupported("multi-step decoding", reason, of_gpu=True),)
            return None
        sessions = self.config.sessions
        decoder = self._gpu.run("multi-step decoding", partial(make_decoder, weights, cache, sessions))
        return self._gpu.run(
            "multi-step decoding",
            lambda: MultiStepRunner(
                self._gpu,
                decoder,
                self.store,
                lambda slot, form, steps: self.sessions.tallies[slot].add(form, steps),
            ),
        )

    def _run(self, parts: Sequence[Part]) -> list[Logits]:
        """See `llm.serve.batch.Run`."""
        rows = sum(len(part.tokens) for part in parts)
        prompt = len(parts) == 1 and rows > SHORT
        logits = self._gpu.run(
            f"a pass of {rows} tokens", partial(self._prompt if prompt else self._rows, parts)
        )
        form = Form(rows_of(rows if prompt else min(rows, MAX_ROWS)), prompt)
        for part in parts:
            self.sessions.tallies[part.slot].add(form)
        return logits

    def _prompt(self, parts: Sequence[Part]) -> list[Logits]:
        self.store.upload()
        (part,) = parts
        tokens = np.asarray(part.tokens, np.int32)
        return [self._download.fetch(self._runner.prefill(part.slot, part.start, tokens, part.logits_for))]

    def _rows(self, parts: Sequence[Part]) -> list[Logits]:
        """Parts of any lengths, in as few passes as they take."""
        self.store.upload()
        if len(parts) == 1 and len(parts[0].tokens) <= MAX_ROWS:  # a session alone: each token waits for this
            (part,) = parts
            count = len(part.tokens)
            positions = np.arange(part.start, part.start + count, dtype=np.int32)
            wanted = np.arange(count - part.logits_for, count, dtype=np.int32)
            tokens, slots = np.array(part.tokens, np.int32), np.full(count, part.slot, np.int32)
            return [self._download.fetch(self._runner.decode(tokens, slots, positions, wanted))]
        return read_rows(parts, MAX_ROWS, lambda *rows: self._download.fetch(self._runner.decode(*rows)))


def page_counts(config: CudaConfig, shape: Shape, context: int) -> tuple[int, int]:
    """Pages in all, and how many of those may be kept for others when nobody holds them.

    Raises BudgetTooSmall where one page, or one sequence, does not fit.
    """
    element = 2 if config.kv == "f16" else 1
    page = shape.layers * 2 * shape.kv_heads * shape.head_dim * element * PAGE  # bytes
    if 0 < config.prefix_bytes < page:
        raise BudgetTooSmall(config.prefix_bytes, page, f"a prefix of {PAGE} tokens")
    one = -(-context // PAGE)
    stored = config.prefix_bytes // page
    if config.kv_bytes is None:
        return config.sessions * one + stored, stored
    if config.kv_bytes < one * page:
        raise BudgetTooSmall(config.kv_bytes, one * page, f"a context of {context} tokens")
    pages = config.kv_bytes // page
    return pages, min(stored, pages)


def _make_runner(weights: Weights, cache: PagedCache, sessions: int) -> Runner:
    if cache.keys.device.type != "cuda":
        return ReferenceRunner(weights, cache)
    from kernels.llama.graph import GraphRunner  # noqa: PLC0415  # needs Triton

    runner = GraphRunner(weights, cache, cache.keys.device)
    # Now, or the first prompt of a size would wait for its kernels to be compiled.
    runner.prepare(rows=min(MAX_ROWS, max(SHORT, sessions)), prompt=min(_PROMPT, len(weights.cos)))
    return runner


def _scales(weights: Weights, tokens: Sequence[int], device: torch.device) -> Tensor:
    """How large keys and values get in a conversation: float32 [L, 2, kv heads, head dim] of int8 ones."""
    pages = -(-len(tokens) // PAGE)
    cache = empty_cache(weights.shape, slots=1, context=len(tokens), pages=pages, device=device)
    cache.table.copy_(torch.arange(pages, dtype=torch.int32))
    ReferenceRunner(weights, cache).prefill(0, 0, np.asarray(tokens, np.int32), 0)
    layers = [cache.gather(layer, 0, len(tokens)) for layer in range(weights.shape.layers)]
    found = scales_of([(keys.cpu().numpy(), values.cpu().numpy()) for keys, values in layers], "interleaved")
    return torch.from_numpy(found[:, :, :, 0]).to(device).contiguous()
