"""LitServe, batching on: documented hooks, JSON with base64 since its handler reads JSON alone."""

import base64
import os

import litserve
import numpy as np
from classifier import Classifier


class Api(litserve.LitAPI):
    """Decodes each request, runs one batch, answers each."""

    def setup(self, device: str) -> None:
        """Open the session in the worker's process."""
        self.classifier = Classifier()

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        """Return one image [C, H, W]."""
        return self.classifier.image(base64.b64decode(request["image"]))

    def predict(self, images: np.ndarray) -> list[dict[str, int | float]]:
        """Classify the images [N, C, H, W] that LitServe stacked."""
        return self.classifier.answers(images)

    def unbatch(self, answers: list[dict[str, int | float]]) -> list[dict[str, int | float]]:
        """Return one answer an image."""
        return answers


if __name__ == "__main__":
    # A batch is waited for in full, also by a lone request: a short time-out serves small images
    # best. With 0 the worker polls without pause and takes a core from everybody.
    api = Api(max_batch_size=32, batch_timeout=0.001)
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=1,  # one session, as everybody has
        fast_queue=True,  # ZeroMQ instead of a multiprocessing.Manager
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["RIVAL_PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
