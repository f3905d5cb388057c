# The image that serves: imaging, artifact, audit, service, the commands and the models that ship. No torch.
#   docker build --tag orbitserve:cpu .
#   docker build --tag orbitserve:gpu --build-arg GPU=1 .
# With --build-arg EXTRAS=signing it signs and verifies; other extras are named likewise, spaces between.
# CUDA and cuDNN come as Python packages, so both are built on the same base.
ARG BASE=python:3.11-slim

# pip lives in an environment of its own, so that the one that is shipped has none. What is installed is what is
# locked, file for file: an edit of pyproject.toml installs nothing anew until `make lock`.
FROM ${BASE} AS dependencies
ARG GPU=0
ARG EXTRAS=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/venv
COPY locks locks
RUN if [ "${GPU}" = 1 ]; then set -- gpu; fi \
 && for extra in runtime "$@" ${EXTRAS}; do echo "--requirement locks/${extra}.txt"; done > wanted.txt \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --require-hashes --requirement wanted.txt \
 && /opt/build/bin/pip install --require-hashes --requirement locks/build.txt

# Installed below /package, which lies over the environment as a small layer of its own.
FROM dependencies AS package
COPY pyproject.toml README.md LICENSE orbitserve.py ./
COPY imaging imaging
COPY artifact artifact
COPY audit audit
COPY service service
COPY bulk bulk
COPY commands commands
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/venv/bin/python install --no-deps --no-warn-script-location --root /package /wheels/*.whl

FROM ${BASE} AS account
RUN groupadd --gid 10001 orbitserve \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin orbitserve \
 && mkdir -p /srv/ledger /srv/cache

# Nothing runs in this stage: what a building machine mounts or configures leaves no trace in the image.
FROM ${BASE}
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ORBITSERVE_HOST=0.0.0.0 \
    ORBITSERVE_PORT=8000 \
    ORBITSERVE_GRPC_PORT=8001 \
    ORBITSERVE_PROOF=enforce \
    ORBITSERVE_REPOSITORY=/srv/model_repository
COPY --from=account /etc/passwd /etc/group /etc/
# For volumes, which take their owner from what they are mounted over.
COPY --from=account --chown=10001:10001 /srv /srv
COPY --from=dependencies /opt/venv /opt/venv
COPY model_repository /srv/model_repository
COPY deploy/container/healthcheck.py /srv/
COPY --from=package /package /
WORKDIR /srv
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "/srv/healthcheck.py"]
CMD ["orbitserve", "serve"]
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="orbitserve" \
      org.opencontainers.image.description="Serves image classifiers that are rotation-invariant by construction" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
