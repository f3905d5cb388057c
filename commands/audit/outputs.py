"""Where a report goes and in which form, and what the exit status says."""

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
_NO_KEY: Final = f"The form {SIGNED} is a signed statement; --sign names the key that it needs."

Forms = Mapping[Format, Rendering]


@dataclass(frozen=True)
class Output:
    """A file that a report is written to, in one of the forms that can be had."""

    path: Path
    form: Format
    forms: Forms

    def write(self, report: Report, language: Language) -> None:
        """Write the file whole or not at all: aside, then renamed.

        Raises
        ------
        ValueError
            If it cannot be written.
        """
        write_file(self.path, render(report, self.form, self.forms, language))


def read_form(name: str | None, forms: Forms = FORMATS) -> Format | None:
    """Read the name of a form; ValueError if there is no such form."""
    for form in forms:
        if name == form:
            return form
    if name == SIGNED:
        raise RefusedError(_NO_KEY)
    if name is not None:
        raise RefusedError(f"There is no format {name!r}; {', '.join(FORMATS)} are accepted.")
    return None


def printed_form(form: Format | None, outputs: Sequence[Output], *, json: bool) -> Format:
    """Say in which form the report is printed: as asked, or as text where files take what is asked.

    Raises
    ------
    ValueError
        If both `--json` and another form are asked for.
    """
    if json and form is not None and not outputs:
        raise RefusedError("--json and --format both name the form of what is printed; one may.")
    if json:
        return "json"
    return "text" if outputs or form is None else form


def read_outputs(
    paths: Sequence[Path], form: Format | None, forms: Forms = FORMATS
) -> list[Output]:
    """Say in which form each file is written: as its name ends, or as `form` says.

    Raises
    ------
    ValueError
        If a name tells no form, one form is asked for and there are several files, or a file's
        folder is not there or cannot be written to.
    """
    if form is not None and len(paths) > 1:
        raise RefusedError(
            "--format names the form of one report, and there are several --output; without it, "
            "each file's ending names its own."
        )
    for path in paths:
        check_writable(path)
    return [Output(path, form or _form(path, forms), forms) for path in paths]


def check_signed(forms: Iterable[Format]) -> None:
    """Raise ValueError if no form is the one that a key is for."""
    if SIGNED not in forms:
        raise RefusedError(
            f"--sign signs the statement in an --output that ends in {SIGNED_SUFFIX}, the one that "
            f"--format {SIGNED} prints, or the entry of a --ledger; one of them is needed."
        )


def _form(path: Path, forms: Forms) -> Format:
    # `.intoto.json` is longer than `.json`, and counts first.
    for name, form in sorted(forms.items(), key=lambda entry: -len(entry[1].suffix)):
        if path.name.endswith(form.suffix):
            return name
    if path.name.endswith(SIGNED_SUFFIX):
        raise RefusedError(_NO_KEY)
    endings = ", ".join(form.suffix for form in FORMATS.values())
    raise RefusedError(
        f"The name {path} tells no form; --format, or one of {endings}, is accepted."
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
