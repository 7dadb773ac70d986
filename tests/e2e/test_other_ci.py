"""The CI systems that only need `docker run`: the scripts of their examples, run in order as each would."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import TOKEN, Authority, Copies, run
from tests.e2e.engine import ROOT, STEP_IMAGE, Docker
from tests.tools.simulator import Simulator


def read(name: str) -> str:
    image = "ghcr.io/OWNER/wallarm-fast-stop-recording:1"
    return (ROOT / "examples" / name).read_text().replace(image, STEP_IMAGE)


@dataclass(frozen=True)
class Job:
    """The shell that a CI system starts, the job's variables and scripts, and what later scripts get."""

    shell: list[str]
    variables: dict[str, str]
    scripts: list[str]
    outputs: Callable[[str, Path], dict[str, str]] = lambda stdout, folder: {}


def jenkins() -> Job:
    text = read("jenkins/Jenkinsfile")
    scripts = [script.replace("\\\n", "") for script in re.findall(r"sh '''(.*?)'''", text, re.DOTALL)]
    variables = dict(re.findall(r"^\s+(\w+) = '(.*)'$", text, re.MULTILINE))
    return Job(["sh", "-xe"], {**variables, "WALLARM_API_TOKEN": TOKEN}, scripts)


def circleci() -> Job:
    job = yaml.safe_load(read("circleci/config.yml"))["jobs"]["fast"]
    variables = {**job["environment"], "WALLARM_API_TOKEN": TOKEN, "BASH_ENV": "bash_env"}
    return Job(["bash", "-eo", "pipefail"], variables, [step["run"]["command"] for step in job["steps"]])


def azure() -> Job:
    def outputs(stdout: str, folder: Path) -> dict[str, str]:
        return dict(re.findall(r"^##vso\[task\.setvariable variable=(\w+)\](.*)$", stdout, re.MULTILINE))

    pipeline = yaml.safe_load(read("azure/azure-pipelines.yml"))
    variables = {**pipeline["variables"], "WALLARM_API_TOKEN": TOKEN}
    return Job(["bash"], variables, [step["bash"] for step in pipeline["steps"]], outputs)


def bamboo() -> Job:
    def outputs(stdout: str, folder: Path) -> dict[str, str]:
        file = folder / "stop-recording.env"
        lines = file.read_text().splitlines() if file.exists() else []
        return {f"bamboo_fast_{name}": value for name, _, value in (line.partition("=") for line in lines)}

    plan = yaml.safe_load(read("bamboo/bamboo.yml"))
    tasks = [*plan["Record"]["tasks"], *plan["Record"]["final-tasks"], *plan["Test"]["tasks"]]
    scripts = [script for task in tasks if "script" in task for script in task["script"]["scripts"]]
    variables = {f"bamboo_{name}": value for name, value in plan["variables"].items()}
    return Job(["sh"], {**variables, "bamboo_wallarm_token_secret": TOKEN}, scripts, outputs)


@pytest.fixture
def environ(docker: Docker, authority: Authority, tmp_path: Path) -> dict[str, str]:
    """A machine whose `docker` and `curl` reach and trust the API that runs on this one."""
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    options = f"--network=host --volume={authority.path}:/ca.pem:ro --env=STOP_RECORDING_CA_CERT=/ca.pem"
    script.write_text(f'#!/bin/sh\nshift\nexec {docker.client} run {options} "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return {**docker.environ, "PATH": path, "CURL_CA_BUNDLE": str(authority.path)}


@pytest.mark.parametrize("make_job", [jenkins, circleci, azure, bamboo])
def test_the_example_records_stops_and_copies(
    make_job: Callable[[], Job], environ: dict[str, str], simulator: Simulator, copies: Copies, tmp_path: Path
) -> None:
    job = make_job()
    hosts = ("WALLARM_API_HOST", "bamboo_wallarm_host")
    environ |= {name: simulator.host if name in hosts else value for name, value in job.variables.items()}
    for script in job.scripts:
        done = run([*job.shell, "-c", script], tmp_path, environ)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, done.stderr
        environ |= job.outputs(done.stdout, tmp_path)
    assert copies() == [("security tests", "9058")]
