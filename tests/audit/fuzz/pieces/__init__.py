"""What a graph is made of: a node or a few, over every operator that the proof has a record of."""

from collections.abc import Callable

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.pieces.composites import call, orbit
from tests.audit.fuzz.pieces.constants import compute, measure
from tests.audit.fuzz.pieces.movement import move, resize
from tests.audit.fuzz.pieces.pointwise import binary, bits, clip, compare, special, unary
from tests.audit.fuzz.pieces.products import multiply
from tests.audit.fuzz.pieces.quantisation import cast, dequantised, quantise
from tests.audit.fuzz.pieces.reductions import normalise, reduce, whole
from tests.audit.fuzz.pieces.windows import convolve, convolve_otherwise, pool

Piece = Callable[[Builder], None]

PIECES: tuple[Piece, ...] = (
    *(unary, unary, clip, binary, binary, compare, special, bits, cast, quantise, move, move, move),
    *(convolve, convolve, convolve_otherwise, pool, pool, reduce, whole, normalise, resize),
    *(multiply, measure, compute, call, orbit, dequantised),
)
"""What stands here twice is drawn twice as often. Which graph a seed draws depends on the order."""
