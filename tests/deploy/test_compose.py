"""docker-compose.yml: what it says, by the schema of compose and by Debian's docker-compose."""

import json
import os
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from service.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
# What stands in the file where nothing is set.
UNSET = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", FILE.read_text())
OWN = ("gpu", "cpu")


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load(UNSET)


@pytest.fixture(scope="module")
def services(document):
    return document["services"]


def dashboards() -> Path:
    return ROOT / "deploy" / "grafana"


def config(*profiles: str, **variables: str) -> dict:
    """What Debian's docker-compose makes of the file."""
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    words = [word for each in profiles for word in ("--profile", each)]
    done = subprocess.run(
        ["docker-compose", "--file", FILE, *words, "config"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.fixture(scope="module")
def schema():
    package = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    return Draft202012Validator(json.loads((package / "compose-spec.json").read_text()))


class TestSchema:
    def test_compose_knows_every_field(self, schema, document):
        assert list(schema.iter_errors(document)) == []

    @pytest.mark.parametrize(
        ("right", "wrong"), [("pids_limit: 512", "pids_limits: 512"), ("tmpfs:", "tempfs:")]
    )
    def test_a_field_that_it_does_not_know_would_be_refused(self, schema, right, wrong):
        assert list(schema.iter_errors(yaml.safe_load(UNSET.replace(right, wrong))))

    @pytest.mark.slow
    def test_docker_compose_reads_it_and_what_is_set(self):
        made = config("cpu", "monitoring", MODELS="/models", ADDRESS="0.0.0.0")
        assert "/models:/srv/model_repository:ro" in made["services"]["cpu"]["volumes"]
        assert made["services"]["cpu"]["ports"][0].startswith("0.0.0.0:8000:8000")
        assert made["services"]["grafana"]["ports"] == ["127.0.0.1:3000:3000/tcp"]

    @pytest.mark.slow
    def test_a_key_is_asked_for_where_it_is_said_and_nowhere_else(self):
        """One variable does both: a file without the setting served everybody without a word."""
        made = config("cpu", ORBITSERVE_API_KEYS="/etc/orbitserve/keys")
        told, (secret,) = made["services"]["cpu"], made["services"]["cpu"]["secrets"]
        assert told["environment"]["ORBITSERVE_API_KEYS"] == secret["target"]
        assert made["secrets"]["keys"]["file"] == secret["target"] == "/etc/orbitserve/keys"
        unset = config("cpu")
        assert unset["services"]["cpu"]["environment"]["ORBITSERVE_API_KEYS"] is None
        assert unset["secrets"]["keys"]["file"] == "/dev/null"


class TestServices:
    def test_what_starts_by_default_reserves_a_gpu_and_insists_on_it(self, services):
        profile = dict(re.findall(r"^(\w+)=(\w+)$", (ROOT / ".env").read_text(), re.MULTILINE))
        active = [profile["COMPOSE_PROFILES"]]
        (default,) = [service for service in services.values() if service["profiles"] == active]
        (device,) = default["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia"
        assert device["capabilities"] == ["gpu"]
        assert default["build"]["args"] == {"GPU": "1"}
        assert default["environment"]["ORBITSERVE_DEVICE"] == "cuda"

    def test_the_cpu_profile_needs_no_gpu(self, services):
        (cpu,) = [service for service in services.values() if service.get("profiles") == ["cpu"]]
        assert "deploy" not in cpu
        assert cpu["environment"]["ORBITSERVE_DEVICE"] == "cpu"

    def test_all_are_reached_from_this_machine_alone(self, services):
        for service in services.values():
            for port in service["ports"]:
                assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
            assert "network_mode" not in service

    def test_all_are_bounded_and_may_write_nothing_but_volumes(self, services):
        for service in services.values():
            assert re.fullmatch(r"[1-9]\d*g", service["mem_limit"])
            assert 0 < service["pids_limit"] < 10_000
            assert service["read_only"] is True
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert service["cap_drop"] == ["ALL"]

    def test_requests_under_way_may_end_before_the_kill(self, services):
        grace = Settings.model_fields["shutdown_seconds"].default
        for name in OWN:
            assert int(services[name]["stop_grace_period"].removesuffix("s")) > grace

    def test_every_variable_is_a_setting(self, services):
        named = {name for own in OWN for name in services[own]["environment"]}
        words = (ROOT / "Dockerfile").read_text().replace("=", " ").split()
        named |= {word for word in words if word.startswith("ORBITSERVE_")}
        assert "ORBITSERVE_HOST" in named
        assert {name.removeprefix("ORBITSERVE_").lower() for name in named} <= set(
            Settings.model_fields
        )

    def test_what_is_to_stay_lies_on_volumes_that_the_image_gives_its_user(
        self, services, document
    ):
        for name in OWN:
            mounted = dict(each.split(":")[:2] for each in services[name]["volumes"])
            told = services[name]["environment"]
            assert told["ORBITSERVE_LEDGER"] == mounted["ledger"]
            assert told["ORBITSERVE_CACHE"] == mounted["cache"]
            made = f"mkdir -p {mounted['ledger']} {mounted['cache']}"
            assert made in (ROOT / "Dockerfile").read_text()
        assert {"ledger", "cache", "prometheus", "grafana"} == set(document["volumes"])


class TestMonitoring:
    def test_what_is_mounted_is_there(self, services):
        for name in ("prometheus", "grafana"):
            for each in services[name]["volumes"]:
                if each.startswith("./"):
                    assert (ROOT / each.split(":")[0]).exists(), each

    def test_prometheus_scrapes_the_service_and_reads_the_rules_that_are_mounted(
        self, services, document, tmp_path
    ):
        mounted = {
            Path(inside).name: ROOT / outside
            for outside, inside, *_ in (
                each.split(":") for each in services["prometheus"]["volumes"]
            )
        }
        read = yaml.safe_load(mounted["prometheus.yml"].read_text())
        assert set(read["rule_files"]) <= set(mounted)
        (job,) = read["scrape_configs"]
        host, port = job["static_configs"][0]["targets"][0].split(":")
        for name in OWN:
            assert services[name]["networks"]["default"]["aliases"] == [host]
            assert f"127.0.0.1:{port}:{port}" in services[name]["ports"]
        (secret,) = services["prometheus"]["secrets"]
        assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
        assert secret in document["secrets"]
        if shutil.which("promtool") is None:
            pytest.skip("promtool is not installed")
        for name in ("prometheus.yml", *read["rule_files"]):
            text = mounted[name].read_text().replace("/run/secrets/scrape-key", "/dev/null")
            (tmp_path / name).write_text(text)
        checked = ["promtool", "check", "config", tmp_path / "prometheus.yml"]
        done = subprocess.run(checked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("rules found") == len(read["rule_files"])

    def test_grafana_finds_prometheus_and_the_dashboard(self, services):
        inside = {each.split(":")[0]: each.split(":")[1] for each in services["grafana"]["volumes"]}
        folder = dashboards() / "provisioning"
        assert inside["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
        (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
            "datasources"
        ]
        host, port = source["url"].removeprefix("http://").split(":")
        assert services[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
        (read,) = yaml.safe_load((folder / "dashboards" / "orbitserve.yml").read_text())[
            "providers"
        ]
        dashboard = inside["./deploy/grafana/orbitserve.json"]
        assert Path(dashboard).parent == Path(read["options"]["path"])
        shown = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        assert shown == dashboard
        asked = json.loads((dashboards() / "orbitserve.json").read_text())["templating"]["list"][0]
        assert asked["query"] == source["type"]
