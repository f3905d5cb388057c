"""The command."""

from benchmarks.verdicts import main

if __name__ == "__main__":
    main()
