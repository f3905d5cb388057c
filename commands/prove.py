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
    timeout: Annotated[float, typer.Option(help="Seconds that the proof may take.")] = 60,
    memory: Annotated[int, typer.Option(min=1, help="MiB that the proof may hold.")] = 2048,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Prove from an ONNX file that rotated images get the same answer.

    The exit status is 0 for PROVED and for PROVED WITHIN a bound, 1 for NOT PROVED and 3 for an
    error, such as a proof that takes more than it may. With --tolerance 0 only exact ties are
    proved.

    Example: orbitserve prove model_repository/rotmnist-c4/1/model.onnx --group C4
    """
    from artifact.files import MOST_GRAPH
    from artifact.session import run_both_ways
    from audit.proof import MEBIBYTE, Limits
    from audit.proving import prove_file
    from commands.names import on_one_line
    from imaging import RefusedError
    from imaging.files import read_named

    if not timeout > 0:
        raise RefusedError(f"--timeout is {timeout:g}; more than 0 seconds are accepted.")
    limits = Limits(seconds=timeout, memory=memory * MEBIBYTE)
    proof = prove_file(
        read_named(file, min(limits.memory, MOST_GRAPH)),
        group,
        tolerance=tolerance,
        runtime=run_both_ways,
        limits=limits,
    )
    if json:
        typer.echo(proof.model_dump_json(indent=2))
    else:
        told = [f"{proof.outcome}  {file}, over {proof.group}", *proof.reasons]
        typer.echo("\n  ".join(map(on_one_line, told)))
    raise typer.Exit(1 if proof.outcome == "NOT PROVED" else 0)
