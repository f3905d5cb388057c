"""What shadow audits cost live requests: one service, in which they are switched.

Run ``python -m benchmarks.shadow``; ``--help`` lists the options.
"""
