"""What `orbitserve audit` does, in order."""

import time
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from artifact.audit_set import AuditSet
from audit import (
    Journal,
    ModelUnderTest,
    Report,
    ResolvedOptions,
    run_pipeline,
)
from audit.cost import classifications
from audit.options import AuditOptions
from audit.plan import AuditPlan, read_plan
from audit.render import Language, formats
from bulk.sources import Columns, is_bulk
from commands.audit.bulk import BulkOptions, in_bulk
from commands.audit.ledger import check_outside, open_appender
from commands.audit.replay import given_options
from commands.audit.signing import check_key_is_there, check_key_is_used, read_signer
from commands.audit.target import Target, find_here, open_target, read_audit_images
from commands.bulk import EngineOptions
from commands.display import chosen_progress, telling
from commands.model_options import read_options
from commands.options import (
    DEFAULT_MODEL,
    MODEL_UNDER_TEST,
    ApiKey,
    Device,
    EngineName,
    FailOn,
    GroupBy,
    ImageColumn,
    Json,
    ObjectStore,
    Output,
    RayAddress,
    Repository,
    ServedModel,
    Shown,
    Workers,
)
from commands.outputs import Outputs
from commands.reading import settings_of_a_command
from commands.verdicts import exit_status, read_fail_on
from imaging import RefusedError
from service.audits.reproduce import replay

_TIMED: Final = 64
"""Images that are classified twice to tell how long an audit takes."""

_SHORT: Final = 30.0
"""Seconds of an audit whose length nobody asks for."""


def run(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(help=f"{MODEL_UNDER_TEST}; else {DEFAULT_MODEL}.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            help="Image files, folders of them, Parquet files, URLs of these that fsspec opens, or "
            "one audit.npz; without any, the audit set that came with the model, the first of two."
        ),
    ] = None,
    repository: Repository = None,
    device: Device = None,
    model: ServedModel = None,
    api_key: ApiKey = None,
    group_by: GroupBy = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of image files and what they show; else sub-folders that are named as "
            "classes say it."
        ),
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Read none, whatever folders are called.")
    ] = False,
    about: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of what the report is to say (requirement, auditor, data, ...) and, "
            "under 'options', of what is asked; options of the command precede."
        ),
    ] = None,
    json: Json = False,
    report_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of the report: json, text, html, junit, sarif, ..."),
    ] = None,
    language: Annotated[Language, typer.Option(help="Language of text and html.")] = "en",
    output: Output = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            help="Ledger that the report is appended to: a folder, or a URL that fsspec opens."
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            help="PEM file: private key that signs the statement in an --output that ends in "
            ".intoto.jsonl, and the ledger's entry."
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file: certificate of that key, then those up to a root."),
    ] = None,
    fail_on: FailOn = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="File that keeps the answers, for an audit that was interrupted."),
    ] = None,
    progress: Shown = "auto",
    engine: EngineName = "local",
    workers: Workers = None,
    object_store: ObjectStore = None,
    ray_address: RayAddress = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            help="Folder for fitted images while the audit runs, which all machines of a cluster "
            "see; else the system's temporary one."
        ),
    ] = None,
    image_column: ImageColumn = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Of Parquet files: the column of what images show; else 'label'."),
    ] = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable", help="Leave out images that cannot be read, and say how many."
        ),
    ] = False,
    **asked: Any,
) -> None:
    """Audit a model; `asked` has the fields of `AuditOptions`."""
    signer = read_signer(sign, certificate)
    if signer is None:
        check_key_is_there(report_format, output or [])
    read = (target, labels, group_by, about, sign, certificate, resume, *(images or ()))
    outputs = Outputs.read(formats(signer), output, report_format, json=json, read=read)
    if ledger:
        check_outside(ledger, [*(output or ()), *([resume] if resume else ())])
    elif signer:
        check_key_is_used([outputs.printed, *(name for _, name in outputs.files)])
    failures = read_fail_on(fail_on)
    chosen = EngineOptions(engine, workers, object_store, ray_address)
    options_in_bulk = BulkOptions(
        chosen, Columns(image_column, label_column), scratch, skip_unreadable
    )
    if label_column is not None and (labels is not None or no_labels):
        raise RefusedError(
            "--label-column, --labels and --no-labels each say where labels are read; one may."
        )
    in_any_case = chosen.on_ray or scratch or image_column or label_column or skip_unreadable
    many = bool(in_any_case or any(map(is_bulk, images or ())))
    settings = settings_of_a_command(repository, device)
    append = open_appender(ledger, signer) if ledger else None
    plan = AuditPlan() if about is None else read_plan(about)
    opened = open_target(target, settings, model, api_key)
    options = _options(context, plan, asked).resolve(
        opened.under_test.identity.precision, opened.group, opened.spec.fit.fill
    )
    tell = telling(progress)
    with (
        closing(opened.under_test),
        Journal(resume) if resume else nullcontext() as journal,
        in_bulk(options_in_bulk, opened, settings, tell) if many else nullcontext() as bulk,
        chosen_progress(progress) as show,
    ):
        audited, source = read_audit_images(
            images or [],
            opened,
            bulk.find if bulk else find_here(opened.spec, settings),
            lambda done, total: show("images", done, total),
            group_by=group_by,
            labels=labels,
            no_labels=no_labels,
            tell=tell,
        )
        under_test = opened.under_test.recorded(journal) if journal else opened.under_test
        if progress != "none":
            _say_the_cost(under_test, audited, options, opened, bulk.workers if bulk else 1)
        if bulk:
            under_test = bulk.asked(under_test, audited, journal)
        report: Report = run_pipeline(
            under_test,
            audited,
            options,
            source=source,
            about=None if about is None else plan.about,
            replay=replay(
                opened.name,
                given_options(context),
                settings,
                [name for name, value in context.params.items() if value is not None],
            ),
            stages=show,
        )
    if journal:
        tell(f"{resume}: {journal.kept} answers kept, {journal.asked} asked")
    with ExitStack() as stack:  # neither the report nor its entry is lost where the other fails
        if append:
            stack.callback(lambda: tell(append(report)))
        outputs.write(report, language)
    raise typer.Exit(exit_status(report.verdict, failures))


def _options(context: typer.Context, plan: AuditPlan, asked: dict[str, Any]) -> AuditOptions:
    """Return what is asked: as the command says, else as the plan does, else by default."""
    given = {
        name: value
        for name, value in asked.items()
        if (source := context.get_parameter_source(name)) is not None and source.name != "DEFAULT"
    }
    return read_options(AuditOptions, {**plan.asked, **given})


def _say_the_cost(
    under_test: ModelUnderTest,
    audited: AuditSet,
    options: ResolvedOptions,
    opened: Target,
    workers: int,
) -> None:
    """Say how many images are going to be classified, and about how long that takes."""
    total = classifications(
        options,
        len(audited.images),
        sides=opened.spec.fit.shape,
        quarters_exact=False,
        multi_label=under_test.identity.multi_label,
    )
    some = np.ascontiguousarray(audited.images[: min(_TIMED, under_test.batch_size)])
    under_test.classify(some)  # what comes first takes longer
    began = time.monotonic()
    under_test.classify(some)
    seconds = (time.monotonic() - began) / len(some) * total / workers
    if seconds >= _SHORT:
        count = min(len(audited.images), options.most_images or len(audited.images))
        typer.echo(
            f"At most {total} images are classified, for {count} that are audited; this takes "
            f"about {_duration(seconds)}"
            + ("." if options.most_images else ", or less with --quick."),
            err=True,
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
