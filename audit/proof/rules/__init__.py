"""What is known of each operator: a rule from the numbers of its inputs to those of its outputs."""

from collections.abc import Mapping
from typing import Final

from audit.proof.rules.linear import LINEAR
from audit.proof.rules.movement import MOVEMENT, Rule
from audit.proof.rules.normalising import NORMALISING
from audit.proof.rules.pointwise import POINTWISE
from audit.proof.rules.reductions import REDUCTIONS
from audit.proof.rules.resizing import RESIZING

RULES: Final[Mapping[str, Rule]] = {
    **MOVEMENT,
    **POINTWISE,
    **REDUCTIONS,
    **NORMALISING,
    **RESIZING,
    **LINEAR,
}
"""By operator. An operator without a rule ends a proof."""
