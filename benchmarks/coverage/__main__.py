"""`python -m benchmarks.coverage`."""

from benchmarks.coverage.table import main

if __name__ == "__main__":
    main()
