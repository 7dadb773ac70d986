"""What the end-to-end tests share: commands, the examples as a user has them, the step in its container."""

import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.engine import ROOT, STEP_IMAGE, Docker
from tests.tools.simulator import Simulator

SUITE = 'echo "Run your test suite through the FAST node here."'
Completed = subprocess.CompletedProcess[str]
Runs = Callable[[], list[tuple[str, str, int]]]
# What an example leaves behind: a run that recorded five requests, and one with its record. None was aborted.
BOTH_PASSED = [("9058", "passed", 5)] * 2


def run(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> Completed:
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=e2e", "-c", "user.email=e2e@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that no system trusts, and the TLS of a server with its certificate."""

    path: Path
    server: ssl.SSLContext


def as_used(example: str, simulator: Simulator) -> str:
    """Return an example with a test suite that sends five requests through the node. It also polls faster."""
    text = (ROOT / "examples" / example).read_text()
    assert SUITE in text
    requests = f'curl --fail --silent --show-error --output /dev/null "{simulator.url}/node/[1-5]"'
    text = text.replace("ghcr.io/OWNER/wallarm-fast-stop-recording:1", STEP_IMAGE)
    return text.replace(SUITE, requests).replace("sleep 10", "sleep 0.2")


@dataclass
class Container:
    """Runs the image as any CI would: `docker run --rm -e ... IMAGE`."""

    docker: Docker
    environ: dict[str, str]

    def options(self, **environ: str) -> list[str]:
        variables = self.environ | environ
        return ["--network=host", *(f"--env={name}={value}" for name, value in variables.items())]

    def __call__(self, *options: str, command: str = "", **environ: str) -> Completed:
        image = [STEP_IMAGE, command] if command else [STEP_IMAGE]
        return self.docker("run", "--rm", *self.options(**environ), *options, *image, check=False)
