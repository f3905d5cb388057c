"""The environment of pages beside that of a report: their own templates, and a report's style."""

from functools import lru_cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


@lru_cache(maxsize=4)
def page_environment(package: str) -> Environment:
    """Return the environment of a package's `templates`, which may include a report's styles."""
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader(package, "templates"),
                PackageLoader("audit.render.html", "templates"),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda part: f"{part:.2%}"
    environment.filters["asked"] = lambda part: f"{100 * part:.6g}%"
    environment.filters["brief"] = lambda value: f"{value:.3g}"
    return environment
