"""What memory the tensors take that are still needed, arrays that share it counted once."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.proof.limits import Budget


@dataclass
class Memory:
    """Counts arrays by the one that owns their memory."""

    budget: Budget
    _owners: dict[int, tuple[NDArray[Any], int]] = field(default_factory=dict)

    def add(self, array: NDArray[Any]) -> None:
        """Count an array that is kept from now on."""
        owner = _owner(array)
        known = self._owners.get(id(owner))
        if known is None:
            self.budget.held += owner.nbytes
        self._owners[id(owner)] = (owner, 1 if known is None else known[1] + 1)

    def remove(self, array: NDArray[Any]) -> None:
        """Count an array no more."""
        owner = _owner(array)
        kept, count = self._owners.pop(id(owner))
        if count > 1:
            self._owners[id(owner)] = (kept, count - 1)
        else:
            self.budget.held -= owner.nbytes


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
