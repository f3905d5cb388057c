"""`python -m benchmarks.verdicts`: models whose verdict is known, and what an audit says.

Each is made to mislead an audit: invariant where it is tried in part only, right but for a class
that is rare, one answer for nearly all images, a set that is small and looks large. Behind them
come the models that ship, and audits with a part broken. The status is 1 if a verdict is wrong.
"""

from benchmarks.verdicts.case import Case, verdict
from benchmarks.verdicts.table import cases, main

__all__ = ["Case", "cases", "main", "verdict"]
