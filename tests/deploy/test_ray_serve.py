"""What Ray Serve is handed: configured as the service is, and refused where that is."""

import runpy
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from service.settings import ConfigurationError

FILE = Path(__file__).parents[2] / "deploy" / "ray_serve.py"


def test_a_key_that_a_client_sends_keeps_nobody_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", MagicMock())  # which most machines do not have
    monkeypatch.setenv("ORBITSERVE_API_KEY", "a-key-of-a-client")
    build = runpy.run_path(str(FILE))["build"]
    with pytest.raises(ConfigurationError, match="ORBITSERVE_API_KEYS, which names a file of keys"):
        build()
