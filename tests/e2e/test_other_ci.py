"""The CI systems that only need `docker run`: the scripts of their examples, run in order as each would."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.e2e.engine import NODE_IMAGE, Docker
from tests.e2e.pipelines import PASSED, REQUESTS, Authority, Runs, as_used, run
from tests.harness import TOKEN
from tests.tools.simulator import Simulator
from tests.tools.simulator.faults import envelope

JENKINSFILE = "jenkins/Jenkinsfile"


@dataclass(frozen=True)
class Job:
    """The shell that a CI system starts, the job's variables, its scripts, and those that always run.

    The last `ignored` of these do not fail the job.
    """

    shell: list[str]
    variables: dict[str, str]
    scripts: list[str]
    final: list[str] = field(default_factory=list)
    ignored: int = 0


def jenkins(text: str) -> Job:
    steps, final = text.split("always {")
    variables = dict(re.findall(r"^\s+(\w+) = '(.*)'$", text, re.MULTILINE))
    scripts, finals = (
        [first or second for first, second in re.findall(r"sh (?:'''(.*?)'''|'(.*?)')", part, re.DOTALL)]
        for part in (steps.replace("\\\n", ""), final.replace("\\\n", ""))
    )
    return Job(["sh", "-xe"], {**variables, "WALLARM_API_TOKEN": TOKEN}, scripts, finals)


def circleci(text: str) -> Job:
    job = yaml.safe_load(text)["jobs"]["fast"]
    variables = {**job["environment"], "WALLARM_API_TOKEN": TOKEN}
    steps = [step["run"] for step in job["steps"] if "run" in step]
    scripts, final = (
        [step["command"] for step in steps if (step.get("when") == "always") is always]
        for always in (False, True)
    )
    return Job(["bash", "-eo", "pipefail"], variables, scripts, final)


def azure(text: str) -> Job:
    pipeline = yaml.safe_load(text)
    variables = {**pipeline["variables"], "WALLARM_API_TOKEN": TOKEN}
    steps = [step for step in pipeline["steps"] if "bash" in step]
    scripts, final = (
        [step["bash"] for step in steps if (step.get("condition") == "always()") is always]
        for always in (False, True)
    )
    return Job(["bash"], variables, scripts, final)


def bamboo(text: str) -> Job:
    plan = yaml.safe_load(text)
    scripts, final = (
        ["\n".join(task["script"]["scripts"]) for task in plan["Fast"][tasks] if "script" in task]
        for tasks in ("tasks", "final-tasks")
    )
    variables = {f"bamboo_{name}": value for name, value in plan["variables"].items()}
    return Job(["sh"], {**variables, "bamboo_wallarm_token_secret": TOKEN}, scripts, final)


def bitbucket(text: str) -> Job:
    (step,) = (part["step"] for part in yaml.safe_load(text)["pipelines"]["default"])
    scripts, final = ("\n".join(step[part]) for part in ("script", "after-script"))
    return Job(["bash", "-e"], {"WALLARM_API_TOKEN": TOKEN}, [scripts], [final], ignored=1)


@pytest.fixture
def environ(docker: Docker, authority: Authority, node_port: int, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A machine whose containers reach and trust the API that runs on this one."""
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    timeouts = "--env=START_RECORDING_TIMEOUT=20 --env=STOP_RECORDING_TIMEOUT=20"
    options = f"--network=host --volume={authority.path}:/ca.pem:ro --env=SSL_CERT_FILE=/ca.pem {timeouts}"
    script.write_text(
        f'#!/bin/sh\ntest "$1" = run || exec {docker.client} "$@"\n'
        f'shift\nexec {docker.client} run {options} --env=NODE_PORT={node_port} "$@"\n'
    )
    script.chmod(0o755)
    yield {**docker.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"}
    docker("rm", "--force", "fast-node")  # goes with the machine, where the example does not say so


EXAMPLES: dict[str, Callable[[str], Job]] = {
    JENKINSFILE: jenkins,
    "circleci/config.yml": circleci,
    "azure/azure-pipelines.yml": azure,
    "bamboo/bamboo.yml": bamboo,
    "bitbucket/bitbucket-pipelines.yml": bitbucket,
}
each_example = pytest.mark.parametrize("example", EXAMPLES)
RunExample = Callable[..., int]


@pytest.fixture
def run_example(
    environ: dict[str, str], simulator: Simulator, inactive: None, node_port: int, tmp_path: Path
) -> RunExample:
    """Runs the scripts of an example, some of its text replaced; returns the exit code that fails the job."""

    def run_scripts(example: str, old: str = "", new: str = "") -> int:
        text = as_used(example, node_port)
        assert old in text
        job = EXAMPLES[example](text.replace(old, new) if old else text)
        hosts = dict.fromkeys(("WALLARM_API_HOST", "bamboo_wallarm_host"), simulator.host)
        exit_codes = list[int]()
        for number, script in enumerate([*job.scripts, *job.final]):
            if number >= len(job.scripts) or not any(exit_codes):
                done = run([*job.shell, "-c", script], tmp_path, environ | job.variables | hosts)
                print(done.stdout, done.stderr)
                exit_codes.append(done.returncode)
        if job.ignored:
            del exit_codes[-job.ignored :]
        return next(filter(None, exit_codes), 0)

    return run_scripts


@each_example
def test_an_example_records_stops_and_waits_and_no_run_is_aborted(
    example: str, run_example: RunExample, runs: Runs, tmp_path: Path
) -> None:
    assert run_example(example) == 0
    assert runs() == PASSED
    assert "<testsuite" in (tmp_path / "test-results/fast.xml").read_text()


@each_example
def test_a_suite_that_fails_fails_the_job_after_the_stop_and_where_possible_the_security_tests(
    example: str, run_example: RunExample, simulator: Simulator, runs: Runs
) -> None:
    assert run_example(example, REQUESTS, f"{REQUESTS}; exit 33") == 33
    assert simulator.state.get(5080)["recording"] is False
    assert runs() == PASSED or "bitbucket" in example


def test_vulnerabilities_fail_the_job(run_example: RunExample, simulator: Simulator, runs: Runs) -> None:
    simulator.state.rules.vulns = [{"id": 1, "threat": 80}]
    assert run_example(JENKINSFILE) == 9
    assert runs() == [("9058", "failed", 5)]


def test_a_node_that_never_gets_ready_fails_the_job_before_the_suite_runs_and_its_run_is_stopped(
    run_example: RunExample, simulator: Simulator
) -> None:
    simulator.state.rules.ready_delay = 1000
    assert run_example(JENKINSFILE) == 13
    assert not [call for call in simulator.calls if "http://app" in call]
    assert simulator.state.get(5080)["recording"] is False


@pytest.mark.parametrize("example", [JENKINSFILE, "bamboo/bamboo.yml"])
@pytest.mark.parametrize("node", [NODE_IMAGE, "localhost:1/missing"], ids=["create refused", "no node"])
def test_the_id_that_an_earlier_build_left_in_the_workspace_is_not_used(
    example: str, node: str, run_example: RunExample, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.state.create_run("of an earlier build")
    (tmp_path / "start.env").write_text("TEST_RUN_ID=5080\n")
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="POST", times=None)
    assert run_example(example, NODE_IMAGE, node) != 0
    assert not [call for call in simulator.calls if "5080" in call]
    assert simulator.state.get(5080)["recording"] is True
