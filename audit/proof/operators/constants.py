"""Operators that compute constants alone."""

from typing import Final

from audit.proof.operators.record import Operator

_OF_LATE: Final = (19, 21, 23, 24, 25)

OPERATORS: Final = (
    Operator("Constant", (9, 11, 12, 13, *_OF_LATE), None, folding="agreed"),
    Operator("ConstantOfShape", (9, 20, 21, 23, 24, 25), None, folding="agreed"),
    Operator("EyeLike", (9, 22), None, folding="confirmed"),
    Operator("Range", (11,), None, folding="agreed"),
    Operator("Shape", (1, 13, 15, *_OF_LATE), None, folding="agreed"),
    Operator("Size", (1, 13, *_OF_LATE), None, folding="agreed"),
)
