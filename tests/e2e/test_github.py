"""GitHub's runner, by act: the example workflows in a repository of their own, as a user would have them."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.engine import BASE_IMAGE, DOCKERFILE, NODE_IMAGE, RUNNER_IMAGE, Docker
from tests.e2e.pipelines import PASSED, REQUESTS, Authority, Runs, as_used, git, run
from tests.harness import TOKEN, build_zipapp, copy_project
from tests.tools.simulator import Simulator
from tests.tools.simulator.faults import envelope

ONE_JOB, SEPARATE_JOBS = "one-job.yml", "fast.yml"
ACTION = "OWNER/wallarm-fast-stop-recording@v1"
# On a runner without Docker.
NATIVE = f"""
on: push
jobs:
  fast:
    runs-on: ubuntu-latest
    env:
      WALLARM_API_HOST: ${{{{ vars.WALLARM_API_HOST }}}}
      WALLARM_API_TOKEN: ${{{{ secrets.WALLARM_API_TOKEN }}}}
    steps:
      - id: start
        uses: OWNER/wallarm-fast-stop-recording/native/start@v1
      - run: {REQUESTS}
        env:
          http_proxy: ${{{{ vars.FAST_NODE }}}}
      - id: stop
        uses: OWNER/wallarm-fast-stop-recording/native@v1
        with:
          test_run_id: ${{{{ steps.start.outputs.test_run_id }}}}
          quiet_period: 1
      - id: verdict
        uses: OWNER/wallarm-fast-stop-recording/native/verdict@v1
      - id: missing
        uses: OWNER/wallarm-fast-stop-recording/native@v1
        continue-on-error: true
        with:
          test_run_id: none
      - run: echo "$OUTPUTS"
        env:
          OUTPUTS: >-
            ${{{{ steps.start.outputs.test_run_id }}}} ${{{{ steps.stop.outputs.test_record_id }}}}
            ${{{{ steps.verdict.outputs.status }}}}
            ${{{{ steps.missing.outcome }}}} ${{{{ steps.missing.outputs.status }}}}
"""


@pytest.fixture(scope="session")
def action(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as a release has it, with the base as default: act cannot pass a build argument."""
    folder = tmp_path_factory.mktemp("action")
    copy_project(folder)
    build_zipapp(folder / "native/wallarm-fast.pyz")
    (folder / "Dockerfile").write_text(DOCKERFILE.replace(f"FROM {BASE_IMAGE} ", f"FROM {base} "))
    return folder


@dataclass(frozen=True)
class Run:
    """What act did: its exit code and the entries of its log."""

    exit_code: int
    log: list[dict[str, str]] = field(repr=False)

    def step(self, name: str) -> list[dict[str, str]]:
        return [entry for entry in self.log if entry.get("step") == name]

    @property
    def step_results(self) -> dict[str, str]:
        return {entry["step"]: entry["stepResult"] for entry in self.log if "stepResult" in entry}

    @property
    def job_results(self) -> dict[str, str]:
        return {entry["jobID"]: entry["jobResult"] for entry in self.log if "jobResult" in entry}


RunWorkflow = Callable[..., Run]


