"""What the image is made from: locked, listed, and built by a Dockerfile without complaints."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
EXTRAS_OF_THE_IMAGE = ["gpu", "otel", "parquet", "ray", "ray-serve", "signing"]
TOOLS = Path(sys.executable).parent


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{TOOLS}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def pins(lock: Path) -> dict[str, set[str]]:
    """The versions of each package; several where they differ between platforms."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def asked(*extras: str) -> list[Requirement]:
    """What is required, with what the project's own extras among it require."""
    named = [*PROJECT["project"]["dependencies"], *(n for extra in extras for n in EXTRAS[extra])]
    found = []
    for each in map(Requirement, named):
        if each.name == "orbitserve":
            found += asked(*each.extras)
        else:
            found.append(each)
    return found


class TestLocks:
    def test_there_is_one_for_what_runs_for_each_extra_of_the_image_and_for_tests(self):
        names = {lock.stem for lock in LOCKS}
        assert names == {"build", "runtime", "dev", *EXTRAS_OF_THE_IMAGE}

    @pytest.mark.parametrize("name", ["runtime", "dev", *EXTRAS_OF_THE_IMAGE])
    def test_it_holds_what_pyproject_asks_for(self, name):
        held = pins(ROOT / "locks" / f"{name}.txt")
        for each in asked(*([] if name == "runtime" else [name])):
            if each.name == "torch":  # which build of it is not for a lock to say
                assert "torch" not in held
                continue
            versions = held.get(canonicalize_name(each.name), set())
            assert versions, f"`make lock`: locks/{name}.txt has no {each.name}"
            for version in versions:
                assert each.specifier.contains(version, prereleases=True), f"`make lock`: {each}"

    def test_what_builds_the_package_is_locked(self):
        (need,) = map(Requirement, PROJECT["build-system"]["requires"])
        ((version,),) = pins(ROOT / "locks/build.txt").values()
        assert need.specifier.contains(version)

    def test_all_agree(self):
        every: dict[str, set[str]] = pins(ROOT / "locks/dev.txt")
        for lock in LOCKS:
            for name, versions in pins(lock).items():
                assert every.setdefault(name, versions) == versions, name

    @pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
    def test_each_package_is_held_by_its_files_digests(self, lock):
        entries = re.split(r"\n(?=[\w.-]+==)", lock.read_text())[1:]
        assert entries
        for each in entries:
            head, *digests = each.strip().split(" \\\n")
            assert digests, head
            assert all(re.fullmatch(r"\s*--hash=sha256:[0-9a-f]{64}", d) for d in digests), head

    def test_the_image_installs_by_them_alone(self):
        steps = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        installs = [
            line for line in re.split("&&|\n", steps) if "pip" in line and " install " in line
        ]
        assert len(installs) == 3
        for line in installs:
            assert "--require-hashes" in line or ("--no-deps" in line and "/wheels/" in line)


class TestDockerfile:
    def complaints(self, file: Path) -> subprocess.CompletedProcess[str]:
        command = [tool("hadolint"), "--no-color", file]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_hadolint_has_none(self):
        done = self.complaints(ROOT / "Dockerfile")
        assert (done.returncode, done.stdout) == (0, "")

    def test_hadolint_would_have_some(self, tmp_path):
        text = (ROOT / "Dockerfile").read_text().replace("WORKDIR /srv", "WORKDIR srv")
        (tmp_path / "Dockerfile").write_text(text)
        assert "DL3000" in self.complaints(tmp_path / "Dockerfile").stdout


@pytest.mark.slow
class TestBill:
    def write(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(tool('cyclonedx-py')).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [ROOT / "deploy/container/sbom.sh", *words],
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_it_lists_what_the_lock_installs(self, tmp_path):
        """Of a lock of one package, which the whole recipe takes seconds for."""
        (entry,) = re.findall(
            r"^idna==.*?(?=^\w)", (ROOT / "locks/runtime.txt").read_text(), re.M | re.S
        )
        (tmp_path / "runtime.txt").write_text(entry)
        done = self.write(tmp_path / "sbom.json", LOCKS=str(tmp_path))
        assert done.returncode == 0, done.stderr
        bill = json.loads((tmp_path / "sbom.json").read_text())
        assert bill["bomFormat"] == "CycloneDX"
        assert bill["metadata"]["component"]["name"] == "orbitserve"
        (component,) = bill["components"]
        assert f"{component['name']}=={component['version']}" == entry.split(" ")[0]

    def test_another_file_than_was_locked_is_refused(self, tmp_path):
        (tmp_path / "runtime.txt").write_text(f"idna==3.10 --hash=sha256:{'0' * 64}\n")
        assert self.write(tmp_path / "sbom.json", LOCKS=str(tmp_path)).returncode != 0
        assert not (tmp_path / "sbom.json").exists()

    def test_an_extra_that_is_none_is_a_sentence(self, tmp_path):
        done = self.write(tmp_path / "sbom.json", "nonsense")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
