"""The static proof: a file's invariance under turns of the image, read from its bytes."""

from audit.proof.outcome import Arithmetic, Obstacle, Outcome, Proof, Residual
from audit.proof.proof import TOLERANCE, prove
from audit.proof.tied import Tied, find_ties

__all__ = [
    "TOLERANCE",
    "Arithmetic",
    "Obstacle",
    "Outcome",
    "Proof",
    "Residual",
    "Tied",
    "find_ties",
    "prove",
]
