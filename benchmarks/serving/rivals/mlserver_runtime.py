"""MLServer, adaptive batching on; its REST face speaks the protocol's JSON, not its binary form."""

import numpy as np
from classifier import Classifier
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Rival(MLModel):
    """A custom runtime, as MLServer documents it."""

    async def load(self) -> bool:
        """Open the session."""
        self.classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Classify the images of all requests that were gathered."""
        tensor = payload.inputs[0]
        images = np.array(tensor.data.root, np.uint8).reshape(-1, *self.classifier.shape)
        found = self.classifier.probabilities(images)
        output = ResponseOutput(
            name="probabilities",
            datatype="FP32",
            shape=list(found.shape),
            data=found.ravel().tolist(),
        )
        return InferenceResponse(model_name=self.name, outputs=[output])
