"""The alerts of shadow audits fire when they should and are silent when they should be.

Each case is one history of metrics; promtool runs the rules over it. A rule that is broken on
purpose has to fail its case, or the case shows nothing.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "shadow.yml"
LABELS = 'job="orbitserve", instance="a:8000", model="m", version="1"'

QUIET: dict[str, str] = {
    'orbitserve_model_info{group="C4", LABELS}': "1x120",
    "nv_inference_count{LABELS}": "0+60x120",
    "orbitserve_shadow_share{LABELS}": "0.1x120",
    "orbitserve_shadow_trials_total{LABELS}": "0+6x120",
    "orbitserve_shadow_disagreements_total{LABELS}": "0x120",
    "orbitserve_shadow_deviations_total{LABELS}": "0x120",
    "orbitserve_shadow_agreement_lower{LABELS}": "0.98x120",
    "orbitserve_shadow_agreement_upper{LABELS}": "1x120",
    'orbitserve_shadow_dropped_total{reason="failed", LABELS}': "0x120",
    'orbitserve_shadow_dropped_total{reason="full", LABELS}': "0+6x120",
    "orbitserve_shadow_unrecorded_total{LABELS}": "0x120",
}
"""An hour and more in which all is well, a sample a minute; the bound is low as trials are few."""

# What differs from a quiet hour, what fires after 90 minutes, and a rule's text with its mutant.
CASES: dict[str, tuple[dict[str, str], set[str], tuple[str, str] | None]] = {
    "quiet": ({}, set(), ("agreement_lower < 0.99 and", "agreement_lower < 0.99 or")),
    "one deviation, long ago, before the first scrape": (
        {"orbitserve_shadow_deviations_total{LABELS}": "1x120"},
        {"OrbitserveShadowDeviates"},
        (
            "orbitserve_shadow_deviations_total > 0",
            "increase(orbitserve_shadow_deviations_total[1h]) > 0",
        ),
    ),
    "deviations of a model without a group": (
        {
            "orbitserve_shadow_deviations_total{LABELS}": "0+6x120",
            'orbitserve_model_info{group="C4", LABELS}': "_x120",
            'orbitserve_model_info{group="trivial", LABELS}': "1x120",
        },
        set(),
        ('group!="trivial"', 'group!=""'),
    ),
    "fewer agree than asked": (
        {"orbitserve_shadow_agreement_upper{LABELS}": "0.989x120"},
        {"OrbitserveShadowDisagrees"},
        ("agreement_upper < 0.99", "agreement_upper < 0.9"),
    ),
    "many trials and nothing shown": (
        {"orbitserve_shadow_trials_total{LABELS}": "0+100x120"},
        {"OrbitserveShadowNotShown"},
        ("agreement_lower < 0.99", "agreement_lower < 0.5"),
    ),
    "many trials, and shown": (
        {
            "orbitserve_shadow_trials_total{LABELS}": "0+100x120",
            "orbitserve_shadow_agreement_lower{LABELS}": "0.995x120",
        },
        set(),
        ("agreement_lower < 0.99", "agreement_lower < 0.999"),
    ),
    "bounds that crossed": (
        {
            "orbitserve_shadow_agreement_lower{LABELS}": "0.996x120",
            "orbitserve_shadow_agreement_upper{LABELS}": "0.995x120",
        },
        {"OrbitserveShadowChanged"},
        ("agreement_lower > orb", "agreement_lower < orb"),
    ),
    "traffic without a trial": (
        {"orbitserve_shadow_trials_total{LABELS}": "5x120"},
        {"OrbitserveShadowIdle"},
        ("unless on", "and on"),
    ),
    "so little traffic that none may have been chosen": (
        {
            "orbitserve_shadow_trials_total{LABELS}": "5x120",
            "nv_inference_count{LABELS}": "0+1x120",
        },
        set(),
        ("orbitserve_shadow_share > 10", "orbitserve_shadow_share > 1"),
    ),
    "trials that fail": (
        {'orbitserve_shadow_dropped_total{reason="failed", LABELS}': "0+1x120"},
        {"OrbitserveShadowFails"},
        ('reason="failed"', 'reason="fails"'),
    ),
    "findings that cannot be recorded": (
        {"orbitserve_shadow_unrecorded_total{LABELS}": "0+1x120"},
        {"OrbitserveShadowFails"},
        ("unrecorded_total[5m]", "trials_total[5m] * 0"),
    ),
    "no shadow audits": (
        {name: "_x120" for name in QUIET if "shadow" in name},
        set(),
        None,
    ),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    return found


def holds(promtool: str, folder: Path, rules: str, series: dict[str, str], due: set[str]) -> bool:
    """Whether exactly the alerts that are due fire at the end, by `promtool test rules`."""
    names = [rule["alert"] for group in yaml.safe_load(rules)["groups"] for rule in group["rules"]]
    assert due <= set(names)
    (folder / "rules.yml").write_text(rules)
    expected = [
        # ALERTS, since comparing alerts themselves would be comparing their texts.
        {"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)',
         "eval_time": "90m", "exp_samples": [{"labels": "{}", "value": float(name in due)}]}
        for name in names
    ]  # fmt: skip
    inputs = [
        {"series": name.replace("LABELS", LABELS), "values": values}
        for name, values in series.items()
    ]
    case: dict[str, Any] = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": expected}],
    }
    (folder / "case.yml").write_text(yaml.safe_dump(case))
    done = subprocess.run(
        [promtool, "test", "rules", "case.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    print(done.stdout, done.stderr)
    assert "FAILED" in done.stdout + done.stderr or done.returncode == 0
    return done.returncode == 0


@pytest.mark.parametrize(
    "name",
    ["quiet", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "quiet")],
)
def test_an_alert_fires_exactly_when_it_should(promtool: str, tmp_path: Path, name: str) -> None:
    changes, due, mutant = CASES[name]
    rules = RULES.read_text()
    assert holds(promtool, tmp_path, rules, QUIET | changes, due)
    if mutant is not None:
        assert mutant[0] in rules
        assert not holds(promtool, tmp_path, rules.replace(*mutant), QUIET | changes, due)
