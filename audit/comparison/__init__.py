"""Two audits on the same images: is the second model worse than the first?"""

from audit.comparison.compare import compare
from audit.comparison.options import ComparisonOptions
from audit.comparison.record import (
    ClassPaired,
    ComparedAudit,
    Comparison,
    Margins,
    Matching,
    Paired,
    PairedDeviation,
    WorseImage,
)

__all__ = [
    "ClassPaired",
    "ComparedAudit",
    "Comparison",
    "ComparisonOptions",
    "Margins",
    "Matching",
    "Paired",
    "PairedDeviation",
    "WorseImage",
    "compare",
]
