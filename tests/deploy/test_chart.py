"""The Helm chart and the plain manifests: rendered by Helm, read by Kubernetes' schemas."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from service.settings import Settings
from tests.deploy.rendering import (
    CHART,
    RENDER,
    ROOT,
    container,
    environment,
    known,
    one,
    parsed,
    pod,
    rendered,
)
from tests.deploy.settings_schema import settings_schema
from tests.deploy.values import DIGEST, FETCH, PACKED, PEER, TRIED

helm = pytest.importorskip("helm_python")

GUIDE = (ROOT / "docs" / "deployment.md").read_text()
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
EVERYTHING: dict[str, Any] = {
    "device": "gpu",
    "gpu": {"runtimeClass": "nvidia"},
    "image": {"pullSecrets": ["registry"]},
    "settings": {"PROOF": "enforce", "MODEL_CONTROL": True, "SHADOW_SHARE": 0.01},
    "env": [
        {"name": "AWS_REGION", "value": "eu-central-1"},
        {
            "name": "ORBITSERVE_SHADOW_SALT",
            "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
        },
    ],
    "volumes": [{"name": "cache", "emptyDir": {}}],
    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    "apiKeys": {"secret": "keys"},
    "signatures": {"secret": "signer"},
    "autoscaling": {"enabled": True},
    "networkPolicy": {"from": [{"podSelector": {}}], "egress": [{"ports": [{"port": 443}]}]},
    "serviceMonitor": {"enabled": True, "secret": "prometheus"},
    "audit": {"enabled": True, "imagesClaim": "photos"},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "service": {"annotations": {"a": "b"}},
}
MODELS = [
    {},
    {"claim": "own"},
    {"images": [PACKED, {**PACKED, "version": "parts/4"}]},
    {"fetch": FETCH},
]


def validate(manifest: dict[str, Any]) -> None:
    latest = kubernetes_validate.latest_version()
    kubernetes_validate.validate(manifest, latest, strict=True)


class TestSchemas:
    @pytest.mark.parametrize("models", MODELS, ids=lambda models: "".join(models) or "own")
    def test_kubernetes_knows_every_field_of_everything_at_once(self, models):
        made = rendered(**EVERYTHING, models=models)
        kinds = {each["kind"] for each in made}
        assert kinds > {"Deployment", "Service", "HorizontalPodAutoscaler", "NetworkPolicy"}
        assert kinds > {"PodDisruptionBudget", "CronJob", "PersistentVolumeClaim"}
        for each in made:
            if each["kind"] != "ServiceMonitor":  # which is the Prometheus operator's
                validate(each)

    def test_a_field_that_it_does_not_know_would_be_refused(self):
        wrong = one("Deployment")
        wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
        with pytest.raises(kubernetes_validate.ValidationError):
            validate(wrong)

    @pytest.mark.parametrize("file", ["deploy/kubernetes", "deploy/kserve"])
    def test_plain_manifests_are_objects_with_names(self, file):
        for path in (ROOT / file).glob("*.yaml"):
            for each in parsed(path.read_text()):
                assert each["metadata"]["name"]

    def test_helm_finds_nothing_wrong_with_it(self):
        found = helm.lint(str(CHART), EVERYTHING, strict=True)
        assert found["errors"] == []
        assert [each["error"] for each in found["messages"]] == ["icon is recommended"]


class TestPlainManifests:
    def test_they_are_what_the_chart_renders(self):
        folder = ROOT / "deploy" / "kubernetes"
        made = RENDER["manifests"]()
        assert {path.name for path in folder.iterdir()} == set(made)
        for name, text in made.items():
            assert (folder / name).read_text() == text, f"`make manifests` writes {name} anew"
            for each in parsed(text):
                if each["kind"] != "ServiceMonitor":
                    validate(each)

    def test_the_command_writes_them(self, tmp_path):
        assert RENDER["main"]([str(tmp_path)]) == 0
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == RENDER["manifests"]()


class TestValues:
    @pytest.mark.parametrize("name", TRIED)
    def test_it_is_seen_in_what_is_rendered(self, name):
        assert TRIED[name]()

    def test_each_value_is_tried_described_and_of_the_schema(self):
        assert set(TRIED) == set(known())
        named = set(re.findall(r"`((?:\w+\.)?\w+)`", GUIDE))
        assert {name for name in known() if name not in named} == set()
        for name in known():
            place = SCHEMA
            for part in name.split("."):
                place = place["properties"][part]

    def test_the_guide_names_no_value_that_there_is_not(self):
        groups = {name.split(".")[0] for name in known() if "." in name}
        named = re.findall(r"`(\w+)\.(\w+)`", GUIDE)
        for group, name in named:
            if group in groups:
                assert f"{group}.{name}" in known()

    def test_settings_are_those_of_the_service_that_no_other_value_sets(self):
        every = {name.upper() for name in Settings.model_fields}
        others = {"PORT", "GRPC_PORT", "SHADOW_SALT"}  # the image's, and a secret
        values = {"models": {"claim": "c", "default": "d"}, "apiKeys": {"secret": "s"}}
        values |= {"signatures": {"secret": "s"}, "settings": {"LOAD_MEMORY": None}}
        set_by_others = environment(**values)
        others |= {name.removeprefix("ORBITSERVE_") for name in set_by_others}
        assert others < every
        assert SCHEMA["properties"]["settings"] == settings_schema(others)

    def test_at_no_level_there_may_be_a_value_that_is_none(self):
        """But where Kubernetes' own objects stand, and names that are the user's."""
        free = {"global", "podAnnotations", "nodeSelector", "annotations", "labels"}
        free |= {"requests", "limits", "env", "envFrom", "volumes", "volumeMounts"}
        free |= {"tolerations", "from", "egress"}

        def objects(schema: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
            if schema.get("type") == "object":
                yield name, schema
            for key, each in schema.get("properties", {}).items():
                yield from objects(each, key)
            if "items" in schema:
                yield from objects(schema["items"], name)

        found = dict(objects(SCHEMA, ""))
        assert found.keys() > {"", "image", "images", "fetch", "settings", "audit"}
        loose = {
            name for name, each in found.items() if each.get("additionalProperties") is not False
        }
        assert loose == free & found.keys()

    def test_a_number_is_written_as_the_service_reads_it(self):
        """Of a values file each is a float: 100 MiB would be 1.048576e+08, and no start."""
        given = {"MAX_BODY_BYTES": 104_857_600, "SHADOW_SHARE": 0.01, "REQUEST_SECONDS": 2.5}
        told = environment(settings={**given, "MODEL_CONTROL": True, "LEDGER": "s3://a/b"})
        for name, value in given.items():
            assert told[f"ORBITSERVE_{name}"] == str(value)
        assert told["ORBITSERVE_MODEL_CONTROL"] == "true"
        assert told["ORBITSERVE_LEDGER"] == "s3://a/b"

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
            ({"replica": 1}, "additional properties 'replica' not allowed"),
            ({"device": "tpu"}, "at '/device': value must be one of 'cpu', 'gpu'"),
            ({"image": {"tag": "a b"}}, "at '/image/tag': 'a b' does not match"),
            ({"settings": {"NOBODY": 1}}, "additional properties 'NOBODY' not allowed"),
            ({"settings": {"DEVICE": "cpu"}}, "additional properties 'DEVICE' not allowed"),
            ({"settings": {"WORKERS": 0}}, "at '/settings/WORKERS': minimum: got 0, want 1"),
            ({"settings": {"HOST": "127.0.0.1"}}, "settings.HOST is 127.0.0.1, where no probe of"),
            ({"settings": {"SHADOW_SHARE": 7}}, "at '/settings/SHADOW_SHARE': maximum: got 7"),
            # As YAML reads `PROOF: off`.
            ({"settings": {"PROOF": False}}, "value must be one of 'enforce', 'report', 'off'"),
            ({"env": [{"nmae": "AWS_REGION"}]}, "at '/env/0': missing property 'name'"),
            (
                {"env": [{"name": "ORBITSERVE_APIKEYS", "value": "k"}]},
                "env has ORBITSERVE_APIKEYS; what the service is told is said by settings,",
            ),
            (
                {"env": [{"name": "ORBITSERVE_DEVICE", "value": "cpu"}]},
                "env has ORBITSERVE_DEVICE;",
            ),
            ({"env": [{"name": "A"}, {"name": "A"}]}, "env has A twice; one of them is accepted."),
            ({"image": {"repository": "r/orbitserve:1"}}, "at '/image/repository'"),
            ({"image": {"repository": f"r/orbitserve@{DIGEST}"}}, "at '/image/repository'"),
            ({"image": {"digest": "sha256:1"}}, "at '/image/digest'"),
            ({"apiKeys": {"existingSecret": "k"}}, "'existingSecret' not allowed"),
            ({"update": {"maxSurge": 0}}, "update.maxSurge and update.maxUnavailable are both 0"),
            (
                {"update": {"maxSurge": "0%", "maxUnavailable": "0%"}},
                "update.maxSurge and update.maxUnavailable are both 0",
            ),
            ({"update": {"maxUnavailable": "101%"}}, "at '/update/maxUnavailable'"),
            ({"disruptionBudget": {"maxUnavailable": 0}}, "/maxUnavailable': minimum: got 0"),
            ({"disruptionBudget": {"maxUnavailable": "0%"}}, "at '/disruptionBudget"),
            ({"service": {"httpPort": 80, "grpcPort": 80}}, "are both 80; two ports are accepted."),
            ({"device": "gpu", "gpu": {"count": 2}}, "gpu.count is 2, and a pod computes on one"),
            (
                {"models": {"images": [PACKED, {**PACKED, "reference": "another"}]}},
                f"the version parts/3 from {PACKED['reference']} and from another; one image",
            ),
            (
                {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}},
                "and resources.requests.cpu is not set; 0 does not ask for it.",
            ),
            (
                {"apiKeys": {"secret": "k"}, "serviceMonitor": {"enabled": True}},
                "needs serviceMonitor.secret, a Secret with a key that Prometheus sends.",
            ),
            ({"networkPolicy": {"from": [{}]}}, "at '/networkPolicy/from/0'"),
            (
                {"audit": {"enabled": True, "images": "/images/night"}},
                "audit.images is /images/night, and audit.imagesClaim names no claim",
            ),
            ({"service": {"httpPort": 70_000}}, "at '/service/httpPort': maximum"),
            ({"models": {"images": [{"version": "parts/3"}]}}, "missing property 'reference'"),
            ({"models": {"images": [{**PACKED, "version": "parts"}]}}, "'parts' does not match"),
            ({"models": {"fetch": {"args": []}}}, "image"),
            ({"models": {"claim": "a", "images": [PACKED]}}, "one of them is accepted."),
            ({"models": {"claim": "a", "fetch": FETCH}}, "one of them is accepted."),
            ({"autoscaling": {"enabled": True, "minReplicas": 9}}, "at most as many are accepted."),
            (
                {"autoscaling": {"enabled": True, "waitingImages": 0, "cpuPercent": 0}},
                "needs autoscaling.waitingImages or autoscaling.cpuPercent above 0.",
            ),
            ({"audit": {"schedule": "nightly"}}, "at '/audit/schedule': 'nightly' does not match"),
            ({"drainSeconds": 0}, "at '/drainSeconds': minimum: got 0, want 1"),
            ({"shutdownSeconds": "long"}, "at '/shutdownSeconds': got string, want integer"),
        ],
    )
    def test_a_value_out_of_range_is_a_sentence(self, values, sentence):
        with pytest.raises(helm.HelmError, match=re.escape(sentence)):
            rendered(**values)


class TestNotes:
    """What is told after an installation, of what works otherwise than one may think."""

    def notes(self, **values: Any) -> str:
        with helm.Chart.load(CHART) as chart:
            made = chart.render(values, name="orbitserve", namespace="line-4")
        (found,) = [text for name, text in made.items() if name.endswith("/NOTES.txt")]
        return found

    def test_who_reaches_it_is_said(self):
        told = self.notes(serviceMonitor={"enabled": True})
        assert "Nobody needs a key" in told
        assert "Pods of the namespace line-4 alone reach it, and so Prometheus where it" in told
        told = self.notes(apiKeys={"secret": "k"}, networkPolicy={"from": [PEER]})
        assert "Nobody needs a key" not in told
        assert "alone reach it" not in told

    def test_a_fetch_that_reaches_nothing_is_said(self):
        told = "models.fetch reaches nothing, not even DNS"
        assert told in self.notes(models={"fetch": FETCH})
        assert told not in self.notes(models={"fetch": FETCH}, networkPolicy={"egress": [{}]})
        assert told not in self.notes(models={"fetch": FETCH}, networkPolicy={"enabled": False})


class TestNames:
    """Helm takes 53 letters and dots, which a Service's name, or a CronJob's, may not have."""

    @pytest.mark.parametrize(
        "release", ["a" * 53, "orbitserve-" + "b" * 42, "line-4.west", "a-" * 26]
    )
    def test_each_object_has_one_that_kubernetes_takes(self, release):
        made = rendered(release, **EVERYTHING)
        for each in made:
            name = each["metadata"]["name"]
            longest = 52 if each["kind"] == "CronJob" else 63
            assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name)
            assert len(name) <= longest, each["kind"]
            labels = each["metadata"]["labels"]
            assert all(isinstance(value, str) and len(value) <= 63 for value in labels.values())
        called = {each["metadata"]["name"] for each in made if each["kind"] == "Service"}
        (job,) = [each for each in made if each["kind"] == "CronJob"]
        (asked,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        host = asked["env"][0]["value"].removeprefix("http://").split(":")[0]
        assert {host} == called

    def test_a_label_is_text_whatever_the_release_is_called(self):
        (service,) = [each for each in rendered("null") if each["kind"] == "Service"]
        assert service["spec"]["selector"]["app.kubernetes.io/instance"] == "null"

    def test_one_that_no_service_may_have_is_a_sentence(self):
        with pytest.raises(helm.HelmError, match="The release is called 4-west"):
            rendered("4-west")


class TestPods:
    def test_they_may_do_nothing_more_than_serve(self):
        for values in ({}, {"models": {"fetch": FETCH}}, {"device": "gpu"}):
            found = pod(**values)
            assert found["securityContext"]["runAsNonRoot"]
            assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert found["automountServiceAccountToken"] is False
            for each in [*found["containers"], *found.get("initContainers", [])]:
                security = each["securityContext"]
                assert security["readOnlyRootFilesystem"]
                assert not security["allowPrivilegeEscalation"]
                assert security["capabilities"] == {"drop": ["ALL"]}

    def test_a_version_that_takes_all_it_may_is_refused_before_the_container_is_ended(self):
        limit = int(container()["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024
        bodies = Settings().pending_bytes // 2**20
        assert int(environment()["ORBITSERVE_LOAD_MEMORY"]) + bodies <= 0.75 * limit

    def test_it_listens_where_a_cluster_of_ipv6_asks(self):
        assert environment(settings={"HOST": "::"})["ORBITSERVE_HOST"] == "::"

    def test_probes_ask_what_needs_no_key_at_a_port_that_is_listened_on(self):
        found = container()
        ports = {each["name"]: each["containerPort"] for each in found["ports"]}
        image = (ROOT / "Dockerfile").read_text()
        for name, setting in [("http", "PORT"), ("grpc", "GRPC_PORT")]:
            assert f"ORBITSERVE_{setting}={ports[name]} " in image
        asked = {
            name: found[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")
        }
        assert {name: each["path"] for name, each in asked.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",
            "readiness": "/readyz",
        }
        assert {each["port"] for each in asked.values()} == {"http"}

    def test_what_is_mounted_is_read_only_but_scratch(self):
        secrets = {"apiKeys": {"secret": "s"}, "signatures": {"secret": "s"}}
        for models in MODELS:
            for each in container(**secrets, models=models)["volumeMounts"]:
                assert each.get("readOnly", False) is (each["name"] != "scratch")

    def test_objects_name_one_another(self):
        names = {each["name"] for each in container()["ports"]}
        assert {each["targetPort"] for each in one("Service")["spec"]["ports"]} == names
        policy = one("NetworkPolicy")["spec"]
        assert {each["port"] for each in policy["ingress"][0]["ports"]} == names
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        scaled = one("HorizontalPodAutoscaler", autoscaling={"enabled": True})["spec"]
        deployment = one("Deployment")
        assert scaled["scaleTargetRef"] == {
            "apiVersion": deployment["apiVersion"],
            "kind": "Deployment",
            "name": deployment["metadata"]["name"],
        }

    def test_it_is_taken_out_of_the_service_before_it_refuses(self):
        found, told = container(), environment()
        probe = found["readinessProbe"]
        assert float(told["ORBITSERVE_SHUTDOWN_DELAY_SECONDS"]) >= probe["periodSeconds"]

    def test_one_at_a_time_is_replaced_and_none_is_missing(self):
        strategy = one("Deployment")["spec"]["strategy"]["rollingUpdate"]
        assert strategy == {"maxSurge": 1, "maxUnavailable": 0}

    def test_a_packed_version_lies_where_its_image_has_it(self):
        found = container(models={"images": [PACKED]})
        (mount,) = [each for each in found["volumeMounts"] if each["name"] == "model-0"]
        assert mount == {
            "name": "model-0",
            "mountPath": "/models/parts/3",
            "subPath": "models/parts/3",
            "readOnly": True,
        }
        assert environment(models={"images": [PACKED]})["ORBITSERVE_REPOSITORY"] == "/models"

    def test_what_the_audit_is_of_is_no_pod_of_the_service(self):
        selector = one("Service")["spec"]["selector"]
        job = one("CronJob", audit={"enabled": True})["spec"]["jobTemplate"]["spec"]["template"]
        assert not selector.items() <= job["metadata"]["labels"].items()
        labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()

    def test_what_fetches_models_is_bounded_as_well(self):
        def asked(**more: Any) -> Any:
            return pod(models={"fetch": {**FETCH, **more}})["initContainers"][0]["resources"]

        assert {"cpu", "memory"} == asked()["requests"].keys()
        assert {"memory"} == asked()["limits"].keys()
        own = {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi"}}
        assert asked(resources=own) == own

    def test_no_pod_is_told_of_services_by_variables(self):
        """Of a Service named orbitserve: ORBITSERVE_PORT=tcp://10.0.0.1:8000, which is no port."""
        job = one("CronJob", audit={"enabled": True})["spec"]["jobTemplate"]["spec"]["template"]
        for each in (pod(), job["spec"]):
            assert each["enableServiceLinks"] is False
            assert each["automountServiceAccountToken"] is False

    def test_text_is_text_whatever_is_in_it(self):
        """A hash would begin a comment of YAML's, and a colon a key."""
        said = {"model": "parts #3", "images": "/images/a: b # c", "imagesClaim": "photos"}
        job = one("CronJob", audit={"enabled": True, **said})["spec"]["jobTemplate"]["spec"]
        told = {e["name"]: e.get("value") for e in job["template"]["spec"]["containers"][0]["env"]}
        assert told["SERVICE"] == "http://orbitserve:8000/models/parts #3"
        assert told["IMAGES"] == "/images/a: b # c"

    def test_the_audit_may_call_whoever_else_may(self):
        job = one("CronJob", audit={"enabled": True})["spec"]["jobTemplate"]["spec"]["template"]
        named = {"networkPolicy": {"from": [PEER]}}
        (rule,) = one("NetworkPolicy", audit={"enabled": True}, **named)["spec"]["ingress"]
        mine, audit = rule["from"]
        assert mine == PEER
        assert audit["podSelector"]["matchLabels"].items() <= job["metadata"]["labels"].items()
        (rule,) = one("NetworkPolicy", **named)["spec"]["ingress"]
        assert rule["from"] == [PEER]

    def test_where_keys_are_asked_for_the_audit_needs_one(self):
        for values, optional in (({}, True), ({"apiKeys": {"secret": "k"}}, False)):
            job = one("CronJob", audit={"enabled": True}, **values)["spec"]["jobTemplate"]["spec"]
            told = {e["name"]: e for e in job["template"]["spec"]["containers"][0]["env"]}
            key = told["ORBITSERVE_API_KEY"]["valueFrom"]["secretKeyRef"]
            assert key["optional"] is optional

    def test_a_pod_has_time_for_all_that_the_service_takes_to_end(self):
        for values in ({}, {"drainSeconds": 60, "shutdownSeconds": 600}):
            told = environment(**values)
            longest = sum(
                float(told[f"ORBITSERVE_SHUTDOWN_{name}SECONDS"]) for name in ("", "DELAY_")
            )
            assert pod(**values)["terminationGracePeriodSeconds"] > longest

    def test_what_is_long_to_load_is_not_killed_meanwhile(self):
        """Liveness asks what is answered before models are loaded, and readiness has no limit."""
        found = container()
        assert found["startupProbe"]["httpGet"]["path"] == found["livenessProbe"]["httpGet"]["path"]
        started = found["startupProbe"]["periodSeconds"] * found["startupProbe"]["failureThreshold"]
        assert started >= 120

    def test_prometheus_finds_the_service_by_its_labels(self):
        monitor = one("ServiceMonitor", serviceMonitor={"enabled": True})["spec"]
        assert set(monitor) == {"selector", "endpoints"}
        labels = one("Service")["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert monitor["endpoints"][0]["port"] in {
            each["name"] for each in one("Service")["spec"]["ports"]
        }


def test_charts_and_package_have_one_version():
    chart = parsed((CHART / "Chart.yaml").read_text())[0]
    (version,) = re.findall(
        r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_adapter_makes_the_metric_that_the_autoscaler_asks_for():
    found = parsed((ROOT / "deploy/prometheus/adapter.yaml").read_text())[0]
    (rule,) = found["rules"]["custom"]
    spec = one("HorizontalPodAutoscaler", autoscaling={"enabled": True})["spec"]
    assert rule["seriesQuery"].startswith("orbitserve_waiting_images{")
    assert spec["metrics"][0]["pods"]["metric"]["name"] == rule["name"]["as"]
    assert Path(ROOT / "deploy/prometheus/adapter.yaml").name in GUIDE
