"""GitHub's runner, by act: the example workflow in a repository of its own, as a user would have it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.conftest import TOKEN, Authority, Copies
from tests.e2e.engine import BASE_IMAGE, ROOT, RUNNER_IMAGE, Docker
from tests.simulator import Simulator
from tests.simulator.faults import answer

EXAMPLE = ROOT / "examples/github/fast.yml"
ACTION = "OWNER/wallarm-fast-stop-recording@v1"
Entry = dict[str, str]


@pytest.fixture(scope="session")
def action(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository as a runner gets it; act cannot choose the base by a build argument."""
    folder = tmp_path_factory.mktemp("action")
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().replace(f"PYTHON_IMAGE={BASE_IMAGE}", f"PYTHON_IMAGE={base}")
    )
    return folder


@dataclass(frozen=True)
class Run:
    """What act did: its exit code and its log."""

    exit_code: int
    entries: list[Entry] = field(repr=False)

    def of_step(self, name: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.get("step") == name]

    def job_results(self) -> dict[str, str]:
        return {entry["jobID"]: entry["jobResult"] for entry in self.entries if "jobResult" in entry}


RunWorkflow = Callable[..., Run]


@pytest.fixture
def run_workflow(
    docker: Docker, action: Path, authority: Authority, simulator: Simulator, tmp_path: Path
) -> RunWorkflow:
    """Run a workflow (or one job of it) as a push to this repository would."""

    def run(repository: Path, workflow: str, *options: str) -> Run:
        git = ["git", "-C", str(repository), "-c", "user.name=e2e", "-c", "user.email=e2e@localhost"]
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=e2e"], check=True)
        command = [
            *(str(Path(sys.executable).with_name("act")), "push", "--json"),
            *(f"--workflows={repository}/.github/workflows/{workflow}", *options),
            *(f"--platform=ubuntu-latest={RUNNER_IMAGE}", "--pull=false", "--rm", "--no-cache-server"),
            *("--container-daemon-socket=-", f"--local-repository={ACTION}={action}"),
            *("--secret", f"WALLARM_API_TOKEN={TOKEN}", "--var", f"WALLARM_API_HOST={simulator.host}"),
            *("--var", f"WALLARM_CA_CERT={authority.pem}", "--env", "CURL_CA_BUNDLE=/ca.pem"),
            f"--container-options=--volume={authority.path}:/ca.pem:ro",
        ]
        environ = {**docker.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            command,
            cwd=repository,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        entries: list[Entry] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        for entry in entries:
            if "docker " not in (line := entry.get("msg", "").rstrip()):
                print(f"{entry.get('job', 'act')} | {line}")
        return Run(done.returncode, entries)

    return run


@pytest.fixture
def user_repository(tmp_path: Path) -> Path:
    """A repository with nothing but the example in it."""
    repository = tmp_path / "app"
    (repository / ".github/workflows").mkdir(parents=True)
    shutil.copy(EXAMPLE, repository / ".github/workflows")
    return repository


def test_the_example_records_stops_and_copies_in_a_later_job_and_in_a_matrix(
    run_workflow: RunWorkflow, user_repository: Path, copies: Copies
) -> None:
    run = run_workflow(user_repository, EXAMPLE.name)
    assert run.exit_code == 0
    assert run.job_results() == dict.fromkeys(("record", "stop", "test", "test-each"), "success")
    assert sorted(copies()) == [
        ("smoke test", "9058"),
        ("test of record 9058", "9058"),
        ("test of record 9059", "9059"),
    ]

    step = run.of_step("Stop the recording")
    outputs = {entry["name"]: entry["arg"] for entry in step if entry.get("command") == "set-output"}
    assert outputs["test_record_id"] == "9058"
    assert json.loads(outputs["test_record_ids"]) == ["9058", "9059"]
    assert (outputs["status"], outputs["test_run_state"], outputs["baseline_count"]) == (
        "stopped",
        "running",
        "5",
    )
    assert [result["baseline_count"] for result in json.loads(outputs["results"])] == [5, 5]

    (summary,) = (entry["content"] for entry in step if entry.get("command") == "summary")
    assert "| 5080 | 9058 |" in summary
    assert "| 5081 | 9059 |" in summary

    printed = [entry for entry in step if "raw" in entry or "raw_output" in entry]
    assert printed[0]["raw"] == f"::add-mask::{TOKEN}\n"
    # The runner would replace a token that was printed, so neither that nor its replacement may be there.
    assert not [entry for entry in step if entry is not printed[0] and TOKEN in str(entry)]
    assert not [entry for entry in run.entries if entry is not printed[0] and "***" in entry.get("msg", "")]


def test_the_recording_is_stopped_also_when_the_suite_fails(
    run_workflow: RunWorkflow, user_repository: Path, copies: Copies
) -> None:
    workflow = user_repository / ".github/workflows" / EXAMPLE.name
    suite = 'echo "Start the FAST node and run your test suites through it here."'
    assert suite in workflow.read_text()
    workflow.write_text(
        workflow.read_text().replace(suite, "exit 1").replace("quiet_period: 10", "quiet_period: 3")
    )
    run = run_workflow(user_repository, EXAMPLE.name)
    assert run.exit_code != 0
    assert run.job_results()["record"] == "failure"
    assert run.job_results()["stop"] == "success"
    assert len(copies()) == 3


def test_too_few_baselines_are_let_pass_by_continue_on_error(
    run_workflow: RunWorkflow, user_repository: Path, simulator: Simulator, copies: Copies
) -> None:
    simulator.state.rules.baselines = 2
    run = run_workflow(user_repository, EXAMPLE.name)
    assert run.exit_code == 0
    step = run.of_step("Stop the recording")
    assert any(entry.get("stepResult") == "failure" for entry in step)
    assert any(entry.get("name") == "status" and entry["arg"] == "too_few_baselines" for entry in step)
    assert len(copies()) == 3


def test_any_other_failure_of_the_step_fails_the_job_and_nothing_is_copied(
    run_workflow: RunWorkflow, user_repository: Path, simulator: Simulator, copies: Copies
) -> None:
    simulator.faults.add(answer(404, {"status": 404, "body": "Not found"}), on="GET", times=None)
    run = run_workflow(user_repository, EXAMPLE.name)
    assert run.exit_code != 0
    assert run.job_results()["stop"] == "failure"
    assert not copies()


def test_the_project_s_own_workflow_tests_the_action_at_its_own_path(
    run_workflow: RunWorkflow, action: Path
) -> None:
    run = run_workflow(action, "ci.yml", "--job=self-test")
    assert run.exit_code == 0
    assert run.job_results() == {"self-test": "success"}
