"""What the command is told to audit: a name in the repository, a file, an address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from artifact.audit_set import AuditSet, load_audit_set
from artifact.card import InputSpec
from audit import ClassNames, ModelUnderTest, Progress
from audit.labels import MANY_LABELS
from commands.images import FolderLabels, folder_labels, read_groups, read_labels
from imaging import RefusedError
from service.audits.targets import Address, open_file, open_remote, version_under_test
from service.decoding.files import ImageFile, find_image_files, read_images, readable
from service.repository.folder import ModelRejectedError
from service.repository.local import open_model
from service.repository.version import ServedModel
from service.settings import Settings


@dataclass(frozen=True)
class Target:
    """What is audited.

    Attributes
    ----------
    name
        As it is named once more in the report, its version included.
    under_test
        How it is asked.
    spec
        What its images have to be.
    group
        The group to try where none is asked for.
    own
        Reads the images that came with it, and says where they are from; None if none did.
    """

    name: str
    under_test: ModelUnderTest
    spec: InputSpec
    group: str
    own: Callable[[], tuple[AuditSet, str]] | None = None


def open_target(
    target: str | None,
    settings: Settings,
    model: str | None = None,
    api_key: str | None = None,
) -> Target:
    """Open `http://...`, a file that ends in `.onnx`, or `<name>` or `<name>/<version>`.

    None stands for the default model of the repository.

    Raises
    ------
    ValueError
        If there is no such thing, or it cannot be audited.
    """
    if target is not None and target.startswith(("http://", "https://")):
        address = Address.parse(target, model)
        pinned, under_test, spec, group = open_remote(address, api_key)
        return Target(str(pinned), under_test, spec, group)
    if model is not None:
        raise RefusedError("--model is for the address of a service.")
    if target is not None and target.endswith(".onnx"):
        return Target(target, *open_file(Path(target), settings))
    opened = open_model(target, settings)
    card = opened.card
    return Target(
        f"{card.name}/{card.version}",
        version_under_test(opened),
        card.input,
        card.audit.group,
        lambda: (_own_images(opened), card.audit_set.source),
    )


def _own_images(model: ServedModel) -> AuditSet:
    try:
        return model.audit_set()
    except ModelRejectedError as error:
        raise RefusedError(str(error)) from error


def read_audit_images(
    places: Sequence[Path],
    target: Target,
    settings: Settings,
    progress: Progress,
    *,
    group_by: str | None = None,
    labels: Path | None = None,
    no_labels: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
) -> tuple[AuditSet, str]:
    """Read the images that are named, or those that came with the target; say where they are from.

    One npz file is an audit set, with its labels and groups. Files are grouped by their folders, or
    as a CSV file says; what they show is the class that their sub-folder is named as, or what
    another CSV file says, unless labels are not wanted. What was understood is told in a sentence.

    Raises
    ------
    ValueError
        If there are none, one is not accepted, or an audit set is of another size.
    """
    if group_by is not None and (not places or places[0].suffix == ".npz"):
        raise RefusedError(
            "--group-by groups image files, which --images names; an audit.npz has its groups in "
            "itself, as the array 'groups'."
        )
    if labels is not None and (no_labels or not places or places[0].suffix == ".npz"):
        raise RefusedError(
            "--labels is for image files, which --images names, and not together with --no-labels; "
            "an audit.npz has its labels in itself, as the array 'labels'."
        )
    several = target.under_test.identity.multi_label
    if several and labels is not None:
        raise RefusedError(MANY_LABELS)
    if no_labels and not places:
        raise RefusedError("--no-labels is for images that --images names.")
    if not places:
        if target.own is None:
            raise RefusedError(
                f"{target.name} has no images of its own; --images names files, folders, or the "
                "audit.npz of a model."
            )
        return target.own()
    source = readable(", ".join(map(str, places)))
    if len(places) == 1 and places[0].suffix == ".npz":
        audit_set, spec = load_audit_set(places[0]), target.spec
        due = spec.shape
        if audit_set.images.shape[1:] != due:
            raise RefusedError(
                f"{source} has images of shape {list(audit_set.images.shape[1:])}; {target.name} "
                f"takes {list(due)}."
            )
        return replace(audit_set, labels=None) if no_labels else audit_set, source
    files = find_image_files(places)
    paths, names = [file.path for file in files], target.under_test.identity.classes
    classes = ClassNames(names)
    groups = None if group_by is None else read_groups(group_by, paths)
    known = None if labels is None else read_labels(labels, paths, classes)
    if several and not no_labels:
        tell("No labels are read from sub-folders: the model may give an image several.")
    elif known is None and not no_labels:
        found = folder_labels(files, classes) if names else _unnamed(files)
        known = found.labels
        if found.sentence:
            tell(found.sentence)
    images = read_images(paths, target.spec, settings.max_pixels, progress)
    return AuditSet(images, known, groups, tuple(file.name for file in files)), source


def _unnamed(files: Sequence[ImageFile]) -> FolderLabels:
    """A folder called 2024 need not be a class: where classes have no names, nothing is guessed."""
    inside = any(file.folder is not None for file in files)
    sentence = (
        "No labels are read from sub-folders: the classes of the model have no names; --labels "
        "gives them by their numbers."
    )
    return FolderLabels(None, sentence if inside else "")
