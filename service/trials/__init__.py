"""Trying a version in a process of its own, which may hang, crash or take all memory it may."""

from service.trials.host import ForkServer
from service.trials.trials import Trials
from service.trials.trying import Tried

__all__ = ["ForkServer", "Trials", "Tried"]
