"""Renders the chart into deploy/kubernetes, for those without Helm.

usage: render.py [FOLDER]      writes there instead of into deploy/kubernetes
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import helm_python

CHART: Final = Path(__file__).parent / "orbitserve"
PLAIN: Final = CHART.parent.parent / "kubernetes"

_RENDERED: Final = "# Rendered from deploy/helm/orbitserve by `make manifests`.\n"
_SERVICE: Final = ("deployment", "service", "disruption-budget", "network-policy")
_APPLY: Final = "#\n#   kubectl apply --filename deploy/kubernetes/{name}\n"

_CPU: Final = """\
# The service on CPUs, with the models that ship in its image.
"""
_GPU: Final = """\
# The service on an NVIDIA GPU a pod, in place of orbitserve.yaml.
"""
_AUTOSCALER: Final = """\
# As many pods as their CPUs ask for. Take `replicas` out of the Deployment, or each time that it is
# applied there are as many again.
"""
_MONITOR: Final = """\
# Tells the Prometheus operator to scrape the service.
"""
_AUDIT: Final = """\
# Audits the model behind the service `orbitserve` every night, from outside, and keeps the reports.
#
#   kubectl create secret generic orbitserve-auditor --from-literal=api-key=...   # for API keys
#   kubectl create secret generic orbitserve-signer --from-file=key.pem=signer.pem  # to sign
#
# With the Secret `orbitserve-signer` each report has a signed statement beside it, which
# `orbitserve verify` reads; a `certificate.pem` in it goes into the statement. The image has to be
# one that was built with --build-arg EXTRAS=signing, and the key one for this job alone: it lies
# where the job runs.
#
# A job fails where the verdict is FAIL or INCONCLUSIVE, and its report says why. A job that could
# not ask goes on from the answers that it has: in the next pod, at most three times.
"""
_FILES: Final[Mapping[str, tuple[str, dict[str, Any], tuple[str, ...]]]] = {
    "orbitserve.yaml": (_CPU, {}, _SERVICE),
    "orbitserve-gpu.yaml": (_GPU, {"device": "gpu"}, _SERVICE),
    "autoscaler.yaml": (
        _AUTOSCALER,
        {"autoscaling": {"enabled": True, "waitingImages": 0}},
        ("autoscaler",),
    ),
    "service-monitor.yaml": (_MONITOR, {"serviceMonitor": {"enabled": True}}, ("service-monitor",)),
    "audit-cronjob.yaml": (_AUDIT, {"audit": {"enabled": True}}, ("audit",)),
}


def rendered(values: Mapping[str, Any], release: str = "orbitserve") -> dict[str, str]:
    """Return what each template becomes, by its name; what is empty is left out.

    Raises
    ------
    helm_python.HelmError
        If the schema of values refuses these, or a template does.
    """
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(dict(values))
        made = chart.render(dict(values), name=release, namespace="default")
    found = {Path(name).stem: text.strip() for name, text in made.items() if name.endswith(".yaml")}
    return {name: text for name, text in found.items() if text}


def manifests() -> dict[str, str]:
    """Return the files of deploy/kubernetes, by name."""
    return {name: _file(name, *asked) for name, asked in _FILES.items()}


def _file(name: str, head: str, values: Mapping[str, Any], templates: tuple[str, ...]) -> str:
    made = rendered(values)
    objects = "\n---\n".join(made[each] for each in templates)
    return f"{head}{_APPLY.format(name=name)}{_RENDERED}{objects}\n"


def main(arguments: list[str]) -> int:
    """Write the files."""
    folder = Path(arguments[0]) if arguments else PLAIN
    for name, text in manifests().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
