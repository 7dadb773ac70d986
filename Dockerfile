# Any image with Python 3.11 or newer, pip and /bin/sh works: from a mirror, a hardened one, another distribution.
ARG PYTHON_IMAGE=python

# Not in the ARG, where Dependabot does not see it. BuildKit skips this stage if PYTHON_IMAGE is another image.
FROM python:3.14-alpine AS python

FROM ${PYTHON_IMAGE} AS build
# For a package mirror. A certificate for PIP_CERT must be in the base image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
WORKDIR /opt/wallarm-fast
COPY requirements.txt /tmp/
# Binary packages only, so no compiler is needed. Unused files are removed: scripts, the tests that some packages
# ship, the C extension of PyYAML (2.5 MB; the loader used here is pure Python).
RUN python3 -m venv --without-pip . \
 && python3 -m pip --python bin/python install --no-cache-dir --no-compile --no-deps --only-binary=:all: \
    --require-hashes --disable-pip-version-check --requirement /tmp/requirements.txt \
 && find bin -type f -delete \
 && rm -r include lib/python*/site-packages/yaml/_yaml.* \
 && find lib -type d -name tests -prune -exec rm -r {} +
COPY LICENSE ./
# `python -I` does not look next to the script, so the package goes where the libraries are.
COPY wallarm_fast /tmp/wallarm_fast
RUN mv /tmp/wallarm_fast lib/python*/site-packages/ \
 && bin/python -m compileall -q --invalidation-mode unchecked-hash lib
# Every command is the same script, which looks at the name it is started by. The kernel starts the interpreter, since
# a shell in between would drop variables with a dash, such as INPUT_TEST-RUN-ID. The path of the interpreter is
# absolute because the PATH of a job reaches the container; -I keeps PYTHON* variables and the working directory out.
COPY entrypoint.py /tmp/
RUN sed -i '1s|.*|#!/opt/wallarm-fast/bin/python -I|' /tmp/entrypoint.py \
 && chmod 755 /tmp/entrypoint.py \
 && mkdir /commands \
 && for name in start-recording stop-recording fast-verdict; do \
      cp /tmp/entrypoint.py "/commands/$name" || exit; \
    done

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/wallarm-fast /opt/wallarm-fast
COPY --from=build /commands /usr/local/bin
# Base images ship the standard library without bytecode. This writes it for the modules that the steps import,
# so that they are not compiled at every start.
RUN ["/opt/wallarm-fast/bin/python", "-I", "-c", "import wallarm_fast.start.step, wallarm_fast.stop.step, wallarm_fast.verdict.step, wallarm_fast.platforms.github, wallarm_fast.platforms.gitlab, xml.etree.ElementTree"]

ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=https://github.com/OWNER/wallarm-fast-stop-recording
LABEL org.opencontainers.image.title="wallarm-fast-stop-recording" \
      org.opencontainers.image.description="CI/CD steps for Wallarm FAST: start and stop a recording, wait for the security tests" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# No USER: only root can be sure to write the output files that GitHub's runner mounts, and GitHub's
# documentation asks for root. The code runs as any user that can write its output files.
#
# No ENTRYPOINT: GitHub and `docker run` start CMD, GitLab's runner starts its own `sh`.
CMD ["/usr/local/bin/stop-recording"]
