"""The CPU budget is the tightest of the affinity mask and the cgroup's quotas."""

import os
from pathlib import Path

import pytest

from artifact.cpus import cpu_budget


def cgroup(tmp_path: Path, own: str, quotas: dict[str, str]) -> tuple[Path, Path]:
    root = tmp_path / "cgroup"
    for folder, text in {".": "max 100000", own: "max 100000", **quotas}.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "cpu.max").write_text(text + "\n")
    listing = tmp_path / "self"
    listing.write_text(f"9:cpu:/elsewhere\n0::/{own}\n")
    return root, listing


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("quotas", "budget"),
    [
        ({}, 8),
        ({"pod/box": "200000 100000"}, 2),
        ({"pod": "300000 100000"}, 3),
        ({"pod": "300000 100000", "pod/box": "250000 100000"}, 2),
        ({"pod/box": "50000 100000"}, 1),
        ({"pod/box": "6400000 100000"}, 8),
    ],
)
def test_the_tightest_limit_holds(tmp_path: Path, quotas: dict[str, str], budget: int) -> None:
    assert cpu_budget(*cgroup(tmp_path, "pod/box", quotas)) == budget


@pytest.mark.usefixtures("eight_cpus")
def test_without_a_cgroup_the_affinity_mask_holds(tmp_path: Path) -> None:
    assert cpu_budget(tmp_path / "none", tmp_path / "none") == 8
