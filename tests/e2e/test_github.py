"""GitHub's runner, by act: the example workflow in a repository of its own, as a user would have it."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.engine import BASE_IMAGE, DOCKERFILE, RUNNER_IMAGE, Docker
from tests.e2e.pipelines import BOTH_PASSED, Authority, Runs, as_used, git, run
from tests.harness import TOKEN, copy_project
from tests.tools.simulator import Simulator
from tests.tools.simulator.faults import envelope

WORKFLOW = "fast.yml"
ACTION = "OWNER/wallarm-fast-stop-recording@v1"


@pytest.fixture(scope="session")
def action(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository as a runner gets it, with the base as default: act cannot pass a build argument."""
    folder = tmp_path_factory.mktemp("action")
    copy_project(folder)
    (folder / "Dockerfile").write_text(DOCKERFILE.replace(f"FROM {BASE_IMAGE} ", f"FROM {base} "))
    return folder


@dataclass(frozen=True)
class Run:
    """What act did: its exit code and the entries of its log."""

    exit_code: int
    log: list[dict[str, str]] = field(repr=False)

    @property
    def stop_step(self) -> list[dict[str, str]]:
        return [entry for entry in self.log if entry.get("step") == "Stop the recording"]

    @property
    def job_results(self) -> dict[str, str]:
        return {entry["jobID"]: entry["jobResult"] for entry in self.log if "jobResult" in entry}


RunWorkflow = Callable[..., Run]


@pytest.fixture
def run_workflow(
    docker: Docker, action: Path, authority: Authority, simulator: Simulator, tmp_path: Path
) -> RunWorkflow:
    """Runs a workflow, or one job of it, as a push to the repository would."""
    options = [f"--platform=ubuntu-latest={RUNNER_IMAGE}", "--pull=false", "--rm", "--no-cache-server"]
    options += ["--container-daemon-socket=-", f"--container-options=--volume={authority.path}:/ca.pem:ro"]
    options += [f"--local-repository={ACTION}={action}", "--env", "CURL_CA_BUNDLE=/ca.pem"]
    options += ["--var", f"WALLARM_API_HOST={simulator.host}", "--secret", f"WALLARM_API_TOKEN={TOKEN}"]
    options += ["--var", f"WALLARM_CA_CERT={authority.path.read_text()}"]
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
def workflow(tmp_path: Path, simulator: Simulator) -> Path:
    """The example, in a repository with nothing else in it."""
    workflow = tmp_path / "app/.github/workflows" / WORKFLOW
    workflow.parent.mkdir(parents=True)
    workflow.write_text(as_used("github/fast.yml", simulator))
    return workflow


@pytest.fixture
def run_example(run_workflow: RunWorkflow, workflow: Path) -> RunWorkflow:
    """Runs the example, with some of its text replaced."""

    def run_changed(changes: Mapping[str, str] | None = None) -> Run:
        text = workflow.read_text()
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        workflow.write_text(text)
        return run_workflow(workflow.parents[2], WORKFLOW)

    return run_changed


def test_the_example_records_stops_waits_and_copies_and_no_run_is_aborted(
    run_example: RunWorkflow, runs: Runs
) -> None:
    run = run_example()
    assert run.exit_code == 0
    assert run.job_results == dict.fromkeys(("record", "stop", "verdict", "test-again"), "success")
    assert runs() == BOTH_PASSED

    step = run.stop_step
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


def test_the_recording_is_stopped_and_its_tests_are_awaited_even_if_the_suite_fails(
    run_example: RunWorkflow, runs: Runs
) -> None:
    run = run_example({'[1-5]"': '[1-5]"; exit 1'})
    assert run.exit_code != 0
    others = dict.fromkeys(("stop", "verdict", "test-again"), "success")
    assert run.job_results == {"record": "failure", **others}
    assert runs() == BOTH_PASSED


def test_an_empty_record_fails_the_stop_and_is_not_copied(run_example: RunWorkflow, runs: Runs) -> None:
    run = run_example(
        {"curl --fail ": "echo ", "min_baselines: 1": "min_baselines: 1\n          timeout: 15"}
    )
    assert run.exit_code != 0
    assert any(entry.get("arg") == "too_few_baselines" for entry in run.stop_step)
    assert "success" not in {run.job_results.get(name) for name in ("verdict", "test-again")}
    assert [baselines for _, _, baselines in runs()] == [0]


def test_any_other_failure_of_the_step_fails_the_job_and_nothing_is_copied(
    run_example: RunWorkflow, simulator: Simulator, runs: Runs
) -> None:
    simulator.faults.add(envelope(403, "User not authenticated", http=403), on="stop", times=None)
    run = run_example()
    assert run.exit_code != 0
    assert run.job_results["stop"] == "failure"
    assert runs() == [("9058", "running", 5)]


def test_the_project_s_own_workflow_tests_the_action_by_its_path(
    run_workflow: RunWorkflow, action: Path
) -> None:
    run = run_workflow(action, "ci.yml", "--job=self-test")
    assert run.exit_code == 0
    assert run.job_results == {"self-test": "success"}
