"""`orbitserve compare`: is one model worse than another on the same images?"""

from commands.compare.command import CompareCommand, compare

__all__ = ["CompareCommand", "compare"]
