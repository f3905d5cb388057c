"""The one error that is raised on purpose, in every room."""


class RefusedError(ValueError):
    """What was asked for is not accepted; the message is one sentence for whoever asked.

    Any other error that reaches a user is a defect of the program, and is told as one.
    """
