"""Audits that the service makes: one at a time, each a job that can be watched and cancelled."""

from service.audits.job import Finished, Job, State
from service.audits.job_queue import JobQueue

__all__ = ["Finished", "Job", "JobQueue", "State"]
