"""A machine without a network gets what it needs, whole, and keeps what it has."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from PIL import Image

ROOT = Path(__file__).parent.parent
GPU = ROOT / "deploy" / "gpu"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"deploy_gpu_{name}", GPU / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its own module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


wheelhouse, install = script("wheelhouse"), script("install")


def found(name: str, version: str, *needs: str):
    return wheelhouse.Found(name, version, tuple(map(Requirement, needs)))


WANTED = [Requirement("web>=2"), Requirement("onnxruntime-gpu>=1.31")]
RESOLVED = [
    found("web", "2.4", "web-core==2.4.1"),
    found("web-core", "2.4.1"),
    found("onnxruntime-gpu", "1.31.1", "nvidia-cudnn-cu13~=9.0", "numpy>=1.21"),
    found("nvidia-cudnn-cu13", "9.28"),
    found("numpy", "2.4.6"),
]


def carried(have: str) -> set[str]:
    return {each.name for each in wheelhouse.missing(RESOLVED, WANTED, wheelhouse.read_have(have))}


def test_without_knowing_what_is_there_everything_is_carried():
    assert carried("") == {each.name for each in RESOLVED}


def test_what_is_there_in_a_version_that_will_do_stays_behind():
    have = "NVIDIA_cudnn.cu13==9.10.2\nnumpy\nsomething @ file:///here\n-e /a/checkout\n"
    assert carried(have) == {"web", "web-core", "onnxruntime-gpu"}


def test_what_is_there_and_too_old_is_carried_with_all_that_it_pins():
    assert carried("web==1.9\nweb-core==1.9.9") == {each.name for each in RESOLVED}
    # The older pair fits together, whatever the newer one would pin.
    assert "web-core" not in carried("web==2.0\nweb-core==2.0.5")
    assert "nvidia-cudnn-cu13" in carried("nvidia-cudnn-cu13==8.9")


def test_the_projects_own_requirements_are_asked_for_and_nvidias_with_gpu_only():
    def names(*, gpu: bool) -> set[str]:
        wanted = wheelhouse.requirements(ROOT / "pyproject.toml", gpu=gpu)
        return {f"{each.name}{sorted(each.extras)}" for each in wanted}

    assert {"fastapi[]", "onnxruntime-gpu[]", "pytest[]", "safetensors[]"} <= names(gpu=False)
    assert "torch[]" not in names(gpu=True)  # the other machine's own
    assert names(gpu=True) - names(gpu=False) == {"onnxruntime-gpu['cuda', 'cudnn']"}


def test_what_training_imports_is_carried():
    """But PyTorch, which is there; also what reads a folder of images, as TRAIN may name one."""
    pyproject = ROOT / "pyproject.toml"
    optional = tomllib.loads(pyproject.read_text())["project"]["optional-dependencies"]
    extra = {Requirement(each).name for each in optional["train"]} - {"torch"}
    code = "".join(path.read_text() for path in (ROOT / "models").rglob("*.py"))
    imported = set(re.findall(r"^ *(?:import|from) (\w+)", code, re.MULTILINE))
    carried = {each.name for each in wheelhouse.requirements(pyproject, gpu=False)}
    assert extra & imported
    assert extra & imported <= carried


def make_wheel(folder: Path, name: str, size: int = 10) -> Path:
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{name}.py", f"SIZE = {size}\n#{'x' * size}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return wheel


def test_no_part_is_larger_than_asked_and_pieces_join_to_the_same_wheels(tmp_path):
    wheels = [make_wheel(tmp_path, "small"), make_wheel(tmp_path, "large", 5000)]
    whole = {wheel.name: wheel.read_bytes() for wheel in wheels}
    parts = wheelhouse.cut(wheels, tmp_path, 2000)
    assert [part.name for part in parts] == ["part1", "part2", "part3", "part4"][: len(parts)]
    assert all(sum(file.stat().st_size for file in part.iterdir()) <= 2000 for part in parts)
    assert not list(tmp_path.glob("*.whl"))
    joined = tmp_path / "joined"
    joined.mkdir()
    for folders in ([tmp_path], parts):  # the folder of all parts, or each by its name
        gathered = install.gather(folders, joined)
        assert {wheel.name: wheel.read_bytes() for wheel in gathered} == whole


def test_data_travels_in_pieces_too_and_is_laid_where_training_looks(tmp_path):
    file = tmp_path / "rotmnist.npz"
    file.write_bytes(bytes(range(256)) * 20)
    whole = file.read_bytes()
    wheelhouse.cut([file, make_wheel(tmp_path, "small")], tmp_path, 2000)
    assert not file.exists()
    target = tmp_path / "site"
    install.lay_data([tmp_path], target)
    assert (target / "data" / "rotmnist.npz").read_bytes() == whole


def test_a_missing_piece_is_named(tmp_path):
    parts = wheelhouse.cut([make_wheel(tmp_path, "large", 5000)], tmp_path, 2000)
    piece = next(file for part in parts for file in part.iterdir() if file.suffix == ".01")
    piece.unlink()
    with pytest.raises(ValueError, match=r"large-1.0-py3-none-any.whl lacks its piece 01."):
        install.gather([tmp_path], tmp_path)


@pytest.mark.slow
def test_a_wheelhouse_is_installed_once_into_a_folder_of_its_own(tmp_path):
    house, target = tmp_path / "house", tmp_path / "site"
    house.mkdir()
    wheelhouse.cut([make_wheel(house, "large", 5000), make_wheel(house, "small")], house, 2000)
    command = [sys.executable, GPU / "install.py", target, house]
    assert subprocess.run(command, check=False).returncode == 0
    env = os.environ | {"PYTHONPATH": str(target)}
    shown = "import large; print(large.SIZE, large.__file__)"
    done = subprocess.run([sys.executable, "-c", shown], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["5000", str(target / "large.py")]
    (target / "large.py").unlink()
    assert subprocess.run(command, check=False).returncode == 0
    assert not (target / "large.py").exists()  # known as installed, it was not installed again


def test_an_empty_wheelhouse_is_refused_in_a_sentence(tmp_path):
    command = [sys.executable, GPU / "install.py", tmp_path / "site", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == f"There are no wheels in {tmp_path}.\n"


def check(out: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHON": sys.executable, "DEVICE": "cpu", "QUICK": "1"} | environment
    command = [GPU / "check.sh", *([out] if out.name else []), *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def pictures(tmp_path):
    """A folder of two classes, to be trained on."""
    for kind, grey in (("dark", 40), ("bright", 200)):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for i in range(10):
            image = Image.new("L", (8, 8), grey + i)
            image.save(tmp_path / "pictures" / kind / f"{i}.png")
    return tmp_path / "pictures"


@pytest.mark.slow
def test_training_is_timed_and_a_run_goes_on_where_it_stopped(tmp_path, pictures):
    environment = {"PARTS": "training run", "TRAIN": str(pictures)}
    done = check(tmp_path / "out", **environment)
    assert done.returncode == 0, done.stdout
    assert "| rotmnist-c4-small | float32 | " in done.stdout
    assert "epoch   1/1 " in done.stdout
    (tmp_path / "out" / "run.done").unlink()
    again = check(tmp_path / "out", **environment)
    assert again.returncode == 0, again.stdout
    assert "epoch   1/1 " not in again.stdout
    assert "test images are wrong" in again.stdout


@pytest.mark.slow
def test_a_run_without_its_data_says_what_brings_it(tmp_path):
    done = check(tmp_path / "out", PARTS="run")
    assert done.returncode == 1
    assert "rotmnist.npz; `make data` derives it." in done.stdout


@pytest.mark.slow
def test_every_part_of_the_check_runs_on_a_cpu_and_is_not_run_again(tmp_path, pictures):
    done = check(tmp_path / "out", TRAIN=str(pictures))
    assert done.returncode == 0, done.stdout
    assert done.stdout == (tmp_path / "out" / "report.md").read_text()
    for part in [
        "install",
        "environment",
        "tests",
        "exactness",
        "session",
        "service",
        "training",
        "audits",
        "run",
    ]:
        assert f"## {part}: done in " in done.stdout
    assert f"| rotmnist-c4-integer | CPU{' | 0' * 7} |" in done.stdout
    assert "| rotmnist-c4-int8 | int8 | CPU | 0 | 0 | 0 | 0 | 8 of 8 |" in done.stdout
    assert "| rotmnist-c4 | CPU | " in done.stdout
    assert "PASS  rotmnist-c4 version 1, over C4" in done.stdout
    again = check(tmp_path / "out", TRAIN=str(pictures))
    assert (again.stdout, again.stderr) == (done.stdout, "")


@pytest.mark.slow
@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
def test_without_the_device_that_it_was_asked_for_a_part_fails_with_the_reason(tmp_path):
    done = check(tmp_path, DEVICE="cuda", PARTS="environment")
    assert done.returncode == 1
    assert "## environment: failed with status 1" in done.stdout
    assert "    device=cuda was asked for and CUDAExecutionProvider does not start: " in done.stdout
    assert not list(tmp_path.glob("*.done"))


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
@pytest.mark.slow
def test_audits_that_are_refused_one_and_all_have_found_nothing(tmp_path):
    done = check(tmp_path, DEVICE="cuda", PARTS="audits", QUICK="1")
    assert done.returncode == 1, done.stderr
    assert "device=cuda was asked for" in done.stdout
    assert "audits: failed with status 1" in done.stdout
    assert not (tmp_path / "audits.done").exists()


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")
@pytest.mark.slow
def test_tests_that_were_skipped_on_the_device_they_are_for_have_failed(tmp_path):
    done = check(tmp_path, DEVICE="cuda", PARTS="tests")
    assert "## tests: failed with status 1" in done.stdout
    assert "this machine has no GPU" in done.stdout


@pytest.mark.slow
def test_a_part_that_outlasts_what_is_left_is_ended_and_what_it_printed_is_kept(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho measured so far\nexec sleep 600\n")
    python.chmod(0o755)
    done = check(tmp_path / "out", PYTHON=str(python), PARTS="session service", SECONDS_IN_ALL="1")
    assert done.returncode == 1
    assert "## session: not finished: its limit of 1 s was over\n\nmeasured so far" in done.stdout
    assert "## service: not begun: no time was left" in done.stdout


def test_unknown_parts_and_folders_are_refused_before_anything_runs(tmp_path):
    assert check(tmp_path, PARTS="nonsense").stderr.endswith("there is no part nonsense\n")
    done = check(tmp_path, str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith(f"there is no folder {tmp_path / 'none'}\n")


def test_the_page_names_each_test_that_needs_a_gpu():
    marked = re.compile(r"mark\.gpu\b.*?\ndef (test_\w+)", re.DOTALL)
    due = {
        f"{file.name}::{name}"
        for folder in ("models", "service")
        for file in (ROOT / "tests" / folder).rglob("test_*.py")
        for name in marked.findall(file.read_text())
    }
    page = (ROOT / "docs" / "gpu.md").read_text()
    assert len(due) > 7
    assert set(re.findall(r"`(test_\w+\.py::\w+)`", page)) == due
