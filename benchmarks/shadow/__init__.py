"""What shadow audits cost live requests: the same service with and without them, in turn.

Run ``python -m benchmarks.shadow``; ``--help`` lists the options.
"""
