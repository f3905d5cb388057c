"""The front door: the `orbitserve` command."""

import sys

import typer

from commands import (
    audit,
    classify,
    compare,
    data,
    evaluate,
    export,
    onnx_import,
    prove,
    serve,
    sign,
    train,
    verify,
)
from commands.failures import ERROR, INTERRUPTED, end, explain

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
app.command("import")(onnx_import.import_model)
app.command("serve", cls=serve.ServeCommand)(serve.serve)
app.command("classify")(classify.classify)
app.command("audit", cls=audit.AuditCommand)(audit.audit)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("prove")(prove.prove)
app.command("sign")(sign.sign)
app.command("verify")(verify.verify)


def main() -> None:
    """Run the command; whatever ends it before its end is a sentence and exit status 3.

    Typer's own statuses are left out: 2 for a wrong option says INCONCLUSIVE here, and 1 for an
    output that is closed says FAIL.
    """
    try:
        status = end(_run())
    except KeyboardInterrupt as interrupt:
        status = end(INTERRUPTED, str(interrupt) or None)
    except Exception as error:
        status = end(ERROR, explain(error))
    sys.exit(status)


def _run() -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("orbitserve", sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


if __name__ == "__main__":
    main()
