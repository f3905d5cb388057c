"""What is known of each operator: a record, which states its rule, its bound and its bits."""

from collections.abc import Mapping
from typing import Final

from audit.proof.operators import (
    activations,
    arithmetic,
    constants,
    linear,
    movement,
    normalising,
    quantisation,
    reductions,
    resizing,
)
from audit.proof.operators.record import Operator

OPERATORS: Final[Mapping[str, Operator]] = {
    operator.name: operator
    for family in (
        movement,
        arithmetic,
        activations,
        quantisation,
        reductions,
        normalising,
        resizing,
        linear,
        constants,
    )
    for operator in family.OPERATORS
}
"""By name. An operator without a record ends a proof."""

MOVES: Final = frozenset(operator.name for operator in movement.OPERATORS)
"""Those that move entries and compute nothing."""
