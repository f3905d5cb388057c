"""Running a graph: devices, threads and sessions. Nothing here knows HTTP."""

from service.engine.providers import Device, DeviceUnavailableError, Selection, select
from service.engine.session import GraphError, Inference, Session, Signature
from service.engine.threads import cpu_budget

__all__ = [
    "Device",
    "DeviceUnavailableError",
    "GraphError",
    "Inference",
    "Selection",
    "Session",
    "Signature",
    "cpu_budget",
    "select",
]
