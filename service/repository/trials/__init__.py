"""Trying a version in a process of its own, which may hang, crash or take all memory it may."""

from service.repository.trials.host import ForkServer
from service.repository.trials.trials import Trials
from service.repository.trials.trying import Tried

__all__ = ["ForkServer", "Trials", "Tried"]
