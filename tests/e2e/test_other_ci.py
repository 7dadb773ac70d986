"""The CI systems that only need `docker run`: the scripts of their examples, run in order as each would."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.engine import Docker
from tests.e2e.pipelines import BOTH_PASSED, Authority, Runs, as_used, run
from tests.harness import TOKEN
from tests.tools.simulator import Simulator

PARTS = ("script", "after-script")


@dataclass(frozen=True)
class Job:
    """The shell that a CI system starts, the job's variables and scripts, and what later scripts get."""

    shell: list[str]
    variables: dict[str, str]
    scripts: list[str]
    outputs: Callable[[str, Path], dict[str, str]] = lambda stdout, folder: {}


def jenkins(text: str) -> Job:
    scripts = [script.replace("\\\n", "") for script in re.findall(r"sh '''(.*?)'''", text, re.DOTALL)]
    variables = dict(re.findall(r"^\s+(\w+) = '(.*)'$", text, re.MULTILINE))
    return Job(["sh", "-xe"], {**variables, "WALLARM_API_TOKEN": TOKEN}, scripts)


def circleci(text: str) -> Job:
    job = yaml.safe_load(text)["jobs"]["fast"]
    variables = {**job["environment"], "WALLARM_API_TOKEN": TOKEN, "BASH_ENV": "bash_env"}
    return Job(["bash", "-eo", "pipefail"], variables, [step["run"]["command"] for step in job["steps"]])


def azure(text: str) -> Job:
    def outputs(stdout: str, folder: Path) -> dict[str, str]:
        return dict(re.findall(r"^##vso\[task\.setvariable variable=(\w+)\](.*)$", stdout, re.MULTILINE))

    pipeline = yaml.safe_load(text)
    variables = {**pipeline["variables"], "WALLARM_API_TOKEN": TOKEN}
    return Job(["bash"], variables, [step["bash"] for step in pipeline["steps"]], outputs)


def bamboo(text: str) -> Job:
    def outputs(stdout: str, folder: Path) -> dict[str, str]:
        file = folder / "stop-recording.env"
        lines = file.read_text().splitlines() if file.exists() else []
        return {f"bamboo_fast_{name}": value for name, _, value in (line.partition("=") for line in lines)}

    plan = yaml.safe_load(text)
    tasks = [*plan["Record"]["tasks"], *plan["Record"]["final-tasks"], *plan["Verdict"]["tasks"]]
    scripts = [script for task in tasks if "script" in task for script in task["script"]["scripts"]]
    variables = {f"bamboo_{name}": value for name, value in plan["variables"].items()}
    return Job(["sh"], {**variables, "bamboo_wallarm_token_secret": TOKEN}, scripts, outputs)


def bitbucket(text: str) -> Job:
    (pipeline,) = yaml.safe_load(text)["pipelines"]["default"]
    parts = [step["step"].get(part, []) for step in pipeline["stage"]["steps"] for part in PARTS]
    scripts = ["\n".join(part) for part in parts if part]
    return Job(["bash", "-e"], {"WALLARM_API_HOST": "", "WALLARM_API_TOKEN": TOKEN}, scripts)


@pytest.fixture
def environ(docker: Docker, authority: Authority, tmp_path: Path) -> dict[str, str]:
    """A machine whose `docker` and `curl` reach and trust the API that runs on this one."""
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    options = f"--network=host --volume={authority.path}:/ca.pem:ro --env=WALLARM_CA_CERT=/ca.pem"
    script.write_text(f'#!/bin/sh\nshift\nexec {docker.client} run {options} "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent}:{os.environ['PATH']}"
    return {**docker.environ, "PATH": path, "CURL_CA_BUNDLE": str(authority.path)}


EXAMPLES: dict[str, Callable[[str], Job]] = {
    "jenkins/Jenkinsfile": jenkins,
    "circleci/config.yml": circleci,
    "azure/azure-pipelines.yml": azure,
    "bamboo/bamboo.yml": bamboo,
    "bitbucket/bitbucket-pipelines.yml": bitbucket,
}
RunExample = Callable[[str], int]


@pytest.fixture
def run_example(environ: dict[str, str], simulator: Simulator, tmp_path: Path) -> RunExample:
    """Runs the scripts of an example up to the first that fails; returns the exit code of the last."""

    def run_scripts(example: str) -> int:
        job, exit_code = EXAMPLES[example](as_used(example, simulator)), 0
        hosts = dict.fromkeys(("WALLARM_API_HOST", "bamboo_wallarm_host"), simulator.host)
        variables = environ | job.variables | hosts
        for script in job.scripts:
            done = run([*job.shell, "-c", script], tmp_path, variables)
            print(done.stdout, done.stderr)
            exit_code = done.returncode
            if exit_code:
                break
            variables |= job.outputs(done.stdout, tmp_path)
        return exit_code

    return run_scripts


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_records_stops_and_waits_and_no_run_is_aborted(
    example: str, run_example: RunExample, runs: Runs
) -> None:
    assert run_example(example) == 0
    assert runs() == BOTH_PASSED[:1]


def test_vulnerabilities_fail_the_job(run_example: RunExample, simulator: Simulator, runs: Runs) -> None:
    simulator.state.rules.vulns = [{"id": 1, "threat": 80}]
    assert run_example("jenkins/Jenkinsfile") == 9
    assert runs() == [("9058", "failed", 5)]


def test_a_node_that_is_never_ready_fails_the_job_before_the_suite_runs(
    run_example: RunExample, simulator: Simulator, runs: Runs
) -> None:
    simulator.state.rules.node_active = False
    assert run_example("jenkins/Jenkinsfile") == 1
    assert runs() == [("9058", "running", 0)]
    assert not [call for call in simulator.calls if "/node/" in call]
