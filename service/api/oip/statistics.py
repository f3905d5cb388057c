"""Statistics in the protocol's fields."""

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel

from service.repository.statistics import Duration
from service.repository.version import ServedModel


class DurationAnswer(BaseModel):
    """How often, and nanoseconds in all."""

    count: int = 0
    ns: int = 0

    @classmethod
    def of(cls, duration: Duration) -> Self:
        """Take a counter as it stands."""
        return cls(count=duration.count, ns=duration.ns)

    def __add__(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(count=self.count + other.count, ns=self.ns + other.ns)


class InferenceStatistics(BaseModel):
    """Durations of requests. What this service has no stage for is counted 0 times."""

    success: DurationAnswer
    fail: DurationAnswer
    queue: DurationAnswer
    compute_input: DurationAnswer = DurationAnswer()
    compute_infer: DurationAnswer
    compute_output: DurationAnswer = DurationAnswer()
    cache_hit: DurationAnswer = DurationAnswer()
    cache_miss: DurationAnswer = DurationAnswer()

    def __add__(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(
            **{each: getattr(self, each) + getattr(other, each) for each in type(self).model_fields}
        )


class BatchStatistics(BaseModel):
    """Runs of the graph with one number of images."""

    batch_size: int
    compute_input: DurationAnswer = DurationAnswer()
    compute_infer: DurationAnswer
    compute_output: DurationAnswer = DurationAnswer()


class ModelStatistics(BaseModel):
    """What one version has done since it was loaded."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]

    @classmethod
    def of(cls, model: ServedModel) -> Self:
        """Take a version's counters as they stand."""
        counted = model.statistics
        return cls(
            name=model.card.name,
            version=str(model.card.version),
            last_inference=counted.last_inference,
            inference_count=counted.inferences,
            execution_count=counted.runs.count,
            inference_stats=InferenceStatistics(
                success=DurationAnswer.of(counted.success),
                fail=DurationAnswer.of(counted.fail),
                queue=DurationAnswer.of(counted.queue),
                compute_infer=DurationAnswer.of(counted.compute),
            ),
            batch_stats=[
                BatchStatistics(batch_size=size, compute_infer=DurationAnswer.of(runs))
                for size, runs in sorted(counted.batches.copy().items())
            ],
        )

    def __add__(self, other: Self) -> Self:
        """Return what the same version has done here and elsewhere."""
        sizes = {each.batch_size: each.compute_infer for each in self.batch_stats}
        for each in other.batch_stats:
            size = each.batch_size
            sizes[size] = sizes.get(size, DurationAnswer()) + each.compute_infer
        return self.model_copy(
            update={
                "last_inference": max(self.last_inference, other.last_inference),
                "inference_count": self.inference_count + other.inference_count,
                "execution_count": self.execution_count + other.execution_count,
                "inference_stats": self.inference_stats + other.inference_stats,
                "batch_stats": [
                    BatchStatistics(batch_size=size, compute_infer=runs)
                    for size, runs in sorted(sizes.items())
                ],
            }
        )


class StatisticsAnswer(BaseModel):
    """Statistics of one version or several."""

    model_stats: list[ModelStatistics]

    @classmethod
    def joined(cls, answers: Iterable[Self]) -> Self:
        """Add up what several workers say, version by version."""
        found: dict[tuple[str, str], ModelStatistics] = {}
        for each in (each for answer in answers for each in answer.model_stats):
            key = each.name, each.version
            found[key] = found[key] + each if key in found else each
        return cls(model_stats=list(found.values()))
