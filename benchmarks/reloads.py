"""Memory of a service whose model is unloaded and loaded again and again."""

import argparse
import http.client
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.machine import describe_machine
from benchmarks.serving.launchers import Setting, orbitserve
from benchmarks.serving.model import open_model_under_test
from benchmarks.serving.server import Server, ServerError, free_port, running
from service.settings import ConfigurationError

READINGS: Final = 5
MOST_GROWTH: Final = 1.05


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure it, and end with status 1 if memory has grown by more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reloads", description=__doc__)
    parser.add_argument("--reloads", type=int, default=500)
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("model_repository/rotmnist-c4/1/model.onnx"),
        help="<repository>/<name>/<version>/model.onnx, which is reloaded; all are served",
    )
    options = parser.parse_args(arguments)
    if options.reloads < READINGS:
        parser.error(f"--reloads: at least {READINGS} are accepted")
    try:
        found = measure(options.model, options.reloads)
    except (ConfigurationError, ServerError) as error:
        sys.exit(str(error))
    lines, met = report(found)
    print("\n".join([describe_machine(), *lines]))
    sys.exit(0 if met else 1)


def measure(model: Path, reloads: int) -> dict[int, int]:
    """Reload a model; return the service's resident bytes after so many reloads."""
    under_test = open_model_under_test(model, None)
    setting = Setting(under_test, Path("build"), free_port())
    launch = orbitserve(setting)
    allowed = {"ORBITSERVE_MODEL_CONTROL": "true"}
    launch = replace(launch, environment={**launch.environment, **allowed})
    with running(launch, setting.port) as server:
        found = {}
        for number in range(reloads + 1):
            if number:
                _reload(server, under_test.card.name)
            if number % (reloads // READINGS) == 0:
                found[number] = _resident(server)
        return found


def report(found: dict[int, int]) -> tuple[list[str], bool]:
    """Return what is printed, and whether memory is what it was after the first reading."""
    after, before = list(found.values())[-1], list(found.values())[1]
    lines = [f"{number} reloads: {size / 2**20:.0f} MiB resident" for number, size in found.items()]
    growth = after / before
    bar = f"resident memory at the end, of that after {list(found)[1]} reloads: {growth:.3f}"
    met = growth <= MOST_GROWTH
    return [*lines, f"{bar}, at most {MOST_GROWTH} accepted: {'met' if met else 'NOT met'}"], met


def _reload(server: Server, name: str) -> None:
    for change in ("unload", "load"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        try:
            connection.request("POST", f"/v2/repository/models/{name}/{change}")
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"{change}: no answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ServerError(f"{change}: {said.decode(errors='replace')}")


def _resident(server: Server) -> int:
    """Return the resident bytes of the process that serves, without those that decode."""
    pages = int(Path(f"/proc/{server.process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
