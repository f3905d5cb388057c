"""What the outside sees of the service while it runs: its logs, and the timings of its answers."""
