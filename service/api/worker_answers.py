"""What one of several workers tells the others."""

from anyio import to_thread
from fastapi import FastAPI

from service.api.audits.jobs import find_here
from service.api.oip.models import statistics_here
from service.audits import JobQueue
from service.data_plane import DataPlane
from service.errors import UnavailableError
from service.metrics.prometheus import Metrics
from service.workers.messages import Count, FindJob, Load, Poll, Question, State, Statistics, Unload


class WorkerAnswers:
    """Answers for an application whose data plane and audits are open."""

    def __init__(self, app: FastAPI) -> None:
        self._plane: DataPlane = app.state.data_plane
        self._audits: JobQueue = app.state.job_queue
        self._metrics: Metrics = app.state.metrics

    async def answer(self, question: Question) -> bytes:
        """Answer a question; what is raised is a refusal."""
        repository = self._plane.repository
        match question:
            case Load(name=name):
                await repository.load(name)
            case Unload(name=name):
                await repository.unload(name)
            case Poll():
                await repository.look_around()
            case Count():
                return await self.count()
            case Statistics():
                return statistics_here(repository, question).model_dump_json().encode()
            case FindJob():
                return (await find_here(self._audits, question)).model_dump_json().encode()
        return b""

    def state(self) -> State:
        """Tell whether what was there at the start is loaded, and whether this worker is ready."""
        unready = None
        try:
            self._plane.check_ready_here()
        except UnavailableError as error:
            unready = error.sentence
        return State(self._plane.repository.started.is_set(), unready)

    def progress(self) -> int:
        """Return how many calls were counted."""
        return self._metrics.progress

    async def count(self) -> bytes:
        """Tell all metrics."""
        return await to_thread.run_sync(self._metrics.snapshot)
