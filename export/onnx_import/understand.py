"""What a file from elsewhere is taken for, before it gets a symmetry, is proved or measured."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from artifact.card import InputSpec
from artifact.layout import check_name
from artifact.onnx_file import read_onnx
from artifact.session import check_stays_alive
from audit import ClassNames
from audit.labels import MANY_LABELS
from export.onnx_import.adapt import Adapted, adapt
from export.onnx_import.answers import check_answers
from export.onnx_import.bundle import Bundle, read_bundle
from export.onnx_import.graphs import OnnxImportError, finished
from export.onnx_import.inputs import Scaling, Sides
from export.onnx_import.outputs import OutputKind
from export.onnx_import.preprocessing import Preprocessing, told_apart
from export.sample import Sample, choose_sample
from imaging import FitPolicy, grid_rotations
from imaging.fit import FitFilter, FitMode
from models.datasets.pictures import Pictures, read_pictures


@dataclass(frozen=True)
class Request:
    """What is to be imported, and how.

    Attributes
    ----------
    file
        The graph, or a folder with it; what lies beside it is read as well.
    classes
        Their names; by default those that lie beside the graph.
    notes
        What was done to these names, for whoever reads what was done to the file.
    fit, resize, filter
        What becomes of images of other sizes; by default what lies beside the graph says, and
        padding by the bilinear filter where nothing does.
    group
        The group to prove; by default the largest that the file is proved to be invariant under.
    pictures
        The folder of images, or the audit set, that the version is measured on.
    white_level
        The white of images of more than 8 bits, as the card keeps it.
    project
        Whether to average weights that nearly tie over ``group``.
    symmetrise
        A group to average the logits over.
    multi_label
        Whether an image may get several labels, where the file gives logits and does not tell.
    all_images
        Measure on all pictures, also where the network is so large that a sample is usual.
    """

    file: Path
    name: str
    classes: tuple[str, ...]
    pictures: Path
    group: str | None = None
    scaling: Scaling | None = None
    size: int | Sides | None = None
    output: str | None = None
    output_kind: OutputKind | None = None
    fit: FitMode | None = None
    fill: int = 0
    resize: int | None = None
    filter: FitFilter | None = None
    white_level: int | None = None
    project: bool = False
    symmetrise: str | None = None
    licence: str = "not stated"
    multi_label: bool = False
    all_images: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Understood:
    """A file that keeps the contract and answers as the given one does.

    Attributes
    ----------
    request
        With the names of its classes, wherever they come from.
    adapted
        What was done to it, the ways of images and what lay beside it included.
    given
        The adapted file.
    """

    request: Request
    bundle: Bundle
    adapted: Adapted
    spec: InputSpec
    pictures: Pictures
    given: bytes

    def sample(self, group: str, multiply_adds: int) -> Sample:
        """How many pictures a version with this group and cost is measured on."""
        count = len(self.pictures.images)
        if self.request.all_images:
            return Sample(count, count)
        return choose_sample(count, group, self.audited_group(group), multiply_adds)

    def audited_group(self, group: str) -> str:
        """The group that is audited of a version with this one on its card."""
        return grid_rotations(*self.adapted.size) if group == "trivial" else group


def understand(request: Request) -> Understood:
    """Read a file and what lies beside it, bring it into the contract, and compare the answers.

    Raises
    ------
    OnnxImportError
        If the file cannot be brought into the contract, or is not what the request says it is.
    ValueError
        If the images cannot be read.
    """
    check_name(request.name)
    bundle = read_bundle(request.file)
    data, said = bundle.data, bundle.said
    _check_clear(said, {"--classes": request.classes})
    if not request.classes:
        names, twins = told_apart(said.classes)
        request = replace(request, classes=names, notes=twins)
    if not request.classes:
        read_onnx(data)  # of what is no model, nobody need name the classes
        raise OnnxImportError("Nothing beside the file names its classes; --classes does.")
    _check(request)
    adapted = adapt(
        data,
        len(request.classes),
        scaling=request.scaling,
        size=request.size,
        output=request.output,
        output_kind=request.output_kind,
        multi_label=request.multi_label,
        said=said,
    )
    _check_clear(said, {"--fit": request.fit, "--filter": request.filter})
    policy, fitting = _fit_policy(request, said, adapted.size)
    adapted = replace(
        adapted,
        adaptations=(*said.notes, *request.notes, *adapted.adaptations, fitting),
    )
    spec = InputSpec.model_validate(
        {
            "channels": adapted.channels,
            "fit": policy,
            "white_level": request.white_level,
        }
    )
    pictures = read_pictures(
        request.pictures,
        request.classes,
        adapted.channels,
        spec.fit,
        spec.white_level,
        ClassNames(request.classes).find,
    )
    given = finished(adapted.model, {})
    if adapted.multi_label and pictures.labels is not None:
        raise OnnxImportError(MANY_LABELS)
    check_stays_alive(data, given)
    check_answers(data, adapted, given, pictures.images, len(request.classes))
    return Understood(request, bundle, adapted, spec, pictures, given)


def _fit_policy(request: Request, said: Preprocessing, size: Sides) -> tuple[FitPolicy, str]:
    """Return what becomes of images of other sizes, and a sentence about it."""
    mode, resize = request.fit or said.fit or "pad", request.resize
    _check_size(request, said, size)
    if resize is None and mode == said.fit:
        resize = said.resize
    policy = FitPolicy(
        size[0],
        mode,
        request.fill,
        resize,
        request.filter or said.filter or "bilinear",
        size[1] if size[0] != size[1] else None,
    )
    whole = f"{_shown(size)} pixels" if policy.width else "a square"
    part = f"part of the proportions of {_shown(size)}" if policy.width else "square"
    shown = {
        "pad": f"padded to {whole} of level {policy.fill}",
        "crop": f"cropped to the largest {part}",
        "stretch": f"stretched to {whole if resize is None else f'{resize} pixels and cropped'}",
        "resize-crop": f"resized to {resize} pixels on the shorter side and cropped",
    }[mode]
    return policy, f"Images of other sizes are {shown}, by the {policy.filter} filter."


def _check_size(request: Request, said: Preprocessing, size: Sides) -> None:
    """Refuse a file of another size than what lies beside it makes images of, unless told how."""
    if request.fit is not None or said.fit is None or said.size == size:
        return
    if said.resize is None and (request.size is not None or said.size is None):
        return
    made = "makes images of" if said.resize is None else "crops to"
    raise OnnxImportError(
        f"What lies beside the file {made} {_shown(said.size)} pixels, and the file takes "
        f"{_shown(size)}; --fit says what is to become of images."
    )


def _shown(size: Sides | None) -> str:
    if size is None:
        return "no known number of"
    return str(size[0]) if size[0] == size[1] else f"{size[0]} x {size[1]}"


def _check_clear(said: Preprocessing, given: Mapping[str, object]) -> None:
    """Refuse what lies beside the file and is not known, unless an option says it instead."""
    for option, value in given.items():
        if option in said.unclear and not value:
            raise OnnxImportError(said.ask(option))


def _check(request: Request) -> None:
    _check_names(request.classes)
    if request.project and request.symmetrise:
        raise OnnxImportError("--project or --symmetrise is accepted, not both.")
    if request.project and not request.group:
        raise OnnxImportError("--project averages over a group; --group names it.")
    if request.symmetrise and request.group not in (None, request.symmetrise):
        raise OnnxImportError(
            "--symmetrise names the group already; --group is not accepted with it."
        )


def _check_names(names: Sequence[str]) -> None:
    """Refuse classes that nobody could tell apart, or write down."""
    accepted = "two or more classes with names of their own are accepted"
    if len(names) < 2:
        raise OnnxImportError(f"One class is named, {names[0]!r}; {accepted}.")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise OnnxImportError(
            f"The class {twice!r} is named {names.count(twice)} times; {accepted}, which --classes "
            "gives."
        )
    for name in names:
        if not name.strip() or any("\ud800" <= each <= "\udfff" for each in name):
            raise OnnxImportError(f"The class {name!r} cannot be written down; {accepted}.")
