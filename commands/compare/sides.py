"""What the command is told to compare: reports, or models that are audited for it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from artifact.audit_set import AuditSet
from audit import Report, ResolvedOptions, Thresholds, run_pipeline
from audit.comparison.claims import otherwise_fitted
from audit.labels import refuse_several_labels
from audit.reading import parse_report
from commands.audit.target import Target, find_here, open_target, read_audit_images
from imaging import RefusedError
from imaging.files import FileRefusedError, read_file
from service.settings import Settings

_MOST_REPORT: Final = 2**29


@dataclass(frozen=True)
class Asked:
    """How models are audited that are compared; see the options of `orbitserve audit`."""

    images: Sequence[Path]
    group: str | None
    group_by: str | None
    api_key: str | None
    settings: Settings
    stages: Callable[[str, int, int], None]
    tell: Callable[[str], None] = lambda sentence: None


@dataclass(frozen=True, eq=False)
class Compared:
    """Two reports.

    Attributes
    ----------
    images : uint8 [N, C, n, n], or None
        Those of the baseline, where they are at hand.
    notes
        What else a reader has to know, in sentences.
    """

    baseline: Report
    candidate: Report
    images: npt.NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()


def read_sides(baseline: str, candidate: str, asked: Asked) -> Compared:
    """Read or make both reports.

    Models are asked about the images that are named, else about those that came with the first
    model of the two.

    Raises
    ------
    RefusedError
        If a side is neither a report nor a model, or cannot be audited on these images.
    """
    sides = (baseline, candidate)
    stored = {side: read_report(Path(side)) for side in sides if side.endswith(".json")}
    if len(stored) == len(set(sides)):
        if asked.images or asked.group or asked.group_by:
            raise RefusedError(
                "--images, --group and --group-by are for models; reports have their own images."
            )
        return Compared(stored[baseline], stored[candidate])
    with ExitStack() as stack:
        targets: dict[str, Target] = {}
        for side in dict.fromkeys(sides):
            if side not in stored:
                targets[side] = open_target(side, asked.settings, None, asked.api_key)
                stack.enter_context(closing(targets[side].under_test))
                identity = targets[side].under_test.identity
                refuse_several_labels(identity.multi_label, targets[side].name, "compared")
        first, *others = targets.values()
        audited, source = read_audit_images(
            [*map(str, asked.images)],
            first,
            find_here(first.spec, asked.settings),
            lambda done, total: asked.stages("images", done, total),
            group_by=asked.group_by,
            tell=asked.tell,
        )
        notes = tuple(note for other in others for note in _otherwise_fitted(first, other, asked))
        group = asked.group or next((r.group for r in stored.values()), first.group)
        made = {
            side: _audited(name, target, _labelled(audited, first, target), source, group, asked)
            for name, (side, target) in zip(_stages(sides, targets), targets.items(), strict=True)
        }
    whole = stored | made
    same = whole[baseline].data.image_sha256 == audited.image_sha256()
    return Compared(whole[baseline], whole[candidate], audited.images if same else None, notes)


def read_report(path: Path) -> Report:
    """Read a report's JSON, as `--output report.json` or the ledger has it.

    Raises
    ------
    RefusedError
        If it is not there, or no such report.
    """
    try:
        content = read_file(path, _MOST_REPORT)
    except FileRefusedError as error:
        raise RefusedError(f"The report {path} {error}.") from error
    return parse_report(content, f"The file {path}")


def _stages(sides: tuple[str, str], targets: dict[str, Target]) -> list[str]:
    return ["AB"[sides.index(side)] for side in targets]


def _labelled(audited: AuditSet, first: Target, target: Target) -> AuditSet:
    """Leave out labels that are numbers of other classes; the first report says what they show."""
    known, own = (each.under_test.identity.classes for each in (first, target))
    return replace(audited, labels=None) if known and own and known != own else audited


def _audited(
    name: str, target: Target, audited: AuditSet, source: str, group: str, asked: Asked
) -> Report:
    shape, spec = audited.images.shape[1:], target.spec
    if shape != spec.shape:
        raise RefusedError(
            f"{target.name} takes images of shape {list(spec.shape)}, and the other model "
            f"{list(shape)}; two models that take the same are accepted."
        )
    precision = target.under_test.identity.precision
    return run_pipeline(
        target.under_test,
        audited,
        ResolvedOptions(group=group, thresholds=Thresholds.of(precision)),
        source=source,
        stages=lambda stage, done, total: asked.stages(f"{name}: {stage}", done, total),
    )


def _otherwise_fitted(first: Target, other: Target, asked: Asked) -> list[str]:
    if not asked.images or first.spec.fit == other.spec.fit:
        return []
    return [otherwise_fitted(first.name, other.name)]
