"""The static proof: a file's invariance under rotations of the image, read from its bytes."""

from audit.proof.limits import MEBIBYTE, Limits, ProofLimitError
from audit.proof.outcome import Obstacle, Proof, Sensitive
from audit.proof.proof import TOLERANCE, prove
from audit.proof.runtime.folding import Runtime
from audit.proof.tied_weights import Tied, find_ties

__all__ = [
    "MEBIBYTE",
    "TOLERANCE",
    "Limits",
    "Obstacle",
    "Proof",
    "ProofLimitError",
    "Runtime",
    "Sensitive",
    "Tied",
    "find_ties",
    "prove",
]
