"""What runs a model here, as reports of its audits tell it."""

from importlib.metadata import version

import onnxruntime

from audit import Execution
from audit.machine import cpu_name
from service.engine import Session
from service.engine.hardware import gpu_name


def execution_of(session: Session) -> Execution:
    """Describe what a session runs with: runtime, execution providers, threads, hardware."""
    placement = session.placement
    return Execution(
        orbitserve=version("orbitserve"),
        runtime="onnxruntime",
        runtime_version=onnxruntime.__version__,
        provider=", ".join(placement.providers),
        threads=session.threads,
        cpu=cpu_name(),
        device=None if placement.memory is None else gpu_name(placement.memory[1]),
    )
