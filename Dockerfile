# syntax=docker/dockerfile:1
# Watchgate without vLLM: one image for all its processes. docs/image.md says how to build, pin and check it.
#   docker build -t watchgate:0.1.0 .
#   docker run -v ./watchgate.yaml:/etc/watchgate/watchgate.yaml:ro -v watchgate:/var/lib/watchgate watchgate:0.1.0 up

# Pin it for a release: BASE_IMAGE=python:3.11-slim@sha256:<digest>, where the digest is what
# `docker buildx imagetools inspect python:3.11-slim` prints. Both stages must have the same one.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# The compiler is for the detectors' C part, and stays in this stage
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/main.txt requirements/image.txt requirements/
# What is installed is what main.txt pins, by hash; the tools that build the wheel are in an environment of their own
RUN python -m venv --without-pip /opt/watchgate \
    && python -m pip --python /opt/watchgate/bin/python install --require-hashes --only-binary=:all: -r requirements/main.txt \
    && python -m venv /opt/tools \
    && /opt/tools/bin/pip install --require-hashes --only-binary=:all: -r requirements/image.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY service service
COPY detectors detectors
COPY vllm_probe vllm_probe
COPY scripts/__init__.py scripts/sbom.py scripts/
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /opt/watchgate/bin/python install --no-deps /wheels/*.whl \
    && test -n "$(find /opt/watchgate -name 'words-*')" \
    && /opt/tools/bin/python -m scripts.sbom /opt/watchgate/share/sbom.cdx.json

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Watchgate" \
      org.opencontainers.image.description="Access control and misuse monitoring in front of vLLM" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that Kubernetes' runAsNonRoot can tell; nobody logs in
RUN groupadd --gid 10001 watchgate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/watchgate --shell /usr/sbin/nologin watchgate \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/watchgate /etc/watchgate
COPY --from=build /opt/watchgate /opt/watchgate
# No settings by the environment here: they would win over the file that whoever runs it mounts
ENV PATH=/opt/watchgate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WATCHGATE_CONFIG=/etc/watchgate/watchgate.yaml
USER 10001:10001
WORKDIR /var/lib/watchgate
VOLUME /var/lib/watchgate
EXPOSE 8080 8081 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["watchgate"]
CMD ["up"]
