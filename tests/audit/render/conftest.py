"""One report for each verdict, with angles and without, and one whose names are hard to write."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audit import (
    AnglePlan,
    AngleThresholds,
    Classifier,
    Execution,
    ModelIdentity,
    Report,
    SelfTest,
    Thresholds,
    audit_angles,
    audit_circle,
    run_audit,
)

NASTY = "</script><b>&\"'\x01\x0b\ufffe ]]> ü {{ 7 * 7 }} -->"
VERDICTS = {"kept": "PASS", "broken": "FAIL", "few": "INCONCLUSIVE", "nasty": "FAIL"}

Reports = dict[str, Report]


@pytest.fixture(scope="session")
def make(images: NDArray[np.uint8]) -> Callable[..., Report]:
    labels = np.arange(400) % 5

    def made(classify: Classifier, count: int = 400, source: str = "noise") -> Report:
        shown, known = images[:count], labels[:count]
        options: dict[str, Any] = {
            "thresholds": Thresholds(),
            "model": ModelIdentity(
                name="m", version=3, sha256="ab" * 32, group="D4", precision="fp32"
            ),
            "source": source,
            "self_test": SelfTest(images=32, mutant="FAIL", twin="PASS"),
            "execution": Execution(
                orbitserve="0.1.0",
                runtime="onnxruntime",
                runtime_version="1.31.0",
                provider="CPUExecutionProvider",
                threads=2,
                cpu="A processor",
            ),
            "replay": "orbitserve audit m/3 --angles 12",
        }
        report = run_audit(classify, shown, known, group="C4", **options)
        angles = audit_angles(
            classify, shown[:60], known[:60], plan=AnglePlan(12), thresholds=AngleThresholds()
        )
        return report.joined(angles, audit_circle(classify, images, [0], symmetry=None))

    return made


@pytest.fixture(scope="session")
def reports(make: Callable[..., Report], plain: Classifier, invariant: Classifier) -> Reports:
    return {
        "kept": make(invariant).joined(),
        "broken": make(plain),
        "few": make(invariant, count=40),
        "nasty": make(plain, source=NASTY),
    }


@pytest.fixture(params=VERDICTS)
def report(request: pytest.FixtureRequest, reports: Reports) -> Report:
    found = reports[request.param]
    assert found.verdict == VERDICTS[request.param]
    return found
