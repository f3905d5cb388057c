"""`orbitserve prove`: what can be shown from an ONNX file alone."""

from pathlib import Path
from typing import Annotated

import typer


def prove(
    file: Annotated[Path, typer.Argument(help="An ONNX file.")],
    group: Annotated[
        str | None,
        typer.Option(help="C4, D4, C8, ...; else the one that the file's metadata name, or C4."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=0.01, help="Largest relative residual that counts as a tie."),
    ] = 1e-5,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Prove from an ONNX file that turned images get the same answer.

    The exit status is 0 for PROVED and for PROVED WITHIN a bound, 1 for NOT PROVED and 3 for an
    error. With --tolerance 0 only exact ties are proved.

    Example: orbitserve prove model_repository/rotmnist-c4/1/model.onnx --group C4
    """
    from audit.proof import prove as run

    if not file.is_file():
        raise ValueError(f"{file} is not a file; an ONNX file is accepted.")
    proof = run(file.read_bytes(), group, tolerance=tolerance)
    if json:
        typer.echo(proof.model_dump_json(indent=2))
    else:
        typer.echo("\n  ".join([f"{proof.outcome}  {file}, over {proof.group}", *proof.reasons]))
    raise typer.Exit(1 if proof.outcome == "NOT PROVED" else 0)
