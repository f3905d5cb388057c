"""`orbitserve evaluate`: how often a model is right."""

from commands.evaluate.command import evaluate

__all__ = ["evaluate"]
