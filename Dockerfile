# Any image with Python 3.11 or newer, pip and /bin/sh will do: a mirror's, a hardened one, another distribution.
ARG PYTHON_IMAGE=python:3.14-alpine

FROM ${PYTHON_IMAGE} AS build
# How pip finds a mirror. A certificate for PIP_CERT must be in the base image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
WORKDIR /opt/stop-recording
COPY requirements.txt /tmp/
# Binary packages only: nothing is compiled, so no compiler is needed. What nothing here uses goes: scripts,
# the tests that some packages ship, the C half of PyYAML (2.5 MB; its safe loaders are Python).
RUN python3 -m venv --without-pip . \
 && python3 -m pip --python bin/python install --no-cache-dir --no-compile --no-deps --only-binary=:all: \
    --require-hashes --disable-pip-version-check --requirement /tmp/requirements.txt \
 && find bin -type f -delete \
 && rm -r include lib/python*/site-packages/yaml/_yaml.* \
 && find lib -type d -name tests -prune -exec rm -r {} +
COPY LICENSE entrypoint.py ./
# `python -I` does not look beside the script, so the package goes where the libraries are.
COPY stop_recording /tmp/stop_recording
RUN mv /tmp/stop_recording lib/python*/site-packages/ \
 && bin/python -m compileall -q --invalidation-mode unchecked-hash lib \
 && printf '#!/bin/sh\nexec /opt/stop-recording/bin/python -I /opt/stop-recording/entrypoint.py "$@"\n' \
    >/usr/local/bin/stop-recording \
 && chmod 755 /usr/local/bin/stop-recording

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/stop-recording /opt/stop-recording
COPY --from=build /usr/local/bin/stop-recording /usr/local/bin/stop-recording
# Base images ship the standard library without bytecode: writes that of the modules the step imports, so
# that they are not compiled at every start.
RUN ["/opt/stop-recording/bin/python", "-I", "-c", "import stop_recording.app, stop_recording.reporting.github"]

ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=https://github.com/OWNER/wallarm-fast-stop-recording
LABEL org.opencontainers.image.title="wallarm-fast-stop-recording" \
      org.opencontainers.image.description="CI/CD step that stops recording the baseline requests of a Wallarm FAST test run" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# No USER: GitHub's runner mounts the files for the outputs so that only root is sure to be able to write
# them, and its documentation asks for root. The code does not care: run it as any user that can write its
# output files.
#
# No ENTRYPOINT: GitHub and `docker run` start CMD, GitLab's runner starts its own `sh`. The interpreter's
# path is absolute because a job's PATH reaches the container, and -I keeps PYTHON* variables and the
# working directory out of it.
CMD ["/opt/stop-recording/bin/python", "-I", "/opt/stop-recording/entrypoint.py"]
