"""Where what a command makes goes: on standard output and into files, each in a format."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

import typer

from audit.render import Language
from audit.render.rendering import Document, Rendering
from commands.writing import Read, check_apart, check_writable, write_file
from imaging import RefusedError

Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Outputs(Generic[Name, Document]):
    """The formats that there are, the one that is printed, and those of files.

    With files, or where nothing is asked for, text is printed.
    """

    formats: Mapping[Name, Rendering[Document]]
    printed: Name
    files: Sequence[tuple[Path, Name]]

    @classmethod
    def read(
        cls,
        formats: Mapping[Name, Rendering[Document]],
        paths: Sequence[Path] | None,
        asked: str | None = None,
        *,
        json: bool,
        read: Iterable[Read] = (),
    ) -> Self:
        """Read `--output`, `--format` and `--json`.

        Parameters
        ----------
        asked
            The format of what is printed, or of one file; else files are written as they are named.
        json
            Whether all of it is printed as JSON.
        read
            What the command reads, which no file may take the place of.

        Raises
        ------
        RefusedError
            If there is no such format, a name tells none, one is asked for and there are several
            files, or a file cannot be written or is read.
        """
        paths = paths or []
        named = None if asked is None else _named(formats, asked)
        if json and named not in (None, "json") and not paths:
            raise RefusedError(
                "--json and --format both name the format of what is printed; one may."
            )
        if named is not None and len(paths) > 1:
            raise RefusedError(
                "--format names the format of one file, and there are several --output; without "
                "it, each file's ending names its own."
            )
        for path in paths:
            check_writable(path)
        check_apart(paths, read)
        files = [(path, named or _ending(formats, path)) for path in paths]
        printed = named if named is not None and not paths else _named(formats, "text")
        return cls(formats, _named(formats, "json") if json else printed, files)

    def write(self, document: Document, language: Language = "en") -> None:
        """Print a document and write the files, each whole or not at all.

        What cannot be printed or written costs nothing of the rest.

        Raises
        ------
        OSError
            If it cannot be printed.
        RefusedError
            If a file cannot be written.
        """

        def write(path: Path, name: Name) -> None:
            write_file(path, self.formats[name].write(document, language))

        with ExitStack() as stack:  # which does all of it, and then raises what went wrong
            for path, name in reversed(self.files):
                stack.callback(write, path, name)
            typer.echo(self.formats[self.printed].write(document, language), nl=False)


def _named(formats: Mapping[Name, Rendering[Document]], asked: str) -> Name:
    for name in formats:
        if name == asked:
            return name
    raise RefusedError(f"There is no format {asked!r}; {', '.join(formats)} are accepted.")


def _ending(formats: Mapping[Name, Rendering[Document]], path: Path) -> Name:
    # `.intoto.json` is longer than `.json`, and counts first.
    for name, rendering in sorted(formats.items(), key=lambda entry: -len(entry[1].suffix)):
        if path.name.lower().endswith(rendering.suffix):
            return name
    endings = ", ".join(rendering.suffix for rendering in formats.values())
    raise RefusedError(f"The name {path} tells no format; one that ends in {endings} is accepted.")
