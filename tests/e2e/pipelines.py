"""What the end-to-end tests share: commands, the examples as a user has them, the step in its container."""

import re
import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.engine import NODE_IMAGE, ROOT, STEP_IMAGE, Docker

IMAGE = "ghcr.io/OWNER/wallarm-fast-stop-recording:1"
SUITE = 'echo "Run your test suite through the FAST node here."'
REQUESTS = 'curl --fail --silent --output /dev/null "http://app.example/[1-5]"'
Completed = subprocess.CompletedProcess[str]
Runs = Callable[[], list[tuple[str, str, int]]]
# What an example leaves behind: a run that recorded five requests, and was tested. It was not aborted.
PASSED = [("9058", "passed", 5)]


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


def as_used(example: str, node_port: int) -> str:
    """Return an example with our images and a test suite that sends five requests through the node.

    It also stops sooner after the last baseline.
    """
    text = (ROOT / "examples" / example).read_text()
    assert text.count(SUITE) == 1
    text = re.sub(r'(?i)(quiet_period(=|: )"?)10', r"\g<1>1", text.replace(SUITE, REQUESTS))
    text = text.replace(IMAGE, STEP_IMAGE)
    return text.replace("wallarm/fast", NODE_IMAGE).replace("8080", str(node_port))


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