@pytest.fixture
def run_workflow(  # noqa: PLR0913, PLR0917 - a machine with all that a workflow needs
    docker: Docker, action: Path, authority: Authority, simulator: Simulator, node_port: int, tmp_path: Path
) -> RunWorkflow:
    """Runs a workflow, or one job of it, as a push to the repository would."""
    options = [f"--platform=ubuntu-latest={RUNNER_IMAGE}", "--pull=false", "--rm", "--no-cache-server"]
    options += ["--container-daemon-socket=-", f"--local-repository={ACTION}={action}"]
    options += ["--var", f"WALLARM_API_HOST={simulator.host}", "--secret", f"WALLARM_API_TOKEN={TOKEN}"]
    options += ["--var", f"FAST_NODE=http://localhost:{node_port}"]
    options += ["--env", f"WALLARM_CA_CERT={authority.path.read_text()}"]
    options += ["--env", "START_RECORDING_TIMEOUT=30", "--env", "STOP_RECORDING_TIMEOUT=15"]
    environ = {**docker.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run_act(repository: Path, workflow: str, *more: str) -> Run:
        git(repository, "init", "--quiet")
        git(repository, "commit", "--quiet", "--allow-empty", "--message=e2e")
        act = [str(Path(sys.executable).with_name("act")), "push", "--json"]
        workflow = f"--workflows={repository}/.github/workflows/{workflow}"
        done = run([*act, workflow, *options, *more], repository, environ)
        lines = (done.stdout + done.stderr).splitlines()
        log: list[dict[str, str]] = [json.loads(line) for line in lines if line.startswith("{")]
        for entry in log:
            if "docker " not in (line := entry.get("msg", "").rstrip()):
                print(f"{entry.get('job', 'act')} | {line}")
        return Run(done.returncode, log)

    return run_act


@pytest.fixture
def run_example(  # noqa: PLR0913, PLR0917 - as above
    run_workflow: RunWorkflow,
    authority: Authority,
    simulator: Simulator,
    inactive: None,
    node_port: int,
    tmp_path: Path,
) -> RunWorkflow:
    """Runs an example, some of its text replaced, in a repository with nothing else in it."""
    service = f"{NODE_IMAGE}\n        options: --network=host --volume={authority.path}:/ca.pem:ro"
    variables = f"{simulator.host}\n          SSL_CERT_FILE: /ca.pem\n          NODE_PORT: {node_port}"

    def run_changed(example: str, old: str = "", new: str = "") -> Run:
        text = as_used(f"github/{example}", node_port)
        assert old in text
        workflow = tmp_path / "app/.github/workflows" / example
        workflow.parent.mkdir(parents=True)
        text = text.replace(NODE_IMAGE, service)
        text = text.replace("${{ env.WALLARM_API_HOST }}", variables)  # act does not know env of a service
        workflow.write_text(text.replace(old, new) if old else text)
        return run_workflow(tmp_path / "app", example)

    return run_changed


def test_one_job_starts_a_node_records_stops_and_waits(
    run_example: RunWorkflow, simulator: Simulator, runs: Runs
) -> None:
    run = run_example(ONE_JOB)
    assert run.exit_code == 0
    assert run.job_results == {"fast": "success"}
    assert runs() == PASSED
    through_the_node = [call for call in simulator.calls if "http://" in call]
    assert through_the_node == [f"GET http://app.example/{number}" for number in range(1, 6)]

    step = run.step("Stop the recording")
    outputs = {entry["name"]: entry["arg"] for entry in step if entry.get("command") == "set-output"}
    assert [result["baseline_count"] for result in json.loads(outputs.pop("results"))] == [5]
    assert json.loads(outputs.pop("test_record_ids")) == ["9058"]
    assert outputs.pop("status") == "stopped"
    assert outputs.pop("test_record_id") == "9058"
    assert outputs == {"test_run_state": "running", "baseline_count": "5"}

    (summary,) = (entry["content"] for entry in step if entry.get("command") == "summary")
    assert "| 5080 | 9058 |" in summary

    mask = next(entry for entry in step if "raw" in entry or "raw_output" in entry)
    assert mask["raw"] == f"::add-mask::{TOKEN}\n"
    # The runner would replace a token that was printed, so neither it nor its replacement may be there.
    others = [entry for entry in run.log if entry.get("command") != "add-mask"]
    assert not [entry for entry in others if TOKEN in str(entry) or "***" in entry.get("msg", "")]


def test_separate_jobs_record_stop_and_wait(run_example: RunWorkflow, node: int, runs: Runs) -> None:
    run = run_example(SEPARATE_JOBS)
    assert run.exit_code == 0
    assert run.job_results == {"record": "success", "stop": "success", "verdict": "success"}
    assert runs() == PASSED


def test_one_job_stops_and_waits_even_if_the_suite_fails(run_example: RunWorkflow, runs: Runs) -> None:
    run = run_example(ONE_JOB, REQUESTS, f"{REQUESTS}; exit 1")
    assert run.exit_code != 0
    assert run.step_results["Stop the recording"] == "success"
    assert run.step_results["Wait for the security tests"] == "success"
    assert runs() == PASSED


def test_separate_jobs_stop_and_wait_even_if_the_suite_fails(
    run_example: RunWorkflow, node: int, runs: Runs
) -> None:
    run = run_example(SEPARATE_JOBS, REQUESTS, f"{REQUESTS}; exit 1")
    assert run.exit_code != 0
    assert run.job_results == {"record": "failure", "stop": "success", "verdict": "success"}
    assert runs() == PASSED


def test_one_job_whose_node_never_gets_ready_stops_the_recording_and_runs_no_suite(
    run_example: RunWorkflow, simulator: Simulator
) -> None:
    simulator.state.rules.ready_delay = 1000
    run = run_example(ONE_JOB)
    assert run.exit_code != 0
    assert run.step_results["Start the recording"] == "failure"
    assert simulator.state.get(5080)["recording"] is False
    assert not [call for call in simulator.calls if "http://app" in call]
    assert run.step_results.get("Wait for the security tests") in {None, "skipped"}


@pytest.mark.parametrize("example", [ONE_JOB, SEPARATE_JOBS])
def test_a_start_that_is_refused_fails_the_workflow(
    example: str, run_example: RunWorkflow, simulator: Simulator
) -> None:
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="POST", times=None)
    run = run_example(example)
    assert run.exit_code != 0
    assert "success" not in {run.job_results.get(name) for name in ("fast", "record", "stop", "verdict")}
    assert not [call for call in simulator.calls if call.endswith("/action/stop")]


