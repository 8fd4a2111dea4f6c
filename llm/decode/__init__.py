"""From a prompt to a reply: engines, sampling, speculation, generation."""

from llm.decode.drafts import prompt_lookups
from llm.decode.engine import ContextFull, CudaBroken, Engine, EngineOutOfMemory, MultiStepEngine
from llm.decode.generate import Called, Finished, GenerateConfig, Generated, Prefilled, Started, Token
from llm.decode.options import ReplyOptions
from llm.decode.responder import Prompt, Responder
from llm.decode.sample import BrokenLogits, Sampling
from llm.decode.served import Kernels, Operation, Served, Unsupported, by_kernel
from llm.decode.speculate import Speculated, Speculator

__all__ = [
    "BrokenLogits",
    "Called",
    "ContextFull",
    "CudaBroken",
    "Engine",
    "EngineOutOfMemory",
    "Finished",
    "GenerateConfig",
    "Generated",
    "Kernels",
    "MultiStepEngine",
    "Operation",
    "Prefilled",
    "Prompt",
    "ReplyOptions",
    "Responder",
    "Sampling",
    "Served",
    "Speculated",
    "Speculator",
    "Started",
    "Token",
    "Unsupported",
    "by_kernel",
    "prompt_lookups",
]
