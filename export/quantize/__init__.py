"""Integer networks: a float32 file becomes 8-bit integers, spelled for CPUs or for float units."""

from export.quantize.chain import UnsupportedError, read_chain
from export.quantize.half import to_half
from export.quantize.int8 import to_int8
from export.quantize.integer import MagnitudeError, to_integer
from export.quantize.network import IntegerNetwork, quantize
from export.quantize.qdq import to_qdq
from export.quantize.ranges import measure_ranges

__all__ = [
    "IntegerNetwork",
    "MagnitudeError",
    "UnsupportedError",
    "measure_ranges",
    "quantize",
    "read_chain",
    "to_half",
    "to_int8",
    "to_integer",
    "to_qdq",
]
