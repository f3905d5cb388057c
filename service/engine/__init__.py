"""Running a graph: devices, threads, batches and sessions. Nothing here knows HTTP."""

from service.engine.errors import (
    NOT_FINITE,
    ComputeError,
    DeadlineError,
    EngineDownError,
    EngineError,
    QueueFullError,
)
from service.engine.graph import GraphError, Signature
from service.engine.limits import DEFAULT_LIMITS, Limits
from service.engine.observer import Batch, Observer, Timing
from service.engine.opening import Opening, opening
from service.engine.priorities import IdleDrop, IdleWork
from service.engine.providers import (
    Device,
    DeviceUnavailableError,
    GpuOptions,
    ProviderCandidates,
    select,
)
from service.engine.queue import Inference
from service.engine.session import Session

__all__ = [
    "DEFAULT_LIMITS",
    "NOT_FINITE",
    "Batch",
    "ComputeError",
    "DeadlineError",
    "Device",
    "DeviceUnavailableError",
    "EngineDownError",
    "EngineError",
    "GpuOptions",
    "GraphError",
    "IdleDrop",
    "IdleWork",
    "Inference",
    "Limits",
    "Observer",
    "Opening",
    "ProviderCandidates",
    "QueueFullError",
    "Session",
    "Signature",
    "Timing",
    "opening",
    "select",
]
