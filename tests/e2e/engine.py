"""A container engine and the images that the tests need: what is there, or made here for the time being."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
STEP_IMAGE = "wallarm-fast-stop-recording:e2e"
RUNNER_IMAGE = "wallarm-fast-e2e-runner:local"
BASE_IMAGE = "python:3.14-alpine"  # the Dockerfile's own default
STAND_IN_IMAGE = "wallarm-fast-e2e-stand-in:local"
_STAND_IN_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates,bash,curl,jq,rsync"
_ENGINE_STARTS_IN = 60.0
_ENGINE_STOPS_IN = 60.0


class EngineError(Exception):
    """There is no container engine, or it cannot do what is needed; the message says why."""


@dataclass(frozen=True)
class Docker:
    """A client whose engine answers; `environ` is what another program needs to reach the same engine."""

    client: str
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def __call__(
        self, *args: str | Path, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run the client. EngineError with its last words if that fails and `check` is true."""
        command = [self.client, *map(str, args)]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            last_words = done.stdout[-2000:] + done.stderr[-2000:]
            raise EngineError(f"{' '.join(command)}: exit code {done.returncode}\n{last_words}")
        return done

    def has(self, image: str) -> bool:
        """Tell whether the engine has the image."""
        return self("image", "inspect", image, check=False).returncode == 0

    def obtain(self, image: str) -> bool:
        """Tell whether the engine has the image, after an attempt to pull it."""
        return self.has(image) or self("pull", "--quiet", image, check=False).returncode == 0

    def build(self, context: Path, tag: str, **arguments: str) -> None:
        """Build a folder's Dockerfile, with the host's network: our own engine has no other."""
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self("build", "--network=host", f"--tag={tag}", *options, context)


@contextmanager
def running_engine() -> Iterator[Docker]:
    """The engine that answers; if none does, one of our own, which is stopped at the end."""
    docker, complaint = _client(os.environ)
    if docker:
        yield docker
        return
    reason = f"No container engine answers ({complaint}), and none can be started here: "
    if not shutil.which("dockerd"):
        raise EngineError(reason + "dockerd is not installed")
    if os.geteuid():
        raise EngineError(reason + "that takes root")
    with _own_engine(reason) as docker:
        yield docker


def base_image(docker: Docker) -> str:
    """Return $PYTHON_IMAGE, or else the Dockerfile's default, or else (no registry) a stand-in made here."""
    chosen = os.environ.get("PYTHON_IMAGE", "")
    if docker.obtain(chosen or BASE_IMAGE):
        return chosen or BASE_IMAGE
    if chosen:
        raise EngineError(f"PYTHON_IMAGE={chosen} is not here and cannot be pulled")
    if not shutil.which("mmdebstrap"):
        raise EngineError(f"{BASE_IMAGE} cannot be pulled, and a stand-in cannot be made: no mmdebstrap here")
    context = BUILD / "stand-in"
    context.mkdir(parents=True, exist_ok=True)
    tar = context / "base.tar"
    if not tar.exists():
        unfinished = context / "unfinished.tar"
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={_STAND_IN_PACKAGES}",
                "trixie",
                unfinished,
            ],
            check=True,
        )
        unfinished.rename(tar)
    shutil.copy(ROOT / "requirements.txt", context)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
    shutil.copy(ROOT / "tests/e2e/stand_in/Dockerfile", context)
    docker.build(context, STAND_IN_IMAGE)
    return STAND_IN_IMAGE


def build_images(docker: Docker) -> str:
    """Build the image of the step and that of the jobs around it; return the base of both."""
    base = base_image(docker)
    docker.build(ROOT, STEP_IMAGE, PYTHON_IMAGE=base)
    docker.build(ROOT / "tests/e2e/runner", RUNNER_IMAGE, BASE=base)
    return base


def _client(environ: Mapping[str, str]) -> tuple[Docker | None, str]:
    """Of the clients on PATH the one of the engine's own version, or else any that gets an answer."""
    found: dict[bool, Docker] = {}
    complaint = "there is no docker client on PATH"
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        if client := shutil.which("docker", path=folder):
            docker = Docker(client, environ)
            answer = docker("version", "--format={{.Client.Version}} {{.Server.Version}}", check=False)
            if answer.returncode == 0:
                client_version, server_version = answer.stdout.split()
                found.setdefault(client_version == server_version, docker)
            else:
                complaint = answer.stderr.strip()
    return found.get(True) or found.get(False), complaint


@contextmanager
def _own_engine(reason: str) -> Iterator[Docker]:
    """An engine with a socket, images and a process of its own, without a bridge and rules of iptables.

    So it leaves nothing behind but its images under .build. Its containers have the host's network
    or none.
    """
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:  # a short path: sockets ask for it
        host = f"unix://{folder}/docker.sock"
        log = BUILD / "engine.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [
                    "dockerd",
                    f"--host={host}",
                    f"--data-root={BUILD / 'engine'}",
                    f"--exec-root={folder}/exec",
                    f"--pidfile={folder}/pid",
                    "--bridge=none",
                    "--iptables=false",
                ],
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the engine
            )
        try:
            environ = os.environ | {"DOCKER_HOST": host}
            deadline = time.monotonic() + _ENGINE_STARTS_IN
            while not (docker := _client(environ)[0]):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise EngineError(f"{reason}dockerd does not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield docker
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_ENGINE_STOPS_IN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # It leaves the name of the host's network namespace mounted there.
            subprocess.run(["umount", f"{folder}/exec/netns/default"], capture_output=True, check=False)
