"""What quantization costs in quality, and an engine's speed."""

from llm.eval.engines import KINDS, REFERENCES, Kv, Place, gpu_name, place_of, reference, subject
from llm.eval.greedy import Judged
from llm.eval.predict import EvalError
from llm.eval.quality import Quality, Task, measure, read_task
from llm.eval.replies import TIE

__all__ = [
    "KINDS",
    "REFERENCES",
    "TIE",
    "EvalError",
    "Judged",
    "Kv",
    "Place",
    "Quality",
    "Task",
    "gpu_name",
    "measure",
    "place_of",
    "read_task",
    "reference",
    "subject",
]
