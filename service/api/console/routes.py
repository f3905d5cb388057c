"""Routes of the console's page, of its help, and of their files."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Final, get_args

from artifact.product import product_version
from audit.options import AuditOptions
from audit.render.comparison import COMPARISON_FORMATS
from audit.render.formats import FORMATS, SIGNED, SIGNED_SUFFIX
from imaging import Method
from service.api.pages import MEDIA_TYPES, WITH_IMAGES, file_endpoint
from service.http.service_route import ServiceRoute

_PAGES: Final = {"page.html": "/", "help.html": "/help"}

_UNSAID: Final = {"logit_tolerance": "by precision", "seed": "none"}
"""What stands in the field of an option without a default of its own."""


def console_routes() -> list[ServiceRoute]:
    """Build the routes; they are open, as they say the same of every service and hold no secret.

    What the page asks the service for needs a key wherever it does of any other client.
    """
    return [
        ServiceRoute(
            path,
            file_endpoint(content, MEDIA_TYPES[PurePath(name).suffix], WITH_IMAGES),
            needs="nothing",
            include_in_schema=False,
        )
        for path, name, content in _files()
    ]


def _files() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield the path, the name and what reads the content of each file."""
    for file in files(__package__).joinpath("static").iterdir():
        if file.name in _PAGES:
            yield _PAGES[file.name], file.name, partial(_render, file)
        else:
            yield f"/console/{file.name}", file.name, file.read_bytes
    yield "/console/palette.css", "palette.css", _palette


# Jinja is imported where it is needed: the service is ready before.
def _palette() -> bytes:
    from audit.render.pages import page_environment

    return page_environment("audit.render.html").get_template("palette.css").render().encode()


def _render(file: Traversable) -> bytes:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    suffixes: dict[str, str] = {name: each.suffix for name, each in FORMATS.items()}
    page = environment.from_string(file.read_text("utf-8")).render(
        version=product_version(),
        # That it is not signed here is the service's to say.
        formats=_words({**suffixes, SIGNED: SIGNED_SUFFIX}),
        comparisons=_words({name: each.suffix for name, each in COMPARISON_FORMATS.items()}),
        defaults={name: each.default for name, each in AuditOptions.model_fields.items()},
        unsaid=_UNSAID,
        resamplers=get_args(Method),
    )
    return page.encode()


def _words(suffixes: Mapping[str, str]) -> str:
    return ",".join(f"{name} {suffix}" for name, suffix in suffixes.items())
