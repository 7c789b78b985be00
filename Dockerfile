# Packages are installed from the lock file, by hash; the second stage has no build tools and no rights.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
COPY requirements/core.txt /build/core.txt
RUN python -m venv /opt/headgate \
    && /opt/headgate/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --no-deps -r /build/core.txt \
    && /opt/headgate/bin/python -m pip uninstall --yes pip
COPY src/headgate /opt/headgate/src/headgate
RUN /opt/headgate/bin/python -m compileall -q /opt/headgate/src

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin headgate
COPY --from=build /opt/headgate /opt/headgate
COPY LICENSE /opt/headgate/LICENSE
ENV PYTHONPATH=/opt/headgate/src \
    PYTHONUNBUFFERED=1 \
    HEADGATE__SERVER__HOST=0.0.0.0
USER headgate
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["/opt/headgate/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["/opt/headgate/bin/python", "-m", "headgate"]
CMD ["serve"]
