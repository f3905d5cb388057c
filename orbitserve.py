"""The front door: the `orbitserve` command."""

import sys

import typer

from commands import audit, bring, classify, data, export, prove, serve, sign, train

app = typer.Typer(
    help="Serve image classifiers that are rotation-invariant by construction, and audit them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)
app.command("data")(data.data)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("import")(bring.bring)
app.command("serve", cls=serve.ServeCommand)(serve.serve)
app.command("classify")(classify.classify)
app.command("audit")(audit.audit)
app.command("prove")(prove.prove)
app.command("sign")(sign.sign)

ERROR = 3


def main() -> None:
    """Run the command; what it refuses is a sentence on standard error and exit status 3.

    Typer's own status for a wrong option would be 2, which says INCONCLUSIVE here.
    """
    try:
        status = app(standalone_mode=False)
    except (typer.TyperException, ValueError) as refusal:
        sentence = getattr(refusal, "format_message", refusal.__str__)()
        typer.echo(f"orbitserve: {sentence}", err=True)
        sys.exit(ERROR)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)


if __name__ == "__main__":
    main()
