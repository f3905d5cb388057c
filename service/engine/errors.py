"""Why the engine did not answer a request; each message is one sentence for its sender."""


class EngineError(RuntimeError):
    """A request that the engine refused, dropped or failed to compute."""


class QueueFullError(EngineError):
    """As many images wait as may.

    Attributes
    ----------
    retry_after
        Seconds, whole and at least one, after which those that wait should have been computed.
    """

    def __init__(self, waiting: int, capacity: int, retry_after: int) -> None:
        super().__init__(
            f"The model is busy: {waiting} images wait for it and at most {capacity} may; "
            f"try again in {retry_after} s."
        )
        self.retry_after = retry_after


class DeadlineError(EngineError):
    """The request's time was up before its answer was there."""

    def __init__(self) -> None:
        super().__init__("The request was not answered within its time; try again, or allow more.")


class EngineDownError(EngineError):
    """The engine has crashed, or is ending, and takes no requests at present."""


class ComputeError(EngineError):
    """The graph failed on this request's images, and on no other request's."""
