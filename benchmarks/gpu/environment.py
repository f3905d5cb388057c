"""The card, its driver, the versions of all that computes on it, and what does not start.

Run ``python -m benchmarks.gpu.environment --device cuda``; it fails if the device does not start.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

import onnxruntime

from benchmarks.gpu.configurations import DEVICES, why_not_tensorrt
from benchmarks.machine import describe_machine
from service.engine import DeviceUnavailableError, select
from service.engine.nvidia import library_folders

_QUERY = "name,driver_version,memory.total"


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    options = parser.parse_args()
    print("\n".join(describe()))
    try:
        select(options.device)
    except DeviceUnavailableError as error:
        sys.exit(str(error))


def describe() -> Iterator[str]:
    """Yield lines of Markdown."""
    yield f"- {card()}"
    yield f"- {describe_machine()}, built for CUDA {onnxruntime.cuda_version or 'none'}"
    libraries = [f"{name} {version}" for name, version in sorted(installed())]
    yield f"- {', '.join(libraries) or 'neither PyTorch nor NVIDIA libraries of pip'}"
    yield f"- libraries found in {len(library_folders())} folders of pip's"
    yield f"- TensorRT: {why_not_tensorrt() or 'starts'}"


def card() -> str:
    """Ask the driver for the card's name, its own version and the memory."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no card that nvidia-smi shows: it is not on the path"
    command = [program, f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def installed() -> Iterator[tuple[str, str]]:
    """Yield PyTorch's and NVIDIA's distributions and their versions."""
    for each in metadata.distributions():
        name = each.metadata["Name"] or ""
        if name == "torch" or name.startswith("nvidia-"):
            yield name, each.version


if __name__ == "__main__":
    main()
