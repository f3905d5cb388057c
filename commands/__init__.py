"""The sub-commands of `orbitserve`, a file each; every one imports its room only when called."""