def test_a_misspelled_output_of_the_job_that_records_fails_the_stop_which_says_so(
    run_example: RunWorkflow, node: int
) -> None:
    run = run_example(SEPARATE_JOBS, "steps.start.outputs.test_run_id", "steps.start.outputs.test_runid")
    assert run.exit_code != 0
    assert run.job_results["stop"] == "failure"
    assert [entry for entry in run.step("Stop the recording") if "TEST_RUN_ID" in entry.get("msg", "")]


def test_an_empty_record_fails_the_stop_and_is_not_waited_for(
    run_example: RunWorkflow, node: int, runs: Runs
) -> None:
    run = run_example(SEPARATE_JOBS, REQUESTS, "echo no requests")
    assert run.exit_code != 0
    assert [entry for entry in run.step("Stop the recording") if entry.get("arg") == "too_few_baselines"]
    assert run.job_results.get("verdict") != "success"
    assert [baselines for _, _, baselines in runs()] == [0]


def test_any_other_failure_of_the_stop_fails_its_job_and_nothing_is_waited_for(
    run_example: RunWorkflow, node: int, simulator: Simulator, runs: Runs
) -> None:
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="stop", times=None)
    run = run_example(SEPARATE_JOBS)
    assert run.exit_code != 0
    assert run.job_results["stop"] == "failure"
    assert run.job_results.get("verdict") != "success"
    assert runs() == [("9058", "running", 5)]


def test_the_project_s_own_workflow_tests_the_action_by_its_path(
    run_workflow: RunWorkflow, action: Path
) -> None:
    run = run_workflow(action, "ci.yml", "--job=self-test")
    assert run.exit_code == 0
    assert run.job_results == {"self-test": "success"}


def test_without_docker_all_steps_run_in_one_job_whose_later_steps_know_their_outputs_and_failures(
    run_workflow: RunWorkflow, node: int, runs: Runs, tmp_path: Path
) -> None:
    workflow = tmp_path / "app/.github/workflows/native.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(NATIVE)
    run = run_workflow(tmp_path / "app", "native.yml", "--platform=ubuntu-latest=-self-hosted")
    assert run.exit_code == 0
    assert runs() == PASSED
    lines = [entry.get("msg", "").strip() for entry in run.log]
    assert "exit status 4" in lines
    assert "5080 9058 passed failure not_found" in lines
