"""A subject of which it is known what an audit ought to say."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from artifact.audit_set import AuditSet, load_audit_set
from artifact.identity import ModelIdentity
from audit import (
    AnglePlan,
    Classifier,
    Question,
    Subject,
    Thresholds,
    audit_tiers,
)
from imaging import RefusedError

DIGITS: Final = Path("model_repository/rotmnist-c4/1/audit.npz")


@dataclass(frozen=True)
class Case:
    """A subject with its images, and the verdict that is right; `error` where there is none.

    Attributes
    ----------
    open
        Opens the subject.
    angles
        So many are tried as well.
    procedure
        Enters a procedure that is broken.
    """

    name: str
    open: Callable[[], Subject]
    images: AuditSet
    due: str
    angles: int | None = None
    group: str = "C4"
    procedure: Callable[[], AbstractContextManager[object]] = nullcontext


def known(classify: Classifier) -> Callable[[], Subject]:
    """Return what opens a classifier of which everything is known, as a subject without a file."""
    identity = ModelIdentity(name="k", version=1, sha256="0" * 64, group="C4", precision="fp32")
    return lambda: Subject(identity, classify)


def verdict(case: Case) -> str:
    """Audit a subject; `error` if it is refused."""
    subject = case.open()
    plan = None if case.angles is None else AnglePlan(case.angles)
    asked = Thresholds.of(subject.identity.precision)
    question = Question(case.group, asked, plan, pictures=False)
    try:
        with case.procedure():
            return audit_tiers(subject, case.images, question, source="digits").verdict
    except RefusedError:
        return "error"
    finally:
        subject.close()


@cache
def digits() -> AuditSet:
    """The images that come with `rotmnist-c4`, with their labels."""
    return load_audit_set(DIGITS)
