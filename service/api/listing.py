"""What `GET /models` and its like answer."""

from pydantic import BaseModel

from artifact.card import Card
from artifact.figures import ProofFigures
from service.repository.verification import Verification
from service.signatures import SignatureStatus


class Runtime(BaseModel):
    """Where a model runs."""

    device: str
    providers: list[str]
    """onnxruntime's execution providers; no node runs on another."""
    nodes: dict[str, list[str]]
    """By execution provider, the graph's nodes that it was given, `<name> (<operator>)`."""
    threads: int
    note: str | None
    """Why it does not run on a better device, if that was tried."""


class Failure(BaseModel):
    """A version that is there and not served."""

    version: int
    reason: str


class ModelSummary(BaseModel):
    """A model, as its latest version has it; those fields are null where no version is served."""

    name: str
    default: bool
    """Whether this model answers `/classify`."""
    versions: list[int]
    """The versions that are served."""
    failed: list[Failure]
    version: int | None
    """The latest of them: the one that the rest of this object describes."""
    digest: str | None
    description: str | None
    group: str | None
    precision: str | None
    proof: ProofFigures | None
    """What the card says; `GET /models/{name}/proof` says what the file shows."""
    device: str | None


class Models(BaseModel):
    """Everything in the repository."""

    models: list[ModelSummary]


class ModelDetail(BaseModel):
    """One version that is served, with its whole card."""

    name: str
    version: int
    digest: str
    versions: list[int]
    failed: list[Failure]
    runtime: Runtime
    signature: SignatureStatus
    verification: Verification
    card: Card
