"""The `orbitserve` command, called in this process."""

import sys

import pytest

import orbitserve


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the command and returns its status and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["orbitserve", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            orbitserve.main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return call
