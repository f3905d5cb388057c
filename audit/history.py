"""What became of a model from audit to audit: the figures of each report of a ledger."""

from datetime import datetime
from typing import Self

from artifact.values import Interval, Sha256, Value, Verdict
from audit.report import Report


class HistoryPoint(Value):
    """The figures of one audit.

    Attributes
    ----------
    number, stored
        Of its entry in the ledger.
    data
        Digest of the images: only points on the same ones can be compared.
    agreement, interval, asked
        The part of all units that keep their label, its interval, and what was asked.
    deviation, tolerance
        The largest change of a logit, relative to the largest logit, and what was allowed.
    accuracy
        The part of upright images that get the right label, where that is known.
    """

    number: int
    stored: datetime
    report: Sha256
    version: int
    group: str
    verdict: Verdict
    data: Sha256
    units: int
    agreement: float
    interval: Interval
    asked: float
    deviation: float
    tolerance: float
    accuracy: float | None

    @classmethod
    def of(cls, number: int, stored: datetime, digest: Sha256, report: Report) -> Self:
        """Read the figures of a report."""
        figures, thresholds, accuracy = report.figures, report.thresholds, report.figures.accuracy
        return cls(
            number=number,
            stored=stored,
            report=digest,
            version=report.model.version,
            group=report.group,
            verdict=report.verdict,
            data=report.data.sha256,
            units=figures.images,
            agreement=figures.label_agreement,
            interval=figures.agreement_interval,
            asked=thresholds.agreement,
            deviation=figures.relative_logit_deviation,
            tolerance=thresholds.logit_tolerance,
            accuracy=None if accuracy is None else accuracy.correct / accuracy.count,
        )


class History(Value):
    """Audits of a model.

    Attributes
    ----------
    points
        The oldest first.
    faults
        A sentence for each entry or report that is missing, was changed, or cannot be read.
    """

    model: str
    points: tuple[HistoryPoint, ...]
    faults: tuple[str, ...]
