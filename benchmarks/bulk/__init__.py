"""Work in bulk, measured: this process beside workers of Ray."""
