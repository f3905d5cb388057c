"""Clients that could stop a service, one at a time, and what becomes of everybody else."""
