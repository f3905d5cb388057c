"""What somebody says of an audit and of its images, for whoever reads the report."""

from typing import Annotated

from pydantic import Field, StringConstraints

from artifact.values import Value

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class AboutData(Value):
    """Where the images come from.

    Attributes
    ----------
    supplier
        Who supplied them.
    sampling
        How they were drawn, and from what.
    licence
        Under which they may be used.
    """

    supplier: Text | None = None
    sampling: Text | None = None
    licence: Text | None = None


class About(Value):
    """What is said of an audit. Nobody checks it: it is carried into the report as it stands.

    Attributes
    ----------
    requirement
        The identifier of the requirement that the audit is evidence for.
    intended_use
        What the model is for.
    auditor
        Who audits.
    rationale
        Why these thresholds.
    data
        Of the images.
    notes
        Whatever else, by its name.
    """

    requirement: Text | None = None
    intended_use: Text | None = None
    auditor: Text | None = None
    rationale: Text | None = None
    data: AboutData = AboutData()
    notes: Annotated[dict[Name, Text], Field(max_length=50)] = Field(default_factory=dict)
