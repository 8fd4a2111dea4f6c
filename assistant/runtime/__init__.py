"""What runs things and knows no speech: clock, workers, graph, spans."""

from assistant.runtime.clock import Clock
from assistant.runtime.graph import Channel, Edge, Graph, Node, render
from assistant.runtime.lag import LagProbe
from assistant.runtime.schedule import Job, Schedule, Urgency
from assistant.runtime.spans import Recorder, Span, Tracer, Value
from assistant.runtime.steps import SESSION, StepRun
from assistant.runtime.traces import OUTGOING, PassedOn, TraceParent, Traces, read_traceparent
from assistant.runtime.virtual import Cores, DeadlockError, InlineWorker, VirtualLoop, run_virtual
from assistant.runtime.worker import Later, Stopped, StreamJob, ThreadWorker, Worker, WorkerFull, asked_ns

__all__ = [
    "OUTGOING",
    "SESSION",
    "Channel",
    "Clock",
    "Cores",
    "DeadlockError",
    "Edge",
    "Graph",
    "InlineWorker",
    "Job",
    "LagProbe",
    "Later",
    "Node",
    "PassedOn",
    "Recorder",
    "Schedule",
    "Span",
    "StepRun",
    "Stopped",
    "StreamJob",
    "ThreadWorker",
    "TraceParent",
    "Tracer",
    "Traces",
    "Urgency",
    "Value",
    "VirtualLoop",
    "Worker",
    "WorkerFull",
    "asked_ns",
    "read_traceparent",
    "render",
    "run_virtual",
]
