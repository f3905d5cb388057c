"""The service under Ray Serve, for those who run Ray anyway: the same application behind its proxy.

    serve run deploy.ray_serve:application        # or: python -m deploy.ray_serve

It is configured by ORBITSERVE_*, as everywhere, and needs the extra `ray-serve`. Each replica loads
every model. What `orbitserve serve` does below the application, its sockets, is Ray's here;
docs/bulk.md says what that changes.
"""

import os
import time

# Before Ray is imported: nobody is told that it is used.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from fastapi import FastAPI
from ray import serve

from service.app import create_app
from service.environment import check_who_may_call, read_settings
from service.settings import Settings


def build() -> FastAPI:
    """Build the application in a replica, with the settings that are there."""
    return create_app(_read())


# The application writes a line for each request, and Ray need not write another.
application = serve.deployment(
    serve.ingress(build)(), name="orbitserve", logging_config={"enable_access_log": False}
).bind()


def main() -> None:
    """Serve on 127.0.0.1 and the port of the settings, until this is interrupted."""
    import ray

    settings = _read()
    ray.init(include_dashboard=False, configure_logging=False)
    serve.start(http_options={"host": settings.host, "port": settings.port})
    serve.run(application, name="orbitserve", route_prefix="/")
    print(f"Ray Serve listens on http://{settings.host}:{settings.port}", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        serve.shutdown()


def _read() -> Settings:
    settings = read_settings()
    check_who_may_call(settings)
    return settings


if __name__ == "__main__":
    main()
