"""The same model file behind this service and behind others, on one machine, in one run.

Run ``python -m benchmarks.serving`` (or ``make bench``); docs/benchmarks.md says what is compared.
"""
