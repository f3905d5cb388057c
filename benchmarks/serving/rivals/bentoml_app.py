"""BentoML, adaptive batching on; a batchable method takes a list, and JSON carries base64."""

import base64

import bentoml
import numpy as np
from classifier import Classifier


# One worker and one thread: one session, as everybody has. Metrics and access log off: see
# systems.py, which writes them into the configuration.
@bentoml.service(name="rival", workers=1, threads=1)
class Rival:
    """One session behind BentoML's dispatcher."""

    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=32, max_latency_ms=1000)
    def classify(self, images: list[str]) -> list[dict[str, float]]:
        """Classify the images of all requests that were gathered."""
        pixels = [self.classifier.image(base64.b64decode(image)) for image in images]
        return self.classifier.answers(np.stack(pixels))
