"""The examples of the CI systems that only need `docker run`: their scripts, run in order as each would."""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import TOKEN, Authority, Copies
from tests.e2e.engine import ROOT, STEP_IMAGE, Docker
from tests.simulator import Simulator

PLACEHOLDER = "ghcr.io/OWNER/wallarm-fast-stop-recording:1"


def load(name: str) -> Any:  # noqa: ANN401  # whatever the file holds
    return yaml.safe_load((ROOT / "examples" / name).read_text().replace(PLACEHOLDER, STEP_IMAGE))


@dataclass(frozen=True)
class Other:
    """A CI system: the shell it starts, the job's variables, its scripts, what it learns from each."""

    shell: list[str]
    variables: dict[str, str]
    scripts: list[str]
    learn: Callable[[str, Path], dict[str, str]] = lambda stdout, folder: {}


def jenkins() -> Other:
    text = (ROOT / "examples/jenkins/Jenkinsfile").read_text().replace(PLACEHOLDER, STEP_IMAGE)
    scripts = [script.replace("\\\n", "") for script in re.findall(r"sh '''(.*?)'''", text, re.DOTALL)]
    variables = dict(re.findall(r"^\s+(\w+) = '(.*)'$", text, re.MULTILINE))
    return Other(["sh", "-xe"], {**variables, "WALLARM_API_TOKEN": TOKEN}, scripts)


def circleci() -> Other:
    job = load("circleci/config.yml")["jobs"]["fast"]
    variables = {**job["environment"], "WALLARM_API_TOKEN": TOKEN, "BASH_ENV": "bash_env"}
    return Other(["bash", "-eo", "pipefail"], variables, [step["run"]["command"] for step in job["steps"]])


def azure() -> Other:
    pipeline = load("azure/azure-pipelines.yml")

    def learn(stdout: str, folder: Path) -> dict[str, str]:
        return dict(re.findall(r"^##vso\[task\.setvariable variable=(\w+)\](.*)$", stdout, re.MULTILINE))

    variables = {**pipeline["variables"], "WALLARM_API_TOKEN": TOKEN}
    return Other(["bash"], variables, [step["bash"] for step in pipeline["steps"]], learn)


def bamboo() -> Other:
    plan = load("bamboo/bamboo.yml")
    tasks = [*plan["Record"]["tasks"], *plan["Record"]["final-tasks"], *plan["Test"]["tasks"]]

    def learn(stdout: str, folder: Path) -> dict[str, str]:
        file = folder / "stop-recording.env"
        lines = file.read_text().splitlines() if file.exists() else []
        return {f"bamboo_fast_{name}": value for name, _, value in (line.partition("=") for line in lines)}

    variables = {f"bamboo_{name}": value for name, value in plan["variables"].items()}
    variables["bamboo_wallarm_token_secret"] = TOKEN
    return Other(
        ["sh"], variables, [s for t in tasks if "script" in t for s in t["script"]["scripts"]], learn
    )


@pytest.fixture
def environ(docker: Docker, base: str, authority: Authority, tmp_path: Path) -> dict[str, str]:
    """A CI's machine; its `docker` and `curl` reach and trust the API that runs on this one."""
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    options = f"--network=host --volume={authority.path}:/ca.pem:ro --env=STOP_RECORDING_CA_CERT=/ca.pem"
    script.write_text(f'#!/bin/sh\nshift\nexec {docker.client} run {options} "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return {**docker.environ, "PATH": path, "CURL_CA_BUNDLE": str(authority.path)}


@pytest.mark.parametrize("other", [jenkins, circleci, azure, bamboo])
def test_the_example_records_stops_and_copies(
    other: Callable[[], Other], environ: dict[str, str], simulator: Simulator, copies: Copies, tmp_path: Path
) -> None:
    ci = other()
    hosts = ("WALLARM_API_HOST", "bamboo_wallarm_host")
    environ |= {name: simulator.host if name in hosts else value for name, value in ci.variables.items()}
    for script in ci.scripts:
        done = subprocess.run(
            [*ci.shell, "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        print(done.stdout, done.stderr)
        assert done.returncode == 0, done.stderr
        environ |= ci.learn(done.stdout, tmp_path)
    assert copies() == [("security tests", "9058")]
