"""Where a report goes and in which format, and what the exit status says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from artifact.values import Verdict
from audit import Report
from audit.render import FORMATS, SIGNED, SIGNED_SUFFIX, Format, Language, Rendering, render
from commands.writing import check_writable, write_file
from imaging import RefusedError

_STATUS: Final[dict[Verdict, int]] = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}
_NEVER: Final = "never"
_NO_KEY: Final = f"The format {SIGNED} is a signed statement; --sign names the key that it needs."

Renderings = Mapping[Format, Rendering]


@dataclass(frozen=True)
class Output:
    """A file that a report is written to, in one of the formats that can be had."""

    path: Path
    format: Format
    renderings: Renderings

    def write(self, report: Report, language: Language) -> None:
        """Write the file whole or not at all: aside, then renamed.

        Raises
        ------
        ValueError
            If it cannot be written.
        """
        write_file(self.path, render(report, self.format, self.renderings, language))


def read_format(name: str | None, renderings: Renderings = FORMATS) -> Format | None:
    """Read the name of a format; ValueError if there is no such format."""
    for report_format in renderings:
        if name == report_format:
            return report_format
    if name == SIGNED:
        raise RefusedError(_NO_KEY)
    if name is not None:
        raise RefusedError(f"There is no format {name!r}; {', '.join(FORMATS)} are accepted.")
    return None


def printed_format(
    report_format: Format | None, outputs: Sequence[Output], *, json: bool
) -> Format:
    """Say in which format the report is printed: as asked, or as text where files take what is
    asked.

    Raises
    ------
    ValueError
        If both `--json` and another format are asked for.
    """
    if json and report_format is not None and not outputs:
        raise RefusedError("--json and --format both name the format of what is printed; one may.")
    if json:
        return "json"
    return "text" if outputs or report_format is None else report_format


def read_outputs(
    paths: Sequence[Path], report_format: Format | None, renderings: Renderings = FORMATS
) -> list[Output]:
    """Say in which format each file is written: as its name ends, or as `format` says.

    Raises
    ------
    ValueError
        If a name tells no format, one format is asked for and there are several files, or a file's
        folder is not there or cannot be written to.
    """
    if report_format is not None and len(paths) > 1:
        raise RefusedError(
            "--format names the format of one report, and there are several --output; without it, "
            "each file's ending names its own."
        )
    for path in paths:
        check_writable(path)
    return [
        Output(path, report_format or _format_of(path, renderings), renderings) for path in paths
    ]


def check_signed(renderings: Iterable[Format]) -> None:
    """Raise ValueError if no format is the one that a key is for."""
    if SIGNED not in renderings:
        raise RefusedError(
            f"--sign signs the statement in an --output that ends in {SIGNED_SUFFIX}, the one that "
            f"--format {SIGNED} prints, or the entry of a --ledger; one of them is needed."
        )


def _format_of(path: Path, renderings: Renderings) -> Format:
    # `.intoto.json` is longer than `.json`, and counts first.
    for name, rendering in sorted(renderings.items(), key=lambda entry: -len(entry[1].suffix)):
        if path.name.endswith(rendering.suffix):
            return name
    if path.name.endswith(SIGNED_SUFFIX):
        raise RefusedError(_NO_KEY)
    endings = ", ".join(rendering.suffix for rendering in FORMATS.values())
    raise RefusedError(
        f"The name {path} tells no format; --format, or one of {endings}, is accepted."
    )


def read_fail_on(text: str | None) -> frozenset[Verdict]:
    """Read which verdicts are failures: `fail,inconclusive` for instance, or `never`.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if text is None:
        return frozenset(get_args(Verdict))
    named = [part.strip().upper() for part in text.split(",")]
    if named == [_NEVER.upper()]:
        return frozenset()
    if not set(named) <= set(_STATUS) - {"PASS"}:
        raise RefusedError(
            f"--fail-on is {text!r}; fail, inconclusive, both with a comma in between, or "
            f"{_NEVER}, is accepted."
        )
    return frozenset(verdict for verdict in _STATUS if verdict in named)


def exit_status(verdict: Verdict, fail_on: frozenset[Verdict]) -> int:
    """Return 0 for PASS, 1 for FAIL and 2 for INCONCLUSIVE; 0 for what is no failure."""
    return _STATUS[verdict] if verdict in fail_on else 0
