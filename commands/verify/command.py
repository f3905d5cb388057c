"""`orbitserve verify`: whether a report is the one that was signed, and a ledger what it was."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[REPORT | ENVELOPE]...",
            help="A report as JSON, its envelope (.intoto.jsonl), or both; of one, the other is "
            "looked for beside it.",
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The model's file, to be the one that was audited.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="PEM file: public key of the signer; else ORBITSERVE_PUBLIC_KEY."),
    ] = None,
    certificate_roots: Annotated[
        Path | None,
        typer.Option(help="PEM file: roots of its certificate; else ORBITSERVE_CERTIFICATE_ROOTS."),
    ] = None,
    certificate_identity: Annotated[
        str | None,
        typer.Option(help="Name that its certificate has: CN=signer, a mail address, a URI."),
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(help="Ledger to be checked whole: a folder, or a URL of fsspec's.")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Digest of its newest entry, as it was written down earlier.")
    ] = None,
) -> None:
    """Verify a signed report, or a ledger.

    The exit status is 0 where all is as it was signed or stored, 1 where it is not, with a sentence
    for each thing that is wrong, and 3 for an error. It needs the extra `signing` for signatures.

    Example: orbitserve verify report.json --key signer.pub.pem --model model.onnx

    Example: orbitserve verify --ledger audits --head 5d1f... --key signer.pub.pem
    """
    from commands.names import on_one_line
    from commands.verify.findings import ledger_findings, read_trust, report_findings
    from imaging import RefusedError

    if bool(files) == bool(ledger):
        raise RefusedError("A report or its envelope is verified, or a --ledger; one is accepted.")
    if ledger and model is not None:
        raise RefusedError("--model is for a report, and a ledger is of many.")
    if head is not None and not ledger:
        raise RefusedError("--head is for a --ledger, and there is none.")
    asked = key is not None or certificate_roots is not None
    trust = read_trust(key, certificate_roots, certificate_identity)
    if ledger:
        good, sentences = ledger_findings(ledger, head, trust, unsigned=not asked)
    else:
        good, sentences = report_findings(files or [], model, trust)
    for sentence in sentences:
        typer.echo(on_one_line(sentence))
    raise typer.Exit(0 if good else 1)
