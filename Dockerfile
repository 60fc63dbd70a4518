# Watchgate without vLLM. Not built where this is developed: treat it as a starting point.
#   docker build -t watchgate .
#   docker run -v ./watchgate.yaml:/etc/watchgate/watchgate.yaml:ro -v watchgate:/var/lib/watchgate watchgate gateway
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY requirements/main.txt requirements/dev.txt /src/requirements/
RUN python -m venv /opt/watchgate \
    && /opt/watchgate/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/main.txt \
    && python -m pip install --no-cache-dir --require-hashes -r /src/requirements/main.txt -r /src/requirements/dev.txt
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY service /src/service
COPY detectors /src/detectors
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /src \
    && /opt/watchgate/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.11-slim
RUN useradd --system --create-home --home-dir /var/lib/watchgate watchgate
COPY --from=build /opt/watchgate /opt/watchgate
ENV PATH=/opt/watchgate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WATCHGATE_CONFIG=/etc/watchgate/watchgate.yaml \
    WATCHGATE_DATA_DIR=/var/lib/watchgate \
    WATCHGATE_STORE__URL=sqlite:////var/lib/watchgate/watchgate.db \
    WATCHGATE_GATEWAY__HOST=0.0.0.0 \
    WATCHGATE_OPS__HOST=0.0.0.0
USER watchgate
WORKDIR /var/lib/watchgate
VOLUME /var/lib/watchgate
EXPOSE 8080 8081 9464
ENTRYPOINT ["watchgate"]
CMD ["up"]
