"""Where a comparison goes and in which format."""

from collections.abc import Sequence
from pathlib import Path

from audit.render.comparison import COMPARISON_FORMATS, ComparisonFormat
from audit.render.language import LANGUAGES, Language
from commands.writing import check_writable
from imaging import RefusedError


def read_comparison_format(
    name: str | None, *, json: bool, outputs: bool = False
) -> ComparisonFormat | None:
    """Read which format is asked for; None if none is.

    Raises
    ------
    RefusedError
        If there is no such format, or two are asked for.
    """
    if json and name not in (None, "json") and not outputs:
        raise RefusedError("--json and --format both name the format of what is printed; one may.")
    for report_format in COMPARISON_FORMATS:
        if name == report_format:
            return report_format
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
    paths: Sequence[Path], report_format: ComparisonFormat | None
) -> list[tuple[Path, ComparisonFormat]]:
    """Say in which format each file is written: as its name ends, or as `format` says.

    Raises
    ------
    RefusedError
        If a name tells no format, one format is asked for and there are several files, or a file
        cannot be written.
    """
    if report_format is not None and len(paths) > 1:
        raise RefusedError(
            "--format names the format of one comparison, and there are several --output; without "
            "it, each file's ending names its own."
        )
    for path in paths:
        check_writable(path)
    return [(path, report_format or _format_of(path)) for path in paths]


def _format_of(path: Path) -> ComparisonFormat:
    for name, rendering in COMPARISON_FORMATS.items():
        if path.name.endswith(rendering.suffix):
            return name
    endings = ", ".join(rendering.suffix for rendering in COMPARISON_FORMATS.values())
    raise RefusedError(
        f"The name {path} tells no format; --format, or one of {endings}, is accepted."
    )
