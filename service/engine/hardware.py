"""The name of the GPU that a session runs on, as its driver tells it."""

import ctypes
from functools import lru_cache


@lru_cache
def gpu_name(number: int) -> str | None:
    """Return the name of the CUDA device of this number; None where no driver tells."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), number)
        or driver.cuDeviceGetName(name, len(name), device)
    )
    return None if failed else name.value.decode()
