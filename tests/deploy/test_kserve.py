"""What is handed to KServe: read by the models of its package and the settings of the service."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "kserve").glob("*.yaml"))
SCHEMA = Path(__file__).parent / "kserve_schema.py"


def read(name: str) -> list[dict]:
    return list(yaml.safe_load_all((ROOT / "deploy" / "kserve" / name).read_text()))


def by_kserve(*files: Path) -> subprocess.CompletedProcess[str]:
    python = os.environ.get("KSERVE_PYTHON")
    if python is None:
        pytest.skip("KSERVE_PYTHON names no Python that has the package kserve")
    return subprocess.run([python, SCHEMA, *files], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_kserve_knows_every_field():
    done = by_kserve(*FILES)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("supportedModelFormats:", "supportedModelFormat:"),
        ("- name: kserve-container", "- nam: kserve-container"),
        ("periodSeconds: 5", "periodSeconds: often"),
    ],
)
def test_a_field_that_it_does_not_know_would_be_refused(tmp_path, right, wrong):
    text = (ROOT / "deploy" / "kserve" / "runtime.yaml").read_text()
    assert right in text
    (tmp_path / "wrong.yaml").write_text(text.replace(right, wrong))
    assert by_kserve(tmp_path / "wrong.yaml").returncode != 0


def test_every_variable_is_a_setting_and_ports_are_those_that_are_listened_on():
    (runtime,) = read("runtime.yaml")
    (container,) = runtime["spec"]["containers"]
    told = {
        each["name"].removeprefix("ORBITSERVE_").lower(): each["value"] for each in container["env"]
    }
    settings = Settings(**told)
    assert (settings.port, settings.grpc_port) == (8080, 9000)
    assert settings.repository == Path("/mnt/models")  # where KServe lays what storageUri names
    assert container["name"] == "kserve-container"  # the one that KServe looks for
    assert [each["containerPort"] for each in container["ports"]] == [settings.port]
    assert {container[f"{name}Probe"]["httpGet"]["port"] for name in ("readiness", "liveness")} == {
        settings.port
    }


def test_pods_may_do_no_more_than_serve_and_have_time_to_end():
    (runtime,) = read("runtime.yaml")
    (container,) = runtime["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    told = {each["name"]: each["value"] for each in container["env"]}
    usual = Settings.model_fields["shutdown_seconds"].default
    longest = float(told["ORBITSERVE_SHUTDOWN_DELAY_SECONDS"]) + usual
    for service in read("inference-service.yaml"):
        predictor = service["spec"]["predictor"]
        assert predictor["automountServiceAccountToken"] is False
        assert (
            predictor["enableServiceLinks"] is False
        )  # or ORBITSERVE_... of Services of that name
        assert predictor.get("terminationGracePeriodSeconds", 30) > longest


def test_a_version_that_takes_all_it_may_is_refused_before_the_container_is_ended():
    (runtime,) = read("runtime.yaml")
    (container,) = runtime["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024
    bodies = Settings().pending_bytes // 2**20
    assert int(told["ORBITSERVE_LOAD_MEMORY"]) + bodies <= 0.75 * limit


def test_services_ask_for_the_runtime_and_what_it_speaks():
    (runtime,) = read("runtime.yaml")
    formats = {each["name"] for each in runtime["spec"]["supportedModelFormats"]}
    for service in read("inference-service.yaml"):
        model = service["spec"]["predictor"]["model"]
        assert model["runtime"] == runtime["metadata"]["name"]
        assert model["modelFormat"]["name"] in formats
        assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
        assert model["storageUri"].startswith("oci+native://")
