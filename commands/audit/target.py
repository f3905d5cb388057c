"""What the command is told to audit: a name in the repository, a file, an address."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from audit import AuditSet, InputSpec, Progress, Subject, load_audit_set
from imaging import RefusedError
from service.folder import ModelRejectedError
from service.offline import find_images, open_model, read_images
from service.settings import Settings
from service.subjects import Address, open_file, open_remote, version_subject
from service.version import ServedModel


@dataclass(frozen=True)
class Target:
    """What is audited.

    Attributes
    ----------
    name
        As it is named once more in the report, its version included.
    subject
        How it is asked.
    spec
        What its images have to be.
    group
        The group to try where none is asked for.
    own
        Reads the images that came with it, and says where they are from; None if none did.
    """

    name: str
    subject: Subject
    spec: InputSpec
    group: str
    own: Callable[[], tuple[AuditSet, str]] | None = None


def open_target(
    target: str, settings: Settings, model: str | None = None, api_key: str | None = None
) -> Target:
    """Open `http://...`, a file that ends in `.onnx`, or `<name>` or `<name>/<version>`.

    Raises
    ------
    ValueError
        If there is no such thing, or it cannot be audited.
    """
    if target.startswith(("http://", "https://")):
        address = Address.parse(target, model)
        pinned, subject, spec, group = open_remote(address, api_key)
        return Target(str(pinned), subject, spec, group)
    if model is not None:
        raise RefusedError("--model is for the address of a service.")
    if target.endswith(".onnx"):
        return Target(target, *open_file(Path(target), settings))
    opened = open_model(target, settings)
    card = opened.card
    return Target(
        f"{card.name}/{card.version}",
        version_subject(opened),
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
) -> tuple[AuditSet, str]:
    """Read the images that are named, or those that came with the target; say where they are from.

    One npz file is an audit set, with its labels and groups. Files are grouped by their folders, or
    as a CSV file says.

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
    if not places:
        if target.own is None:
            raise RefusedError(
                f"{target.name} has no images of its own; --images names files, folders, or the "
                "audit.npz of a model."
            )
        return target.own()
    source = ", ".join(map(str, places))
    if len(places) == 1 and places[0].suffix == ".npz":
        audit_set, spec = load_audit_set(places[0]), target.spec
        due = (spec.channels, spec.fit.size, spec.fit.size)
        if audit_set.images.shape[1:] != due:
            raise RefusedError(
                f"{source} has images of shape {list(audit_set.images.shape[1:])}; {target.name} "
                f"takes {list(due)}."
            )
        return audit_set, source
    paths = find_images(places)
    groups = None if group_by is None else read_groups(group_by, paths)
    images = read_images(paths, target.spec, settings.max_pixels, progress)
    return AuditSet(images, groups=groups, files=tuple(map(str, paths))), source


def read_groups(group_by: str, paths: Sequence[Path]) -> npt.NDArray[np.int64]:
    """Number what images were taken of: int64 [N].

    Parameters
    ----------
    group_by
        `folder`, or the path of a CSV file: in each line a file, as its path ends, and a group.

    Raises
    ------
    ValueError
        If the CSV file cannot be read, or lacks a file.
    """
    if group_by == "folder":
        names = [str(path.parent) for path in paths]
    else:
        try:
            with Path(group_by).open(newline="", encoding="utf-8-sig") as file:
                lines = [line for line in csv.reader(file) if line]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise RefusedError(
                f"--group-by {group_by} cannot be read ({error}); 'folder', or a CSV file with a "
                "file's name and its group in each line, is accepted."
            ) from error
        if any(len(line) != 2 for line in lines):
            raise RefusedError(f"{group_by} has a line of other than two columns: file and group.")
        known = {PurePath(file).parts: group for file, group in lines}
        names = [_group_of(path, known, group_by) for path in paths]
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _group_of(path: Path, known: Mapping[tuple[str, ...], str], file: str) -> str:
    for start in range(len(path.parts)):
        if path.parts[start:] in known:
            return known[path.parts[start:]]
    raise RefusedError(f"{file} has no line for {path}; every image needs one.")
