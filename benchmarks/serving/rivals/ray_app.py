"""Ray Serve, one replica, requests gathered by `serve.batch`."""

import os
import signal

import numpy as np
import ray
from classifier import Classifier
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=128, ray_actor_options={"num_cpus": 1})
class Rival:
    """One session in one replica."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    # What has gathered goes at once: a longer wait was paid by a lone request and gained nothing.
    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def classify(self, pixels: list[bytes]) -> list[dict[str, int | float]]:
        """Classify the images of all requests that were gathered."""
        return self.classifier.answers(np.stack([self.classifier.image(p) for p in pixels]))

    async def __call__(self, request: Request) -> dict[str, int | float]:
        """Classify the pixels in the body."""
        return await self.classify(await request.body())


if __name__ == "__main__":
    ray.init(include_dashboard=False, configure_logging=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["RIVAL_PORT"])})
    serve.run(Rival.bind(), route_prefix="/classify")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
