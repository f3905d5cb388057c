"""One report for each verdict, with angles and without, and one whose names are hard to write."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from audit import (
    AnglePlan,
    AngleThresholds,
    Classifier,
    Execution,
    Report,
    SelfTest,
    Thresholds,
    audit_angles,
    audit_exhaustively,
    run_audit,
)
from audit.names import class_naming

NASTY = "</script><b>&\"'\x01\x0b\ufffe ]]> ü {{ 7 * 7 }} -->"
VERDICTS = {
    "kept": "PASS",
    "broken": "FAIL",
    "few": "INCONCLUSIVE",
    "nasty": "FAIL",
    "named": "FAIL",
}

# What folders, class names and file names were seen to hold, and what was made to break pages.
HARD_NAMES = (
    *(NASTY, "bolt\r\nwasher\u2028nut", "\x1b[2J\x1b[31mred", "]]>", "{{ 7 * 7 }}{% raw %}"),
    *(
        "\u202egnp.tlob",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u0631\u062d\u0628\u0627 (1)",
        "\u87ba\u4e1d",
        "\U0001f529\u200d\U0001f527",
    ),
    *("x" * 300, "deep/" * 60 + "bolt.png", "deep/" * 60 + "nuts.png", "same", "same"),
    *("", "  ", "-", "label 3", "<!--", "&amp;", "%s {0} {name} \\1", "a; b, c (3)", "'\"`"),
)

Reports = dict[str, Report]


@pytest.fixture(scope="session")
def make(images: NDArray[np.uint8]) -> Callable[..., Report]:
    labels = np.arange(400) % 5

    def made(
        classify: Classifier,
        count: int = 400,
        source: str = "noise",
        classes: tuple[str, ...] = (),
        files: tuple[str, ...] = (),
        class_agreement: float | None = None,
    ) -> Report:
        shown, known = images[:count], labels[:count]
        options: dict[str, Any] = {
            "thresholds": Thresholds(class_agreement=class_agreement),
            "model": ModelIdentity(
                name="m",
                version=3,
                sha256="ab" * 32,
                group="D4",
                precision="fp32",
                classes=classes,
            ),
            "files": files,
            "source": source,
            "self_test": SelfTest(images=32, mutant="FAIL", known_invariant="PASS"),
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
            classify,
            shown[:60],
            known[:60],
            plan=AnglePlan(12),
            thresholds=AngleThresholds(class_agreement=class_agreement),
            name=class_naming(classes),
        )
        return report.joined(angles, audit_exhaustively(classify, images, [0], symmetry=None))

    return made


@pytest.fixture(scope="session")
def reports(make: Callable[..., Report], plain: Classifier, invariant: Classifier) -> Reports:
    return {
        "kept": make(invariant).joined(),
        "broken": make(plain),
        "few": make(invariant, count=40).joined(),
        "nasty": make(plain, source=NASTY),
        "named": make(
            plain,
            classes=("bolt", "hexagon nut", "washer", "שלום", "spring " * 9),
            files=tuple(f"/data/parts/camera-2/{n // 80}/IMG_{n:04}.png" for n in range(400)),
            class_agreement=0.8,
        ),
    }


# What fails is among the others too, with names that say or break more.
@pytest.fixture(
    params=[pytest.param(n, marks=[pytest.mark.slow] * (n == "broken")) for n in VERDICTS]
)
def report(request: pytest.FixtureRequest, reports: Reports) -> Report:
    found = reports[request.param]
    assert found.verdict == VERDICTS[request.param]
    return found


@dataclass
class Shown:
    """A page as a phone's browser shows it."""

    page: Any
    requests: list[str]
    complaints: list[str]

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)

    @property
    def width(self) -> int:
        return int(self.ask("document.documentElement.scrollWidth"))


@pytest.fixture(scope="module")
def browse(chromium: Any) -> Iterator[Callable[[str], Shown]]:
    """Show a page, 390 pixels wide, as a file that was opened; note what it asks for and logs.

    An equal page is shown once in a module, which its tests have to leave as it was.
    """
    context = chromium.new_context(viewport={"width": 390, "height": 844})

    @cache
    def show(html: str) -> Shown:
        shown = Shown(context.new_page(), [], [])
        address = "http://report.invalid/"
        shown.page.route(address, lambda route: route.fulfill(body=html, content_type="text/html"))
        shown.page.on("console", lambda message: shown.complaints.append(message.text))
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.on("request", lambda request: shown.requests.append(request.url))
        shown.page.goto(address)
        shown.requests = [
            url for url in shown.requests if url != address and not url.startswith("data:")
        ]
        return shown

    yield show
    context.close()
