"""Trying a version in a process of its own, which may hang, crash or take all memory it may."""

from service.repository.trials.attempt import Tried
from service.repository.trials.host import ForkServer
from service.repository.trials.trials import Trials

__all__ = ["ForkServer", "Trials", "Tried"]
