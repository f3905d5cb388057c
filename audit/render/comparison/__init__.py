"""A comparison in the formats that its readers use, a file each."""

from audit.render.comparison.formats import COMPARISON_FORMATS, ComparisonFormat

__all__ = ["COMPARISON_FORMATS", "ComparisonFormat"]
