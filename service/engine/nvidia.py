"""CUDA's and cuDNN's libraries as pip installs them, wherever they lie on Python's path."""

import importlib.util
from pathlib import Path
from typing import Final

import onnxruntime

_CARDS: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")
"""What NVIDIA's driver makes; the last of these, Windows' for Linux within it."""


def has_card() -> bool:
    """Say whether a driver shows this machine a GPU, whether it can be used or not."""
    return any(Path(each).exists() for each in _CARDS)


def preload() -> None:
    """Load what onnxruntime's CUDA provider links to; on no search path, it is found once loaded.

    onnxruntime itself looks only beside its own folder, and misses the libraries that PyTorch
    brought when it was installed into a folder of its own. What is missing it prints.
    """
    for folder in library_folders():
        of_cudnn = folder.parent.name == "cudnn"
        onnxruntime.preload_dlls(cuda=not of_cudnn, cudnn=of_cudnn, directory=str(folder))
    onnxruntime.preload_dlls()


def library_folders() -> list[Path]:
    """Return the folders of NVIDIA's wheels for this build's CUDA, CUDA's before cuDNN's."""
    spec = importlib.util.find_spec("nvidia")
    places = [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
    major = onnxruntime.cuda_version.partition(".")[0]
    folders = [place / name / "lib" for name in (f"cu{major}", "cudnn") for place in places]
    return [folder for folder in folders if folder.is_dir()]
