"""The environment of pages: their own templates, a report's styles and parts, and a language."""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from audit.names import readable
from audit.phrases import percent, up_to
from audit.render.language import Language, words_of

if TYPE_CHECKING:
    from jinja2 import Environment

_REPORT: Final = "audit.render.html"


@lru_cache(maxsize=8)
def page_environment(package: str, language: Language = "en") -> "Environment":
    """Return the environment of a package's `templates`, which may include those of a report.

    In a template `_` says a message of the page in its language, `sentence` one of the report, and
    `knows` whether that is translated.
    """
    # A twentieth of a service's start, for later.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(each, "templates") for each in dict.fromkeys((package, _REPORT))]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = words_of(language)
    environment.globals |= {
        "_": words,
        "sentence": words.sentence,
        "knows": words.knows,
        "language": language,
    }
    environment.filters["percent"] = percent
    environment.filters["rounded"] = up_to
    environment.filters["hundredfold"] = lambda part: f"{100 * part:.6g}"
    environment.filters["asked"] = lambda part: f"{100 * part:.6g}%"
    environment.filters["brief"] = lambda value: f"{value:.3g}"
    environment.filters["readable"] = readable
    return environment
