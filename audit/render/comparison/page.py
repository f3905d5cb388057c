"""A comparison as one page of HTML that holds all it shows."""

import hashlib
from typing import Final

from audit.comparison import Comparison
from audit.render.comparison.forest import draw_differences
from audit.render.comparison.rows import counted, measured, measured_of_class, named
from audit.render.comparison.text import what_became
from audit.render.html.page import SIGNS
from audit.render.pages import page_environment

_MEANINGS: Final = {
    "PASS": "B was shown to be no worse than A, but for what is allowed.",
    "FAIL": "B was shown to be worse than A.",
    "INCONCLUSIVE": "These images do not decide whether B is worse than A.",
}
_SHOWN: Final = 24


def render_page(comparison: Comparison) -> bytes:
    """Write one page that loads nothing and runs nothing; it can be mailed, kept and printed."""
    rows = [*measured(comparison)]
    page = (
        page_environment("audit.render.comparison")
        .get_template("comparison.html")
        .render(
            comparison=comparison,
            sides=(("A", comparison.baseline), ("B", comparison.candidate)),
            names=(named(comparison.baseline), named(comparison.candidate)),
            counted=counted(comparison),
            meaning=_MEANINGS[comparison.verdict],
            signs=SIGNS,
            rows=rows,
            chart=draw_differences(rows, comparison.margins.margin),
            class_rows=[
                (each.name, name, paired)
                for each in comparison.classes
                for name, paired in measured_of_class(each)
            ],
            shown=[(each, what_became(each)) for each in comparison.worse[:_SHOWN]],
            rest=[(each, what_became(each)) for each in comparison.worse[_SHOWN:]],
            digest=hashlib.sha256(comparison.model_dump_json().encode()).hexdigest(),
        )
    )
    return page.encode() + b"\n"
