"""A model of which it is known what an audit ought to say."""

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
    ModelUnderTest,
    ResolvedOptions,
    Thresholds,
    run_pipeline,
)
from imaging import RefusedError

DIGITS: Final = Path("model_repository/rotmnist-c4/1/audit.npz")


@dataclass(frozen=True)
class Case:
    """A model with its images, and the verdict that is right; `error` where there is none.

    Attributes
    ----------
    open
        Opens the model under test.
    angles
        So many are tried as well.
    patched
        Enters an audit that is broken.
    """

    name: str
    open: Callable[[], ModelUnderTest]
    images: AuditSet
    due: str
    angles: int | None = None
    group: str = "C4"
    patched: Callable[[], AbstractContextManager[object]] = nullcontext


def known(classify: Classifier) -> Callable[[], ModelUnderTest]:
    """Return what opens a classifier of which everything is known, as a model without a file."""
    identity = ModelIdentity(name="k", version=1, sha256="0" * 64, group="C4", precision="fp32")
    return lambda: ModelUnderTest(identity, classify)


def verdict(case: Case) -> str:
    """Audit a model; `error` if it is refused."""
    under_test = case.open()
    plan = None if case.angles is None else AnglePlan(case.angles)
    asked = Thresholds.of(under_test.identity.precision)
    options = ResolvedOptions(case.group, asked, plan, pictures=False)
    try:
        with case.patched():
            return run_pipeline(under_test, case.images, options, source="digits").verdict
    except RefusedError:
        return "error"
    finally:
        under_test.close()


@cache
def digits() -> AuditSet:
    """The images that come with `rotmnist-c4`, with their labels."""
    return load_audit_set(DIGITS)
