"""Which commands there are, and the words that they are called with."""

import os
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from commands import (
    audit,
    classify,
    compare,
    data,
    evaluate,
    export,
    onnx_import,
    pack,
    prove,
    serve,
    sign,
    train,
    verify,
)

_NAME: Final = "orbitserve"

_COMPLETE: Final = "_ORBITSERVE_COMPLETE"
"""What a shell sets when it asks how a line may go on."""

app = typer.Typer(
    help="Serve image classifiers that are rotation-invariant by construction, and audit them.",
    epilog="To begin: `orbitserve serve`, then open http://localhost:8000/ in a browser; or "
    "`orbitserve COMMAND --help`, which has an example of each command.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
app.command("data")(data.data)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("import")(onnx_import.import_model)
app.command("serve", cls=serve.ServeCommand)(serve.serve)
app.command("classify")(classify.classify)
app.command("audit", cls=audit.AuditCommand)(audit.audit)
app.command("evaluate")(evaluate.evaluate)
app.command("compare", cls=compare.CompareCommand)(compare.compare)
app.command("prove")(prove.prove)
app.command("pack")(pack.pack)
app.command("sign")(sign.sign)
app.command("verify")(verify.verify)


def _show_version(asked: bool) -> None:
    if asked:
        from artifact.product import product_version

        typer.echo(f"{_NAME} {product_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _front(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(words: Sequence[str]) -> int:
    """Run the command that these words call; return the status that it ends with."""
    command = typer.main.get_command(app)
    if os.environ.get(_COMPLETE):
        command.main(prog_name=_NAME)
    _check_words(words)
    try:
        with command.make_context(_NAME, [*words]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def _check_words(words: Sequence[str]) -> None:
    """Refuse an empty word: as a path it is the folder one is in, as `--ledger` it is none."""
    for before, word in zip(["", *words], words, strict=False):
        option = before if before.startswith("--") else word.removesuffix("=")
        if word == "" or (word.startswith("--") and word.endswith("=")):
            from imaging.refusal import RefusedError

            of = f"The value of {option}" if option.strip("-") else "A word of this call"
            raise RefusedError(
                f"{of} is empty, as where a variable of the shell is not set; what is to be left "
                "out is left out with its name."
            )
