"""What the docs and `deploy/kubernetes` hand to others: read by the schemas of those that will."""

import json
import os
import re
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from audit import Report
from commands.app import app

ROOT = Path(__file__).parent.parent
MANIFEST = ROOT / "deploy" / "kubernetes" / "audit-cronjob.yaml"
GUIDE = (ROOT / "docs" / "automation.md").read_text()


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    (snippet,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    found: dict[Any, Any] = yaml.safe_load(snippet)
    return found


def container(manifests: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(manifests)["containers"]
    return found


def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def options_of_audit() -> set[str]:
    command = typer.main.get_command(app).commands["audit"]
    context = command.make_context("audit", [], resilient_parsing=True)
    return {name for each in command.get_params(context) for name in each.opts}


class TestCronJob:
    def test_kubernetes_knows_every_field(self, manifests):
        validate = pytest.importorskip("kubernetes_validate")
        assert set(manifests) == {"PersistentVolumeClaim", "CronJob"}
        for each in manifests.values():
            validate.validate(each, validate.latest_version(), strict=True)

    def test_a_field_that_it_does_not_know_would_be_refused(self, manifests):
        validate = pytest.importorskip("kubernetes_validate")
        wrong = json.loads(json.dumps(manifests["CronJob"]))
        wrong["spec"]["jobTemplate"]["spec"]["podFailurPolicy"] = {}
        with pytest.raises(validate.ValidationError):
            validate.validate(wrong, validate.latest_version(), strict=True)

    def test_it_may_do_no_more_than_the_service(self, manifests):
        security = container(manifests)["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert pod(manifests)["securityContext"]["runAsNonRoot"]

    def test_reports_outlast_the_release(self, manifests):
        """Without that, `helm uninstall` and `audit.enabled=false` would delete the volume."""
        kept = manifests["PersistentVolumeClaim"]["metadata"]["annotations"]
        assert kept["helm.sh/resource-policy"] == "keep"

    def test_only_errors_are_tried_again(self, manifests):
        spec = manifests["CronJob"]["spec"]["jobTemplate"]["spec"]
        (rule,) = spec["podFailurePolicy"]["rules"]
        assert rule["action"] == "FailJob"
        assert rule["onExitCodes"]["values"] == [1, 2]
        assert spec["template"]["spec"]["restartPolicy"] == "Never"  # the policy asks for it
        assert spec["backoffLimit"] > 0

    @pytest.mark.slow
    @pytest.mark.parametrize(("group", "status"), [("D4", 1), ("C3", 3)])
    def test_its_script_runs_and_ends_with_the_status(self, manifests, tmp_path, group, status):
        """With the model by its name in place of a service: what differs is where it is asked."""
        done = run_script(manifests, tmp_path, group)
        assert done.returncode == status, done.stderr
        written = {path.suffix for path in tmp_path.glob("orbitserve-audit-*")}
        if status == 3:
            assert written <= {".answers"}
        else:
            assert written == {".json", ".sarif", ".xml"}
            report = (tmp_path / "orbitserve-audit-29000000.json").read_text()
            assert Report.model_validate_json(report).verdict == ["PASS", "FAIL"][status]

    @pytest.mark.slow
    @pytest.mark.parametrize("certified", [False, True])
    def test_with_a_key_it_signs_its_report(self, manifests, tmp_path, certified):
        held, public = made_key(tmp_path)
        if not certified:
            del held["certificate.pem"]
        mounted(tmp_path / "signing", held)
        done = run_script(manifests, tmp_path)
        assert done.returncode == 0, done.stderr
        envelope = tmp_path / "orbitserve-audit-29000000.intoto.jsonl"
        assert ("cert" in json.loads(envelope.read_bytes())["signatures"][0]) == certified
        checked = subprocess.run(
            [sys.executable, "-m", "orbitserve", "verify", str(envelope), "--key", str(public)],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert checked.returncode == 0, checked.stderr
        assert "PASSED" in checked.stdout

    @pytest.mark.slow
    def test_a_key_that_is_none_is_told_before_anything_is_asked(self, manifests, tmp_path):
        (tmp_path / "signing").mkdir()
        (tmp_path / "signing" / "key.pem").write_text("none")
        done = run_script(manifests, tmp_path)
        assert done.returncode == 3
        assert not [*tmp_path.glob("orbitserve-audit-*")]

    def test_the_key_is_read_only_and_no_job_waits_for_it(self, manifests):
        (mount,) = (m for m in container(manifests)["volumeMounts"] if m["name"] == "signing")
        (volume,) = (v for v in pod(manifests)["volumes"] if v["name"] == "signing")
        assert mount["readOnly"]
        assert volume["secret"]["optional"]
        assert volume["secret"]["defaultMode"] & 0o007 == 0


def made_key(folder: Path) -> tuple[dict[str, bytes], Path]:
    """What a Secret holds, and the public key's file."""
    from tests.service.signing import make_authority, make_key

    pair, authority = make_key(folder, "signer"), make_authority(folder, "root")
    certificate = authority.sign("signer", pair.public_key)
    return {"key.pem": pair.private.read_bytes(), "certificate.pem": certificate}, pair.public


def mounted(folder: Path, held: dict[str, bytes]) -> None:
    """Lay files as Kubernetes mounts a Secret: as links."""
    (folder / "..data").mkdir(parents=True)
    for name, content in held.items():
        (folder / "..data" / name).write_bytes(content)
        (folder / name).symlink_to(f"..data/{name}")


def run_script(
    manifests: dict[str, Any], folder: Path, group: str = "C4"
) -> subprocess.CompletedProcess[str]:
    """Run the job's script, with folders in place of its volumes."""
    script = container(manifests)["args"][0]
    script = script.replace("/reports/", f"{folder}/").replace("/signing/", f"{folder}/signing/")
    command = folder / "bin" / "orbitserve"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import orbitserve; orbitserve.main()" "$@"'
        f" --group {group}\n"
    )
    command.chmod(stat.S_IRWXU)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "SERVICE": "rotmnist-c4-int8",
        "IMAGES": "model_repository/rotmnist-c4-int8/1/audit.npz",
        "JOB_NAME": "orbitserve-audit-29000000",
    }
    return subprocess.run(
        ["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, cwd=ROOT
    )


class TestWorkflow:
    def test_github_knows_every_field(self, workflow):
        vendored = pytest.importorskip("check_jsonschema")
        schema = resources.files(vendored) / "builtin_schemas/vendor/github-workflows.json"
        # YAML 1.1 takes the key `on` for a truth value.
        document = {"on" if key is True else key: value for key, value in workflow.items()}
        check = jsonschema.Draft7Validator(json.loads(schema.read_text()))
        assert not [*check.iter_errors(document)]
        del document["jobs"]["audit"]["runs-on"]
        assert [*check.iter_errors(document)]

    def test_what_it_uploads_is_what_the_audit_writes(self, workflow):
        steps = {each.get("name"): each for each in workflow["jobs"]["audit"]["steps"]}
        words = steps["Audit"]["run"].split()
        assert {word for word in words if word.startswith("--")} <= options_of_audit()
        outputs = [words[i + 1] for i, word in enumerate(words) if word == "--output"]
        assert steps["Show it under Security"]["with"]["sarif_file"] in outputs
        assert "security-events" in workflow["permissions"]
        kept = steps["Keep the reports"]["with"]["path"]
        assert all(Path(each).match(kept) for each in outputs)


def test_the_guide_names_no_option_that_there_is_not():
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", GUIDE))
    assert "--resume" in named
    assert named <= options_of_audit()
