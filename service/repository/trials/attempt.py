"""What is done with a version in the process that tries it: all that loading it does."""

import resource
import sys
import time
import traceback
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from audit import Stages
from audit.proof import MEBIBYTE
from service.engine import ProviderCandidates, nvidia
from service.repository.folder import ModelRejectedError
from service.repository.verification import Verification
from service.repository.version import load_version
from service.settings import Settings
from service.signatures import open_verifier

_THREADS = 2
"""How often a session's threads may be there: a quick graph is opened a second time."""

_LONGEST = 500
_LONGEST_TRACE = 20_000

_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")
"""How onnxruntime and the C++ library say that there is none left."""


@dataclass(frozen=True)
class Attempt:
    """A version to be tried, and what it would be served with."""

    folder: Path
    settings: Settings
    candidates: ProviderCandidates


class Tried(BaseModel):
    """How a version came out: refused with a sentence, or tried with a verification."""

    model_config = ConfigDict(frozen=True)

    refused: str | None = None
    digest: str = ""
    """SHA-256 of the card that was read, which names those of the other files."""
    verification: Verification | None = None
    quick: bool | None = None
    """Whether the graph was found to be, which decides how many threads run it."""
    defect: str | None = None
    """Where it was refused for an error that nobody expected: the traceback, for the log."""


def try_version(attempt: Attempt, progress: Stages = lambda *_: None) -> Tried:
    """Load a version as it would be served, verify its claims, and say how it came out.

    `progress` is called as `verify` calls it.
    """
    settings, candidates = attempt.settings, attempt.candidates
    threads, until = settings.threads or settings.cpus, time.monotonic() + settings.load_seconds
    on_device = any(configuration.memory is not None for configuration in candidates.configurations)
    _limit_memory(None if on_device else settings.load_memory * MEBIBYTE, threads)
    try:
        if on_device:
            with redirect_stdout(sys.stderr):
                nvidia.preload()
        model = load_version(
            attempt.folder,
            candidates,
            threads,
            settings.limits,
            settings.proof,
            open_verifier(settings),
            proof_limits=settings.proof_limits,
            until=until,
            progress=progress,
        )
    except Exception as error:  # whatever it is that its files made a library raise
        if _is_of_memory(error):
            return too_large(settings)
        if isinstance(error, ModelRejectedError):
            return Tried(refused=sentence(str(error)))
        defect = "".join(traceback.format_exception(error))
        return Tried(refused=failure(error), defect=defect[-_LONGEST_TRACE:])
    return Tried(
        digest=model.card_sha256,
        verification=model.verification,
        quick=model.session.graph.quick,
    )


def too_large(settings: Settings) -> Tried:
    """Refuse a version for the memory that it takes."""
    return Tried(
        refused=f"It takes more than the {settings.load_memory} MiB that trying it may take; a "
        "smaller one, or a larger ORBITSERVE_LOAD_MEMORY, is accepted."
    )


def _is_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def failure(error: Exception) -> str:
    """Say in one sentence that an error which nobody expected ended the trial."""
    lines = str(error).strip().splitlines()
    reason = ": ".join([type(error).__name__, *lines[:1]]).rstrip(".")
    return sentence(f"Trying it stopped at an error of its own ({reason}).")


def sentence(text: str) -> str:
    """Make one line of valid text of what libraries say, and no long one."""
    line = " ".join(text.split())
    short = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    return short.encode("utf-8", "replace").decode()


def _limit_memory(size: int | None, threads: int) -> None:
    """Let this process have so many bytes more than it has, and be the first that the kernel ends.

    An allocation beyond that fails, and libraries say so. With a device (None) there is no such
    limit, as its libraries ask for much that they never touch; whoever forked this process looks
    at what it holds.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    status = Path("/proc/self/status")
    if size is None or not status.exists():  # elsewhere than on Linux it limits something else
        return
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmData"))
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stacks = 0 if stack == resource.RLIM_INFINITY else _THREADS * threads * stack
    most = int(line.split()[1]) * 1024 + size + stacks
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
