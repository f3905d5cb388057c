"""Running a graph: devices, threads, batches and sessions. Nothing here knows HTTP."""

from service.engine.errors import (
    ComputeError,
    DeadlineError,
    EngineDownError,
    EngineError,
    QueueFullError,
)
from service.engine.graph import GraphError, Signature
from service.engine.lanes import IdleDrop, IdleWork
from service.engine.observer import Batch, Drop, Observer, Spent
from service.engine.providers import (
    Device,
    DeviceUnavailableError,
    GpuOptions,
    Selection,
    select,
)
from service.engine.session import AuditedGraph, Session
from service.engine.threads import cpu_budget
from service.engine.waiting import DEFAULT_LIMITS, Inference, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "AuditedGraph",
    "Batch",
    "ComputeError",
    "DeadlineError",
    "Device",
    "DeviceUnavailableError",
    "Drop",
    "EngineDownError",
    "EngineError",
    "GpuOptions",
    "GraphError",
    "IdleDrop",
    "IdleWork",
    "Inference",
    "Limits",
    "Observer",
    "QueueFullError",
    "Selection",
    "Session",
    "Signature",
    "Spent",
    "cpu_budget",
    "select",
]
