"""What the models cost when several want them at once, measured by themselves."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter, process_time, thread_time

import numpy as np

from asr.audio import RATE
from asr.turn_end import TurnEnd
from assistant.cluster.plan.costs import Passes
from assistant.config import Config, LlmConfig
from assistant.models.load import locate, locate_llm
from assistant.models.store import ModelStore
from assistant.runtime.machine import usable_threads
from llm.bench.sessions import rate
from llm.cpu.model import CpuConfig, CpuModel
from llm.decode import Sampling
from llm.eval.data import text
from llm.gguf import open_gguf
from llm.text import Tokenizer

_SESSIONS = (1, 2, 4, 8)
_CONTEXT, _TOKENS, _ROUNDS = 128, 64, 3


def decode_passes(config: LlmConfig) -> tuple[Passes, float]:
    """How long a pass takes by the number of sessions that share it, and the cores that one keeps busy.

    The line goes through medians of processor time. The cores are what one session takes of it over the time
    of the fastest round, which other programs held up least; by them processor time becomes time.
    """
    gguf = open_gguf(locate_llm(config, ModelStore()))
    settings = CpuConfig(sessions=max(_SESSIONS), threads=config.threads, kv=config.kv, prefix_bytes=0)
    model = CpuModel(gguf, settings)
    ids = Tokenizer.from_gguf(gguf).encode(text())
    prompts = [ids[i : i + _CONTEXT] for i in range(max(_SESSIONS))]

    def pass_ms(count: int, now_s: Callable[[], float]) -> float:
        return 1e3 * count / rate(model.open, prompts[:count], _TOKENS, Sampling(), now_s)

    pass_ms(1, perf_counter)  # to warm up
    fastest_ms = min(pass_ms(1, perf_counter) for _ in range(2 * _ROUNDS))
    cpu_ms = [median(pass_ms(count, process_time) for _ in range(_ROUNDS)) for count in _SESSIONS]
    more_ms, first_ms = np.polyfit(np.array(_SESSIONS) - 1, cpu_ms, 1)
    width = max(1.0, cpu_ms[0] / fastest_ms)
    return Passes(float(first_ms) / width, max(0.0, float(more_ms)) / width), width


def crowding(config: Config) -> float:
    """CPU time of the same work with every core at work, over that with one."""
    scorer = TurnEnd(locate(config, ModelStore()).turn_end)
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)

    def work() -> float:
        begun = thread_time()
        scorer.probability(noise)
        return thread_time() - begun

    work()
    return _crowded(work, usable_threads())


def _crowded(work: Callable[[], float], threads: int) -> float:
    alone, crowded = [], []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS * 4):
            alone.append(work())
            crowded += [done.result() for done in [pool.submit(work) for _ in range(threads)]]
            os.sched_yield()
    return max(1.0, median(crowded) / median(alone))
