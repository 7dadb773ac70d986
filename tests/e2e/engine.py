"""A container engine and the images that the tests need: those there are, or else made here."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
STEP_IMAGE = "wallarm-fast-stop-recording:e2e"
RUNNER_IMAGE = "wallarm-fast-e2e-runner:local"
NODE_IMAGE = "wallarm-fast-e2e-node:local"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
(BASE_IMAGE,) = re.findall("(?m)^FROM (.+) AS python$", DOCKERFILE)
STAND_IN_IMAGE = "wallarm-fast-e2e-stand-in:local"
_STAND_IN_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates,bash,curl,rsync"
_ENGINE_STARTS_IN = _ENGINE_STOPS_IN = 60.0


class EngineError(Exception):
    """There is no container engine, or it cannot do what is needed; the message says why."""


@dataclass(frozen=True)
class Docker:
    """A client whose engine answers; `environ` is what another program needs to reach the same engine."""

    client: str
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def __call__(self, *args: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the client. If that fails and `check` is true, raises EngineError with its last output."""
        command, environ = [self.client, *map(str, args)], self.environ
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
        if check and done.returncode:
            output = done.stdout[-2000:] + done.stderr[-2000:]
            raise EngineError(f"{' '.join(command)}: exit code {done.returncode}\n{output}")
        return done

    def obtain(self, image: str) -> bool:
        """Return whether the engine has the image, or can pull it."""
        commands = (("image", "inspect"), ("pull", "--quiet"))
        return any(self(*command, image, check=False).returncode == 0 for command in commands)

    def build(self, context: Path, tag: str, **arguments: str) -> None:
        """Build a folder's Dockerfile, with the host's network: our own engine has no other."""
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        # Without BuildKit, a stage that is not used is built as well, and its base pulled.
        docker = replace(self, environ={**self.environ, "DOCKER_BUILDKIT": "1"})
        docker("build", "--network=host", f"--tag={tag}", *options, context)


@contextmanager
def running_engine() -> Iterator[Docker]:
    """The engine that answers; if none does, one of our own, which is stopped at the end."""
    docker, problem = _find_client(os.environ)
    if docker:
        yield docker
        return
    reason = f"No container engine answers ({problem}), and none can be started here: "
    if not shutil.which("dockerd"):
        raise EngineError(reason + "dockerd is not installed")
    if os.geteuid():
        raise EngineError(reason + "that takes root")
    with _own_engine(reason) as docker:
        yield docker


def build_images(docker: Docker) -> str:
    """Build the images of the step, of the jobs around it and of the FAST node; return the base of all."""
    base = _base_image(docker)
    docker.build(ROOT, STEP_IMAGE, PYTHON_IMAGE=base)
    docker.build(ROOT / "tests/e2e/runner", RUNNER_IMAGE, BASE=base)
    docker.build(ROOT / "tests/e2e/node", NODE_IMAGE, BASE=base)
    return base


def _base_image(docker: Docker) -> str:
    """Return $PYTHON_IMAGE, or else the Dockerfile's default, or else (no registry) a stand-in made here."""
    chosen = os.environ.get("PYTHON_IMAGE", "")
    if docker.obtain(chosen or BASE_IMAGE):
        return chosen or BASE_IMAGE
    if chosen:
        raise EngineError(f"PYTHON_IMAGE={chosen} is not here and cannot be pulled")
    if not shutil.which("mmdebstrap"):
        raise EngineError(f"{BASE_IMAGE} cannot be pulled, and a stand-in cannot be made without mmdebstrap")
    context = BUILD / "stand-in"
    context.mkdir(parents=True, exist_ok=True)
    if not (context / "base.tar").exists():
        unfinished = context / "unfinished.tar"
        options = ["--quiet", "--variant=minbase", f"--include={_STAND_IN_PACKAGES}"]
        subprocess.run(["mmdebstrap", *options, "trixie", unfinished], check=True)
        unfinished.rename(context / "base.tar")
    for name in ("requirements.txt", "tests/e2e/stand_in/Dockerfile", "/etc/ssl/certs/ca-certificates.crt"):
        shutil.copy(ROOT / name, context)
    docker.build(context, STAND_IN_IMAGE)
    return STAND_IN_IMAGE


def _find_client(environ: Mapping[str, str]) -> tuple[Docker | None, str]:
    """Of the clients on PATH, return that of the engine's own version, or else any that gets an answer."""
    found: dict[bool, Docker] = {}
    problem = "there is no docker client on PATH"
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        if client := shutil.which("docker", path=folder):
            docker = Docker(client, environ)
            answer = docker("version", "--format={{.Client.Version}} {{.Server.Version}}", check=False)
            if answer.returncode == 0:
                client_version, server_version = answer.stdout.split()
                found.setdefault(client_version == server_version, docker)
            else:
                problem = answer.stderr.strip()
    return found.get(True) or found.get(False), problem


@contextmanager
def _own_engine(reason: str) -> Iterator[Docker]:
    """An engine with its own socket, images and process, but no bridge and no iptables rules.

    It leaves nothing behind but its images under .build. Its containers have the host's network or none.
    """
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:  # a short path, as sockets need
        environ = os.environ | {"DOCKER_HOST": f"unix://{folder}/docker.sock"}
        options = [f"--host={environ['DOCKER_HOST']}", f"--pidfile={folder}/pid"]
        options += [f"--exec-root={folder}/exec", f"--data-root={BUILD / 'engine'}"]
        command = ["dockerd", *options, "--bridge=none", "--iptables=false"]
        log = BUILD / "engine.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as stream:  # a new session, since Ctrl-C is for the tests, which stop the engine
            process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        try:
            deadline = time.monotonic() + _ENGINE_STARTS_IN
            while not (docker := _find_client(environ)[0]):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise EngineError(f"{reason}dockerd does not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield docker
        finally:
            process.terminate()
            try:
                process.wait(_ENGINE_STOPS_IN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # It leaves the name of the host's network namespace mounted there.
            subprocess.run(["umount", f"{folder}/exec/netns/default"], capture_output=True, check=False)
