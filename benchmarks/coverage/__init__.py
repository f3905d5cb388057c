"""How often an audit states what is wrong, where the truth is known: simulated audits.

Run ``python -m benchmarks.coverage``. A 95 % interval may miss at most 5 % of the time, a PASS just
below what is asked and a FAIL where it is met may come at most 5 % of the time, and as many images
as an audit says would settle it may leave it open 10 % of the time, each but for the chance of the
simulation, which is printed beside it. Behind that come the self-tests of the shipped models, see
`benchmarks.selftests`.
"""
