"""CSV files that say something of each image file: a name and a value in each line."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from audit import ClassNames
from imaging import RefusedError
from imaging.files import MOST_TEXT, FileRefusedError, read_file


def read_groups(group_by: str, paths: Sequence[Path]) -> npt.NDArray[np.int64]:
    """Number what images were taken of: int64 [N].

    Parameters
    ----------
    group_by
        `folder`, or the path of a CSV file: in each line a file, as its path ends, and a group.

    Raises
    ------
    ValueError
        If the CSV file cannot be read, or lacks a file.
    """
    if group_by == "folder":
        names = [str(path.parent) for path in paths]
    else:
        table = _Table.read(Path(group_by), "--group-by", "group", "'folder', or a CSV file")
        names = [table.value(path) for path in paths]
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def read_labels(file: Path, paths: Sequence[Path], classes: ClassNames) -> npt.NDArray[np.int64]:
    """Read what images show, int64 [N]: in each line of a CSV file a file, as its path ends, and a
    class.

    Raises
    ------
    ValueError
        If the CSV file cannot be read, lacks a file, has one line for several, or names what is no
        class.
    """
    table = _Table.read(file, "--labels", "label", "a CSV file")
    table.check_apart(paths)
    return np.array([classes.index(table.value(path), str(file)) for path in paths], np.int64)


class _Table:
    """What a CSV file says of image files."""

    def __init__(self, file: Path, known: dict[tuple[str, ...], str]) -> None:
        self._file, self._known = file, known

    @classmethod
    def read(cls, file: Path, option: str, column: str, accepted: str) -> "_Table":
        try:
            text = read_file(file, MOST_TEXT).decode("utf-8-sig")
            found = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
        except (FileRefusedError, UnicodeDecodeError, csv.Error) as error:
            raise RefusedError(
                f"{option} {file} {_reason(error)}; {accepted} with a file's name and its "
                f"{column} in each line, is accepted."
            ) from error
        if any(len(line) != 2 for line in found):
            raise RefusedError(
                f"{file} has a line of other than two columns, with a comma in between: file and "
                f"{column}."
            )
        known: dict[tuple[str, ...], str] = {}
        # Neither blanks beside a comma nor how a letter is composed tell one part from another.
        for name, cell in found:
            value = unicodedata.normalize("NFC", cell.strip())
            if known.setdefault(_parts(name), value) != value:
                raise RefusedError(
                    f"{file} has two lines for {name}, {known[_parts(name)]!r} and {value!r}; one "
                    f"{column} a file is accepted."
                )
        return cls(file, known)

    def value(self, path: Path) -> str:
        """What is said of a file: in the line that agrees with most of the end of its path."""
        return self._known[self._line(path)]

    def check_apart(self, paths: Sequence[Path]) -> None:
        """Refuse a line for several files of one name, of which nobody knows which is meant."""
        found: dict[tuple[str, ...], Path] = {}
        for path in paths:
            line = self._line(path)
            if found.setdefault(line, path) != path:
                raise RefusedError(
                    f"{self._file} has one line, {'/'.join(line)}, for {found[line]} and {path}; "
                    "one that names the folder too, for each of them, is accepted."
                )

    def _line(self, path: Path) -> tuple[str, ...]:
        parts = _parts(str(path.absolute()))
        for start in range(len(parts)):
            if parts[start:] in self._known:
                return parts[start:]
        raise RefusedError(f"{self._file} has no line for {path}; every image needs one.")


def _reason(error: Exception) -> str:
    if isinstance(error, FileRefusedError):
        return str(error).partition(";")[0]  # what else is accepted is said behind it
    return "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"is no CSV file ({error})"


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a path; a file system may have decomposed what an editor composed."""
    return PurePath(unicodedata.normalize("NFC", name)).parts
