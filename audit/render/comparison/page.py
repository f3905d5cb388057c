"""A comparison as one page of HTML that holds all it shows."""

import hashlib
from typing import Final

from audit.comparison import Comparison
from audit.names import harmless
from audit.render.comparison.forest import draw_differences
from audit.render.comparison.naming import ComparedNames
from audit.render.comparison.rows import counted, measured, measured_of_class
from audit.render.html.page import SIGNS
from audit.render.language import Language, words_of
from audit.render.pages import page_environment

MEANINGS: Final = {
    "PASS": "B was shown to be no worse than A, but for what is allowed.",
    "FAIL": "B was shown to be worse than A.",
    "INCONCLUSIVE": "These images do not decide whether B is worse than A.",
}
_SHOWN: Final = 24


def render_page(comparison: Comparison, language: Language = "en") -> bytes:
    """Write one page that loads nothing and runs nothing; it can be mailed, kept and printed."""
    words = words_of(language)
    names = ComparedNames(comparison, words)
    rows = [*measured(comparison, words)]
    page = (
        page_environment("audit.render.comparison", language)
        .get_template("comparison.html")
        .render(
            comparison=comparison,
            sides=(("A", comparison.baseline), ("B", comparison.candidate)),
            names=names,
            counted=counted(comparison, words),
            meaning=MEANINGS[comparison.verdict],
            signs=SIGNS,
            rows=rows,
            chart=draw_differences(rows, comparison.margins.margin, words),
            class_rows=[
                (names.label(each.name), name, paired)
                for each in comparison.classes
                for name, paired in measured_of_class(each, words)
            ],
            shown=comparison.worse[:_SHOWN],
            rest=comparison.worse[_SHOWN:],
            digest=hashlib.sha256(comparison.model_dump_json().encode()).hexdigest(),
        )
    )
    return harmless(page).encode() + b"\n"
