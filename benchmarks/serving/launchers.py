"""How each server is started; what can only be said in files is written beside its environment."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sysconfig import get_config_var
from typing import Literal

from benchmarks.serving.environments import python_of, site_packages
from benchmarks.serving.model import ModelUnderTest
from benchmarks.serving.server import Launch, free_port

RIVALS = Path(__file__).with_name("rivals")
ROOT = Path(__file__).parents[2]
BATCH = 32


@dataclass(frozen=True)
class Setting:
    """What a launcher is told: the model, the rival's environment, and the ports to serve on."""

    under_test: ModelUnderTest
    environment: Path
    port: int
    grpc_port: int | None = None


def orbitserve(
    setting: Setting, lines: Literal["console", "json"] | None = None, workers: int = 1
) -> Launch:
    """Start this service as `make serve` does, every model of the repository included.

    Parameters
    ----------
    lines
        How it writes a line a request, into a file; by default, as the others, it writes none.
    workers
        How many processes serve, and share the threads of its sessions.
    """
    under_test = setting.under_test
    options = {
        "port": setting.port,
        "grpc_port": setting.grpc_port or "",
        "device": "cpu",
        "repository": under_test.repository,
        "default_model": under_test.card.name,
        "threads": max(1, under_test.threads // workers),
        "workers": workers,
        "log_level": "info" if lines else "warning",
        "log_format": lines or "console",
    }
    settings = {f"ORBITSERVE_{name.upper()}": str(value) for name, value in options.items()}
    command = [sys.executable, "-m", "orbitserve", "serve"]
    return Launch(command, os.environ | settings, "/readyz", ROOT, setting.grpc_port)


def naive(setting: Setting) -> Launch:
    """Start the naive handler in this project's own environment."""
    loops = ["--loop", "uvloop", "--http", "httptools"]
    command = [sys.executable, "-m", "uvicorn", "naive_app:app", "--port", str(setting.port)]
    command += [*loops, "--no-access-log", "--log-level", "warning"]
    return _launch(command, setting, "/ready")


def litserve(setting: Setting) -> Launch:
    """Start LitServe."""
    return _launch([_python(setting), str(RIVALS / "litserve_app.py")], setting, "/health")


def bentoml(setting: Setting) -> Launch:
    """Start BentoML without metrics and access log, which it would write for each request."""
    configuration = setting.environment / "configuration.yaml"
    configuration.write_text(
        "api_server:\n"
        "  logging: {access: {enabled: false}}\n"
        "  metrics: {enabled: false}\n"
        "  traffic: {timeout: 60}\n"
    )
    command = [_python(setting), "-m", "bentoml", "serve", "bentoml_app:Rival"]
    command += ["--host", "127.0.0.1", "--port", str(setting.port), "--working-dir", str(RIVALS)]
    more = {"BENTOML_CONFIG": str(configuration), "BENTOML_DO_NOT_TRACK": "True"}
    return _launch(command, setting, "/readyz", more)


def mlserver(setting: Setting) -> Launch:
    """Start MLServer without its pool of worker processes, which one session has no use for."""
    folder = setting.environment / "models"
    folder.mkdir(exist_ok=True)
    server = {
        "host": "127.0.0.1",
        "http_port": setting.port,
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": setting.under_test.card.name,
        "implementation": "mlserver_runtime.Rival",
        "max_batch_size": BATCH,
        # A batch is waited for, also by a lone request.
        "max_batch_time": 0.001,
    }
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = [str(setting.environment / "bin" / "mlserver"), "start", str(folder)]
    return _launch(command, setting, f"/v2/models/{model['name']}/ready")


def ray(setting: Setting) -> Launch:
    """Start Ray Serve in its high-throughput mode: HAProxy in front, requests straight to it."""
    more = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return _launch([_python(setting), str(RIVALS / "ray_app.py")], setting, "/-/routes", more)


def triton(setting: Setting) -> Launch:
    """Start NVIDIA's Triton, which the wheel of PyTriton carries, on a repository of its own."""
    packages = site_packages(setting.environment)
    wheel = packages / "pytriton" / "tritonserver"
    name = setting.under_test.card.name
    # A repository for each model: all that lies in one is loaded.
    version = setting.environment / f"repository-{name}" / name / "1"
    version.mkdir(parents=True, exist_ok=True)
    (version / "model.py").write_text((RIVALS / "triton_model.py").read_text())
    image = ", ".join(map(str, setting.under_test.card.input.shape))
    (version.parent / "config.pbtxt").write_text(
        (RIVALS / "triton_config.pbtxt")
        .read_text()
        .replace("@NAME@", name)
        .replace("@IMAGE@", image)
        .replace("@CLASSES@", str(len(setting.under_test.card.classes)))
    )
    backends = _with_stub(setting.environment, wheel)
    command = [str(wheel / "bin" / "tritonserver"), "--model-repository", str(version.parents[1])]
    command += ["--backend-directory", str(backends), "--http-address", "127.0.0.1"]
    command += ["--http-port", str(setting.port), "--grpc-port", str(setting.grpc_port)]
    command += ["--allow-metrics", "false"]
    more = {
        # The stub is linked with libpython: this interpreter's, before another of the system.
        "LD_LIBRARY_PATH": f"{packages / 'nvidia_pytriton.libs'}:{get_config_var('LIBDIR')}",
        # It embeds an isolated interpreter, which ignores PYTHONPATH: the model reads this.
        "RIVAL_PATH": f"{RIVALS}:{packages}",
    }
    launch = _launch(command, setting, "/v2/health/ready", more)
    return replace(launch, grpc_port=setting.grpc_port)


def _with_stub(environment: Path, wheel: Path) -> Path:
    """Lay the Python backend and the stub for this Python side by side, as the backend asks."""
    folder = environment / "backends" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stubs = wheel / "python_backend_stubs" / version
    for file in [*(wheel / "backends" / "python").iterdir(), *stubs.iterdir()]:
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file)
    return folder.parent


def _python(setting: Setting) -> str:
    return str(python_of(setting.environment))


def _launch(
    command: Sequence[str], setting: Setting, ready: str, more: dict[str, str] | None = None
) -> Launch:
    """Add what every rival reads: where `classifier.py` is, the model, the threads, the port."""
    told = {
        "PYTHONPATH": str(RIVALS),
        "RIVAL_MODEL": str(setting.under_test.file),
        "RIVAL_THREADS": str(setting.under_test.threads),
        "RIVAL_PORT": str(setting.port),
    }
    return Launch(command, os.environ | told | (more or {}), ready, RIVALS)
