"""What runs a graph here, for a report."""

from pathlib import Path

import onnxruntime

from artifact.product import product_version
from audit import Execution
from audit.machine import cpu_name
from service.engine.providers import ProviderConfiguration


def execution(configuration: ProviderConfiguration, threads: int) -> Execution:
    """Describe a graph's configuration on this machine."""
    return Execution(
        orbitserve=product_version(),
        runtime="onnxruntime",
        runtime_version=onnxruntime.__version__,
        provider=", ".join(configuration.providers),
        threads=threads,
        cpu=cpu_name() or None,
        device=None if configuration.memory is None else _gpu(*configuration.memory),
    )


def _gpu(kind: str, number: int) -> str:
    """The GPU's name where the driver tells it and there is only one, else its kind and number."""
    told = [*Path("/proc/driver/nvidia/gpus").glob("*/information")]
    if len(told) == 1:
        for line in told[0].read_text().splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return f"{kind} {number}"
