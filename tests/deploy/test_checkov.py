"""What checkov asks of the Dockerfile, the manifests and the chart with everything switched on."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.rendering import RENDER, ROOT
from tests.deploy.test_chart import EVERYTHING
from tests.deploy.values import FETCH

CONFIGURATION = ROOT / "deploy" / "checkov.yaml"

pytestmark = pytest.mark.slow


@pytest.fixture
def everything(tmp_path) -> Path:
    made = RENDER["rendered"]({**EVERYTHING, "models": {"fetch": FETCH}})
    file = tmp_path / "everything.yaml"
    file.write_text("\n---\n".join(made.values()))
    return file


def by_checkov(*files: Path) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("CHECKOV")
    if program is None:
        pytest.skip("CHECKOV names no program of the package checkov")
    command = [program, "--config-file", CONFIGURATION, "--file", *files]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_finds_nothing_that_has_no_reason(everything):
    plain = [*ROOT.glob("deploy/kubernetes/*.yaml"), *ROOT.glob("deploy/kserve/*.yaml")]
    done = by_checkov(ROOT / "Dockerfile", *plain, everything)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.findall(r"Passed checks: (\d+), Failed checks: 0", done.stdout)
    assert len(passed) == 2  # of the Dockerfile, and of manifests
    assert all(int(count) > 50 for count in passed)


def test_a_pod_that_may_become_more_would_be_found(everything):
    text = everything.read_text()
    assert "allowPrivilegeEscalation: false" in text
    everything.write_text(text.replace("allowPrivilegeEscalation: false", "privileged: true"))
    done = by_checkov(everything)
    assert done.returncode == 1
    assert "CKV_K8S_16" in done.stdout  # no privileged containers


def test_each_check_that_is_not_followed_has_its_reason():
    above = ""
    for line in CONFIGURATION.read_text().splitlines():
        if line.startswith("  - "):
            assert above.startswith("  # ")
        else:
            above = line
    assert len(yaml.safe_load(CONFIGURATION.read_text())["skip-check"]) == 6
