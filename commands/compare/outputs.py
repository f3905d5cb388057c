"""Where a comparison goes and in which form."""

from collections.abc import Sequence
from pathlib import Path

from audit.render.comparison import COMPARISON_FORMATS, ComparisonFormat
from audit.render.language import LANGUAGES, Language
from commands.writing import check_writable
from imaging import RefusedError


def read_comparison_form(
    name: str | None, *, json: bool, outputs: bool = False
) -> ComparisonFormat | None:
    """Read which form is asked for; None if none is.

    Raises
    ------
    RefusedError
        If there is no such form, or two are asked for.
    """
    if json and name not in (None, "json") and not outputs:
        raise RefusedError("--json and --format both name the form of what is printed; one may.")
    for form in COMPARISON_FORMATS:
        if name == form:
            return form
    if name is not None:
        accepted = ", ".join(COMPARISON_FORMATS)
        raise RefusedError(f"There is no format {name!r}; {accepted} are accepted.")
    return None


def read_language(name: str) -> Language:
    """Read the name of a language; RefusedError if nobody translated into it."""
    for language in LANGUAGES:
        if name == language:
            return language
    raise RefusedError(f"There is no language {name!r}; {', '.join(LANGUAGES)} are accepted.")


def read_comparison_outputs(
    paths: Sequence[Path], form: ComparisonFormat | None
) -> list[tuple[Path, ComparisonFormat]]:
    """Say in which form each file is written: as its name ends, or as `form` says.

    Raises
    ------
    RefusedError
        If a name tells no form, one form is asked for and there are several files, or a file
        cannot be written.
    """
    if form is not None and len(paths) > 1:
        raise RefusedError(
            "--format names the form of one comparison, and there are several --output; without "
            "it, each file's ending names its own."
        )
    for path in paths:
        check_writable(path)
    return [(path, form or _form(path)) for path in paths]


def _form(path: Path) -> ComparisonFormat:
    for name, form in COMPARISON_FORMATS.items():
        if path.name.endswith(form.suffix):
            return name
    endings = ", ".join(form.suffix for form in COMPARISON_FORMATS.values())
    raise RefusedError(
        f"The name {path} tells no form; --format, or one of {endings}, is accepted."
    )
